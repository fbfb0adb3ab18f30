//! Proves that a decision about a device, its tenant or its token closes its WebSocket in under a second
//! from the call, with the code that says why, whether it shows a certificate or not; and nobody else's.

use std::time::{Duration, Instant};

use countersign_testkit::{Answer, KeyKind, TestKey};
use serde_json::json;

use crate::harness::{Channel, Device, Installation, done};

const AT_ONCE: Duration = Duration::from_secs(1);

async fn decide(installation: &Installation, decision: &str, device: &Device) -> Answer {
    let admin = installation.admin();
    match decision {
        "deny" => admin.deny(device.id).await,
        "decommission" => admin.decommission(device.id).await,
        "quarantine" => admin.quarantine(device.id, "stolen laptop").await,
        "revoke" => {
            let certificate = admin.active(device.id).await.unwrap().id;
            admin.revoke(certificate, "keyCompromise").await
        }
        _ => {
            let key = admin.enrollment_key(json!({ "deviceId": device.id })).await.key;
            let began = TestKey::generate(KeyKind::P256);
            let body = crate::harness::enrolment(&key, &device.name, Some(&began.signing_request_pem("x")));
            let mut connection = installation.connect().await;
            connection.json("POST", "/api/v1/agents/enroll", None, Some(&body)).await.unwrap()
        }
    }
}

async fn closed_in_time(channel: &mut Channel, began: Instant, what: &str) -> u16 {
    let code = channel.closed().await;
    assert!(began.elapsed() < AT_ONCE, "{what}: {:?}", began.elapsed());
    code
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_certificate() {
    let installation = super::start().await;
    let bystander = Device::enrol(&installation, "bystander").await;
    let mut bystanding = Channel::open(&bystander, &installation).await;
    for (decision, code) in
        [("deny", 4001), ("revoke", 4001), ("quarantine", 4041), ("decommission", 4001), ("re-enrol", 4001)]
    {
        let device = Device::enrol(&installation, decision).await;
        let mut channel = Channel::open(&device, &installation).await;
        assert!(channel.is_alive().await);
        let began = Instant::now();
        done(&decide(&installation, decision, &device).await);
        assert_eq!(closed_in_time(&mut channel, began, decision).await, code, "{decision}");
        assert!(bystanding.is_alive().await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_token_alone() {
    let installation = super::start().await;
    let bystander = Device::enrol(&installation, "bystander").await;
    let mut bystanding = Channel::open_by(&installation.client(), &bystander, &installation).await;
    for (decision, code) in
        [("deny", 4001), ("revoke", 4041), ("quarantine", 4041), ("decommission", 4001), ("re-enrol", 4001)]
    {
        let device = Device::enrol(&installation, decision).await;
        let mut channel = Channel::open_by(&installation.client(), &device, &installation).await;
        assert!(channel.is_alive().await);
        let began = Instant::now();
        done(&decide(&installation, decision, &device).await);
        assert_eq!(closed_in_time(&mut channel, began, decision).await, code, "{decision}");
        assert!(bystanding.is_alive().await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_suspended_tenants_devices_and_those_that_its_mode_refuses_are_closed() {
    let installation = super::start().await;
    let admin = installation.admin();
    done(&admin.post("/tenants", &json!({ "slug": "acme", "name": "Acme" })).await);
    let elsewhere = Device::enrol(&installation, "elsewhere").await;
    let mut bystanding = Channel::open(&elsewhere, &installation).await;
    let key = admin.enrollment_key(json!({ "tenant": "acme", "maxUses": 2 })).await.key;
    let fresh = || TestKey::generate(KeyKind::P256);
    let bare = Device::enrol_with(&installation, &key, "bare", fresh()).await;
    let certified = Device::enrol_with(&installation, &key, "certified", fresh()).await;
    let mut by_token = Channel::open_by(&installation.client(), &bare, &installation).await;
    let mut by_certificate = Channel::open(&certified, &installation).await;

    let began = Instant::now();
    let enforce = json!({ "enforcement": "enforce" });
    done(&admin.call("PATCH", "/agents/org/acme/settings/mtls", Some(&enforce)).await);
    assert_eq!(closed_in_time(&mut by_token, began, "enforce").await, 4001);
    assert!(by_certificate.is_alive().await);

    let began = Instant::now();
    done(&admin.post("/tenants/acme/suspend", &json!({})).await);
    assert_eq!(closed_in_time(&mut by_certificate, began, "suspend").await, 4001);
    assert!(bystanding.is_alive().await);
}
