//! Proves that a WebSocket outlives the renewal of the certificate that it was opened with, until the
//! tenant's overlap is over; that the next one takes its place; and that the server's end is said.

use countersign_testkit::{KeyKind, TestKey};
use serde_json::{Value, json};

use crate::harness::{Channel, Device, Installation, completed, done, hours};

/// Renews and confirms over the new certificate.
async fn renewed(installation: &Installation, device: &Device) -> Device {
    let key = TestKey::generate(KeyKind::P256);
    let renewed = device.renewed(installation, &key).await.unwrap();
    let renewed_device = Device { key, mtls: Some(renewed.mtls), ..device.clone() };
    let mut over_new = renewed_device.connect(installation).await;
    done(&renewed_device.confirm(&mut over_new, renewed.certificate_id, None).await);
    renewed_device
}

async fn serves(installation: &Installation, device: &Device, channel: &mut Channel) {
    let id = installation.admin().queue_command(device.id, &json!({ "type": "ping" })).await.to_string();
    assert_eq!(channel.command().await, id);
    channel.say(&completed(&id, &Value::Null)).await;
    assert_eq!(channel.hear().await, json!({ "type": "recorded", "id": id }));
}

#[tokio::test]
async fn until_the_overlap_is_over() {
    let installation = super::in_fake_time().await;
    installation.admin().set(json!({ "enforcement": "enforce", "renewalOverlapHours": 2 })).await;
    let device = Device::enrol(&installation, "pump").await;
    let mut channel = Channel::open(&device, &installation).await;
    serves(&installation, &device, &mut channel).await;
    let device = renewed(&installation, &device).await;
    serves(&installation, &device, &mut channel).await;
    installation.time().advance(hours(1));
    serves(&installation, &device, &mut channel).await;
    installation.time().advance(hours(2));
    assert_eq!(channel.closed().await, 4001);
    let mut channel = Channel::open(&device, &installation).await;
    serves(&installation, &device, &mut channel).await;
}

#[tokio::test]
async fn the_next_one_takes_its_place() {
    let installation = super::start().await;
    let device = Device::enrol(&installation, "pump").await;
    let mut old = Channel::open(&device, &installation).await;
    let renewed_device = renewed(&installation, &device).await;
    let mut refused = device.connect(&installation).await;
    let answer = Channel::ask(&mut refused, &device, &crate::harness::WISH).await.err().unwrap();
    assert_eq!((answer.status, answer.code().as_str()), (403, "CERTIFICATE_SUPERSEDED"));
    assert!(old.is_alive().await);
    let mut new = Channel::open(&renewed_device, &installation).await;
    assert_eq!(old.closed().await, 4002);
    serves(&installation, &device, &mut new).await;
}

#[tokio::test]
async fn a_server_that_ends_says_so() {
    let mut installation = super::start().await;
    let device = Device::enrol(&installation, "pump").await;
    let mut channel = Channel::open(&device, &installation).await;
    installation.signal(rustix::process::Signal::TERM);
    assert_eq!(channel.closed().await, 1001);
    assert!(installation.ended().await.success());
}
