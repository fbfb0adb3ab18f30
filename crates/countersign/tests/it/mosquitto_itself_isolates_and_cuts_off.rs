//! Proves that seed 004's own verification passes against a real Mosquitto that serves devices itself, and that it
//! keeps devices apart and ends the session of a revoked one.

use crate::program::steps_of_example;

#[test]
fn the_verification_of_seed_004_passes_and_what_it_could_not_do_works() {
    assert_eq!(steps_of_example("mosquitto/verify_seed_004.sh"), 7);
}
