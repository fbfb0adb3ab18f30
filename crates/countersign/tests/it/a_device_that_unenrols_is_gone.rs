//! Proves that a device ends its own enrolment with its key and nobody else does, and that nothing of it
//! is good afterwards.

use std::time::Duration;

use countersign_core::certificate::CertificateState;
use countersign_core::proof::ProofSubject;
use countersign_testkit::{Answer, HttpVersion};
use serde_json::json;
use tokio::time::timeout;

use crate::harness::{Device, Installation, done, read};

const PATIENCE: Duration = Duration::from_secs(20);

#[track_caller]
fn assert_refused(answer: &Answer, status: u16, code: &str) {
    assert_eq!((answer.status, answer.code().as_str()), (status, code), "{}", answer.text());
}

/// Nothing that the device had opens anything.
async fn is_gone(installation: &Installation, device: &Device) {
    let admin = installation.admin();
    assert_eq!(admin.device(device.id).await.status.as_str(), "decommissioned");
    assert_eq!(admin.states(device.id).await, [CertificateState::Revoked]);
    let mut bare = installation.connect().await;
    assert_refused(&device.heartbeat(&mut bare).await, 401, "UNAUTHORIZED");
    assert_refused(&device.unenrol(&mut bare, None).await, 401, "UNAUTHORIZED");
    let over_own = device.heartbeat(&mut device.connect(installation).await).await;
    assert_eq!(over_own.status, 403, "{}", over_own.text());
    let entries = admin.audit("event=device.unenrolled").await;
    assert!(entries.iter().any(|entry| entry.device_id == Some(device.id)), "{entries:?}");
}

#[tokio::test]
async fn over_its_certificate_the_answer_comes_and_every_connection_ends() {
    let installation = super::start().await;
    installation.admin().set(json!({ "enforcement": "enforce" })).await;
    for version in [HttpVersion::Http1, HttpVersion::Http2] {
        let device = Device::enrol(&installation, "leaving").await;
        let mut idle = device.connect(&installation).await;
        assert_eq!(device.heartbeat(&mut idle).await.status, 200);
        let mut line = device.client(&installation).http(version).connect(installation.door()).await.unwrap();
        let body = device.own_body(&installation, &mut line, ProofSubject::Unenroll).await;
        assert_eq!(done(&device.unenrol(&mut line, Some(&body)).await), json!({ "success": true }));
        timeout(PATIENCE, async {
            idle.closed().await;
            line.closed().await;
        })
        .await
        .unwrap();
        is_gone(&installation, &device).await;
    }
}

#[tokio::test]
async fn a_signature_does_as_well_and_a_token_alone_does_not() {
    let installation = super::start().await;
    let admin = installation.admin();
    let device = Device::enrol(&installation, "leaving").await;
    let thief = Device::enrol(&installation, "thief").await;
    let mut bare = installation.connect().await;
    for mode in ["off", "observe"] {
        admin.set(json!({ "enforcement": mode })).await;
        assert_refused(&device.unenrol(&mut bare, None).await, 403, "PROOF_REQUIRED");
        let mut over_thiefs = thief.connect(&installation).await;
        assert_refused(&device.unenrol(&mut over_thiefs, None).await, 401, "UNAUTHORIZED");
        let challenge = read(&device.challenge(&mut bare).await);
        let other = json!({ "proof": device.proof(&device.key, &challenge, ProofSubject::RotateToken) });
        assert_refused(&device.unenrol(&mut bare, Some(&other)).await, 403, "PROOF_REQUIRED");
    }
    admin.set(json!({ "enforcement": "enforce" })).await;
    let proof = device.proof_to_unenrol(&mut bare).await;
    assert_refused(&device.unenrol(&mut bare, Some(&proof)).await, 403, "MTLS_REQUIRED");
    admin.set(json!({ "enforcement": "observe" })).await;
    let proof = device.proof_to_unenrol(&mut bare).await;
    done(&device.unenrol(&mut bare, Some(&proof)).await);
    is_gone(&installation, &device).await;
    assert_eq!(thief.heartbeat(&mut thief.connect(&installation).await).await.status, 200);
}

#[tokio::test]
async fn a_quarantined_device_is_an_admins_to_decide() {
    let installation = super::start().await;
    let admin = installation.admin();
    let device = Device::enrol(&installation, "lost").await;
    done(&admin.quarantine(device.id, "lost").await);
    let mut bare = installation.connect().await;
    assert_refused(&device.unenrol(&mut bare, None).await, 403, "DEVICE_QUARANTINED");
    assert_eq!(admin.device(device.id).await.status.as_str(), "quarantined");
}
