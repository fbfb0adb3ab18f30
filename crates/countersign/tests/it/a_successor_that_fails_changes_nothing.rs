//! Proves that a server whose successor does not come up goes on as if nobody had asked.

use rustix::process::Signal;

use crate::harness::{Device, Installation, until};

#[tokio::test]
async fn with_a_configuration_that_is_wrong_the_old_process_goes_on() {
    let installation = Installation::start().await;
    let device = Device::enrol(&installation, "ws-01").await;
    let mut kept = device.connect(&installation).await;
    assert_eq!(device.heartbeat(&mut kept).await.status, 200);
    fs_err::write(installation.folder().join("countersign.toml"), "[http_door]\nworkers = 0\n").unwrap();
    for attempt in 1..=2 {
        installation.signal(Signal::USR2);
        let said = async || installation.log().matches("no successor, going on").count() == attempt;
        until("it says that there is none", said).await;
    }
    assert!(installation.log().contains("http_door.workers"), "and why");
    assert_eq!(device.heartbeat(&mut kept).await.status, 200, "what was open is open");
    assert_eq!(device.heartbeat(&mut device.connect(&installation).await).await.status, 200);
    assert_eq!(installation.get_plain("/health").await.status, 200);
}
