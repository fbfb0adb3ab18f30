//! Proves that examples/mosquitto shows on this machine what it says: a device enrols, publishes, is kept from
//! another's topic, and is cut off when it is revoked.

use crate::program::steps_of_example;

#[test]
fn every_step_of_it_is_ok() {
    assert_eq!(steps_of_example("mosquitto/test_mtls_device.sh"), 8);
}
