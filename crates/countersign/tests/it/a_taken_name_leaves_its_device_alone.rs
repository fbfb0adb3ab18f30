//! Proves that enrolling under the name of an active device does nothing to that device.

use countersign_testkit::{KeyKind, TestKey};
use serde_json::Value;

use crate::harness::{Admin, Device, Installation, done, enrolment};

/// Everything on record about a device.
async fn record(admin: &Admin, device: &Device) -> [Value; 2] {
    let id = device.id;
    [
        done(&admin.get(&format!("/devices/{id}")).await),
        done(&admin.get(&format!("/devices/{id}/certificates")).await),
    ]
}

#[tokio::test]
async fn an_explicit_taken_name_is_a_conflict_and_a_taken_host_name_gets_a_suffix() {
    let installation = Installation::start().await;
    let admin = installation.admin();
    let victim = Device::enrol(&installation, "victim").await;
    let before = record(&admin, &victim).await;
    let mut open = victim.connect(&installation).await;

    let enrolment_key = admin.one_use_key().await;
    let key = TestKey::generate(KeyKind::P256);
    let mut body = enrolment(&enrolment_key, "thief", Some(&key.signing_request_pem("victim")));
    body["deviceName"] = "victim".into();
    let mut thief = installation.connect().await;
    let refused = thief.json("POST", "/api/v1/agents/enroll", None, Some(&body)).await.unwrap();
    assert_eq!((refused.status, refused.code().as_str()), (409, "DEVICE_NAME_TAKEN"));

    // The enrolment key is not used up; by host name alone it makes a device of another name.
    let other = Device::enrol_with(&installation, &enrolment_key, "victim", key).await;
    assert!(other.name.starts_with("victim-") && other.name.len() == "victim-".len() + 6, "{}", other.name);
    assert_ne!(other.id, victim.id);

    assert_eq!(record(&admin, &victim).await, before);
    assert_eq!(victim.heartbeat(&mut open).await.status, 200);
    let mut anew = victim.connect(&installation).await;
    assert_eq!(victim.heartbeat(&mut anew).await.status, 200);
    assert_eq!(other.heartbeat(&mut anew).await.status, 401, "nor may it use the victim's certificate");

    // Not even when the victim is gone for good.
    done(&admin.decommission(victim.id).await);
    body["enrollmentKey"] = admin.one_use_key().await.into();
    let refused = thief.json("POST", "/api/v1/agents/enroll", None, Some(&body)).await.unwrap();
    assert_eq!((refused.status, refused.code().as_str()), (409, "DEVICE_NAME_TAKEN"));
}
