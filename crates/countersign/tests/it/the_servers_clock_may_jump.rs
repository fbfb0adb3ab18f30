//! Proves that a server whose clock jumps, by ten minutes or a day, ahead or back, issues by the clock that it has,
//! admits nobody whose certificate is not valid by it, and serves everybody again once it is right.

use std::time::Duration;

use countersign_core::time::Clock as _;
use countersign_testkit::{Answer, DoorClient, KeyKind, TestKey};
use serde_json::json;

use crate::harness::{AgentHome, Device, Installation, assert_sound, days, until};

const MINUTES: i64 = 600;
const DAY: i64 = 86_400;
/// Certificates are valid from a little before they are issued.
const BACKDATED: i64 = 300;

/// What the door says to a device whose own clock is right.
async fn beat(installation: &Installation, device: &Device) -> Answer {
    let client = DoorClient::new(installation.root_pem()).showing(&device.identity_pem());
    device.heartbeat(&mut client.connect(installation.door()).await.unwrap()).await
}

/// A device that enrols while the server's clock is so.
async fn enrolled_by_its_clock(installation: &Installation, name: &str) -> Device {
    let admin = installation.admin();
    let (client, key) = (DoorClient::new(installation.root_pem()), admin.one_use_key().await);
    let began = installation.time().now();
    let enrolled =
        Device::try_enrol(&client, installation.door(), &key, name, TestKey::generate(KeyKind::P256));
    let device = enrolled.await.unwrap();
    let recorded = admin.active(device.id).await.unwrap();
    assert!(recorded.issued_at + Duration::from_secs(1) >= began, "{name}: {recorded:?}");
    assert!(recorded.issued_at <= installation.time().now(), "{name}: {recorded:?}");
    assert_eq!(recorded.expires_at, recorded.issued_at + days(90), "{name}");
    assert_eq!(beat(installation, &device).await.status, 200, "{name}: served by the clock it is issued by");
    device
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ahead_and_back_it_issues_by_its_clock_and_serves_all_once_it_is_right() {
    let installation = Installation::in_fake_time().await;
    let admin = installation.admin();
    admin.set(json!({ "enforcement": "enforce" })).await;
    // Its clock is right all the time.
    let agent = AgentHome::at(None);
    let ran = agent.enroll(&installation, &admin.one_use_key().await);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let id = agent.text("device_id").parse().unwrap();
    let running = agent.run();
    let witness = enrolled_by_its_clock(&installation, "witness").await;

    let mut devices = Vec::new();
    for (by, name) in [(MINUTES, "soon"), (-MINUTES, "lately"), (DAY, "tomorrow"), (-DAY, "yesterday")] {
        installation.time().shift(by);
        devices.push(enrolled_by_its_clock(&installation, name).await);
        let seen = beat(&installation, &witness).await;
        let is_valid = by > -BACKDATED;
        assert_eq!(seen.status, if is_valid { 200 } else { 403 }, "{name}: {}", seen.text());
        installation.time().shift(-by);
        let device = devices.last().unwrap();
        let seen = beat(&installation, device).await;
        if by > BACKDATED {
            assert_eq!(seen.code(), "CERTIFICATE_NOT_YET_VALID", "{name}: {}", seen.text());
        } else {
            assert_eq!(seen.status, 200, "{name}: {}", seen.text());
        }
        assert_eq!(beat(&installation, &witness).await.status, 200, "{name}");
    }

    let is_online = async || admin.device(id).await.status.as_str() == "online";
    until("the agent is served again", is_online).await;
    assert!(running.terminate().await.success());
    installation.time().advance(days(1));
    for device in &devices {
        assert_eq!(beat(&installation, device).await.status, 200, "{}", device.name);
    }
    assert_sound(&installation).await;
    assert!(!installation.log().contains("panicked"), "{}", installation.log());
}
