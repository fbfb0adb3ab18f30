//! Proves what becomes of a device whose certificate has expired: quarantine, approval, and the
//! policy that lets it recover by itself for a while.

use countersign_core::proof::ProofSubject;
use countersign_testkit::{KeyKind, TestKey};
use serde_json::json;

use crate::harness::{AgentHome, Device, Installation, days, done, hours, read, until};

#[tokio::test]
async fn it_is_refused_and_listed_and_once_approved_it_renews_with_its_own_key() {
    let installation = Installation::in_fake_time().await;
    let admin = installation.admin();
    admin.set(json!({ "enforcement": "enforce", "expiredCertPolicy": "quarantine" })).await;
    let agent = AgentHome::enrolled(&installation).await;
    let device = admin.the_device().await;
    assert!(admin.quarantined().await.is_empty());

    installation.time().advance(days(91));
    let running = agent.run();
    until("it is quarantined", async || !admin.quarantined().await.is_empty()).await;
    let listed = admin.quarantined().await.remove(0);
    assert_eq!(
        (listed.id, listed.agent_id, &listed.hostname),
        (device.id, device.agent_id, &device.hostname)
    );
    assert_eq!(listed.quarantined_reason, "mtls_cert_expired");
    let refused = agent.heartbeat(&mut installation.connect().await).await;
    assert_eq!((refused.status, refused.code().as_str()), (403, "DEVICE_QUARANTINED"));
    assert_eq!(
        (&refused.json()["error"], &refused.json()["quarantined"]),
        (&json!("Device quarantined"), &json!(true))
    );
    until("the agent knows", async || running.log().contains("device quarantined, asking slowly")).await;

    let approved = done(&admin.approve(device.id).await);
    assert_eq!(approved, json!({ "success": true, "appliedEdges": installation.applied_by_all(0) }));
    assert_eq!(admin.approve(device.id).await.status, 409);
    until("it is back online", async || admin.device(device.id).await.status.as_str() == "online").await;
    // The sweep may come to the old certificate only now.
    until("the old certificate counts as expired", async || {
        admin.states(device.id).await.iter().map(|state| state.as_str()).eq(["active", "expired"])
    })
    .await;
    assert!(admin.quarantined().await.is_empty());

    // The approval was used: a day later the device is still there.
    installation.time().advance(hours(25));
    let seen = admin.device(device.id).await.last_seen_at;
    until("it goes on", async || admin.device(device.id).await.last_seen_at > seen).await;
    assert_eq!(admin.device(device.id).await.status.as_str(), "online");
}

#[tokio::test]
async fn an_approval_that_nobody_uses_ends_after_a_day() {
    let installation = Installation::in_fake_time().await;
    let admin = installation.admin();
    admin.set(json!({ "expiredCertPolicy": "quarantine" })).await;
    let device = Device::enrol(&installation, "ws-01").await;
    installation.time().advance(days(91));
    until("it is quarantined", async || admin.quarantined().await.len() == 1).await;
    done(&admin.approve(device.id).await);
    assert_eq!(admin.device(device.id).await.status.as_str(), "offline");

    installation.time().advance(hours(23));
    installation.time().advance(hours(2));
    until("it is quarantined again", async || admin.quarantined().await.len() == 1).await;
    assert_eq!(admin.quarantined().await[0].quarantined_reason, "approval_unused");
    let refused = device.renewed(&installation, &TestKey::generate(KeyKind::P256)).await.unwrap_err();
    assert_eq!((refused.status, refused.code().as_str()), (403, "DEVICE_QUARANTINED"));
}

#[tokio::test]
async fn under_auto_reissue_it_recovers_by_proof_within_the_window_and_not_later() {
    let installation = Installation::in_fake_time().await;
    let admin = installation.admin();
    let settings =
        json!({ "enforcement": "enforce", "expiredCertPolicy": "auto_reissue", "recoveryWindowDays": 10 });
    admin.set(settings).await;
    let early = Device::enrol(&installation, "early").await;
    let late = Device::enrol(&installation, "late").await;
    let fresh = TestKey::generate(KeyKind::P256);

    installation.time().advance(days(99));
    until("both have expired", async || {
        let states = [admin.states(early.id).await, admin.states(late.id).await].concat();
        states.iter().all(|state| state.as_str() == "expired")
    })
    .await;
    assert!(admin.quarantined().await.is_empty());
    let mut connection = installation.connect().await;
    let unproved = early.renew(&mut connection, &fresh.signing_request_pem("early"), None).await;
    assert_eq!((unproved.status, unproved.code().as_str()), (403, "PROOF_REQUIRED"));
    let renewed = early.renewed(&installation, &fresh).await.unwrap();
    let challenge = read(&early.challenge(&mut connection).await);
    let proof = early.proof(&fresh, &challenge, ProofSubject::Confirm(renewed.certificate_id));
    done(&early.confirm(&mut connection, renewed.certificate_id, Some(&proof)).await);
    assert_eq!(admin.active(early.id).await.unwrap().id, renewed.certificate_id);

    installation.time().advance(days(2));
    let refused = late.renewed(&installation, &TestKey::generate(KeyKind::P256)).await.unwrap_err();
    assert_eq!((refused.status, refused.code().as_str()), (403, "DEVICE_QUARANTINED"));
    assert_eq!(admin.quarantined().await[0].id, late.id);
    assert_eq!(admin.quarantined().await[0].quarantined_reason, "mtls_cert_expired");
}

#[tokio::test]
async fn under_auto_reissue_an_agent_that_slept_too_long_is_back_without_anybody() {
    let installation = Installation::in_fake_time().await;
    let admin = installation.admin();
    admin.set(json!({ "enforcement": "enforce", "expiredCertPolicy": "auto_reissue" })).await;
    let agent = AgentHome::enrolled(&installation).await;
    let device = admin.the_device().await.id;
    installation.time().advance(days(100));
    let _running = agent.run();
    until("it is online", async || admin.device(device).await.status.as_str() == "online").await;
    assert!(admin.active(device).await.is_some());
    assert!(admin.audit("event=device.quarantined").await.is_empty());
}
