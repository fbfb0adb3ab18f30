//! Proves that a server whose disk is full says so to whoever wants a change, admits and refuses as before, and
//! goes on by itself once there is room; and that an agent whose disk is full keeps the identity that it has.

use countersign_testkit::{KeyKind, TestKey};
use serde_json::json;

use crate::harness::{AgentHome, Device, Installation, SmallDisk, Time, assert_sound, serial_of};
use crate::upstream::Upstream;

/// After so many enrolments a disk that is full must have shown.
const MANY: usize = 100;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_goes_on_when_there_is_room_again() {
    let upstream = Upstream::start().await;
    let mut installation = Installation::unstarted(&upstream.routes(), Time::Real);
    fs_err::create_dir(installation.data()).unwrap();
    let Some(disk) = SmallDisk::at(&installation.data(), 24) else { return };
    installation.start_again().await;
    installation.set_up().await;
    let admin = installation.admin();
    let device = Device::enrol(&installation, "pump").await;
    let key = admin.enrollment_key(json!({ "maxUses": 1000 })).await.key;

    disk.fill();
    let mut enrolled = 1;
    let refused = loop {
        assert!(enrolled < MANY, "there is room");
        let fresh = TestKey::generate(KeyKind::P256);
        let tried = Device::try_enrol(&installation.client(), installation.door(), &key, "ws", fresh).await;
        match tried {
            Ok(_device) => enrolled += 1,
            Err(answer) => break answer.unwrap(),
        }
    };
    assert_eq!((refused.status, refused.code().as_str()), (503, "NOT_READY"), "{}", refused.text());
    assert_eq!(refused.header("retry-after"), "5");
    let denied = admin.deny(device.id).await;
    assert_eq!(denied.code(), "NOT_READY", "{}", denied.text());
    let mut connection = device.connect(&installation).await;
    assert_eq!(connection.request("GET", "/required/x", &[], "").await.unwrap().status, 200);
    assert_eq!(admin.devices().await.len(), enrolled, "nothing is half done");
    assert!(installation.log().contains("disk is full"), "{}", installation.log());

    disk.free();
    Device::enrol(&installation, "valve").await;
    assert_eq!(admin.deny(device.id).await.status, 200);
    assert_sound(&installation).await;
}

#[tokio::test]
async fn an_agent_keeps_its_identity_until_it_can_save_another() {
    let installation = Installation::in_fake_time().await;
    let agent = AgentHome::beside(&installation);
    let folder = agent.config().parent().unwrap().to_owned();
    fs_err::create_dir(&folder).unwrap();
    let Some(disk) = SmallDisk::at(&folder, 1) else { return };
    let enrolled = agent.enroll(&installation, &installation.admin().one_use_key().await);
    assert_eq!(enrolled.code, 0, "{}", enrolled.stderr);
    let identity = agent.identity_pem();

    disk.fill();
    let failed = agent.output(&["renew"]);
    assert_ne!(failed.code, 0, "{}", failed.stdout);
    assert!(failed.stderr.contains("No space left on device"), "{}", failed.stderr);
    assert_eq!(agent.identity_pem(), identity);
    let client = installation.client().showing(&identity);
    let heard = agent.heartbeat(&mut client.connect(installation.door()).await.unwrap()).await;
    assert_eq!(heard.status, 200, "{}", heard.text());

    disk.free();
    // Renewals are limited to one in half a minute.
    installation.time().advance(std::time::Duration::from_secs(31));
    let renewed = agent.output(&["renew"]);
    assert_eq!(renewed.code, 0, "{}", renewed.stderr);
    let device = installation.admin().the_device().await.id;
    let active = installation.admin().active(device).await.unwrap();
    assert_eq!(serial_of(&agent.text("mtls_cert_pem")), active.serial_number.to_string());
    assert_sound(&installation).await;
}
