//! Proves that a denied device is refused everywhere, cannot come back with its key, and that a
//! device that looks like it has to be approved.

use countersign_core::proof::ProofSubject;
use countersign_testkit::{KeyKind, TestKey};
use serde_json::json;

use crate::harness::{Device, Installation, csr_pem, done, enrolment, read};

#[tokio::test]
async fn its_certificate_token_and_key_are_worth_nothing_anywhere() {
    let installation = Installation::start().await;
    let admin = installation.admin();
    let device = Device::enrol(&installation, "lost-laptop").await;
    let mut open = device.connect(&installation).await;
    assert_eq!(device.heartbeat(&mut open).await.status, 200);
    let spare_key = admin.enrollment_key(json!({ "deviceId": device.id })).await.key;

    done(&admin.deny(device.id).await);
    assert_eq!(admin.device(device.id).await.status.as_str(), "decommissioned");
    assert_eq!(admin.deny(device.id).await.status, 409);
    assert_eq!(admin.approve(device.id).await.status, 409);
    open.closed().await;
    let refused = device.heartbeat(&mut device.connect(&installation).await).await;
    assert_eq!(refused.status, 403, "{}", refused.text());

    let mut bare = installation.connect().await;
    for answer in [device.heartbeat(&mut bare).await, device.challenge(&mut bare).await] {
        assert_eq!((answer.status, answer.code().as_str()), (401, "UNAUTHORIZED"));
    }
    let key = admin.one_use_key().await;
    for (enrolment_key, csr) in [
        (&key, Some(device.key.signing_request_pem("innocent"))),
        (&spare_key, Some(device.key.signing_request_pem("lost-laptop"))),
    ] {
        let body = enrolment(enrolment_key, "innocent", csr.as_deref());
        let answer = bare.json("POST", "/api/v1/agents/enroll", None, Some(&body)).await.unwrap();
        assert_eq!((answer.status, answer.code().as_str()), (403, "KEY_DENIED"), "{}", answer.text());
    }
    // Not even for a device made for it, and with another key.
    let body = enrolment(
        &spare_key,
        "lost-laptop",
        Some(&TestKey::generate(KeyKind::P256).signing_request_pem("x")),
    );
    let answer = bare.json("POST", "/api/v1/agents/enroll", None, Some(&body)).await.unwrap();
    assert_eq!(answer.status, 401, "{}", answer.text());
    // The refusals did not use up the enrolment key.
    Device::enrol_with(&installation, &key, "innocent", TestKey::generate(KeyKind::P256)).await;
}

#[tokio::test]
async fn a_device_that_looks_like_it_waits_for_approval() {
    let installation = Installation::start().await;
    let admin = installation.admin();
    let denied = Device::enrol(&installation, "lost-laptop").await;
    done(&admin.deny(denied.id).await);

    let twin = Device::enrol(&installation, "LOST-LAPTOP").await;
    assert!(twin.mtls.is_none());
    assert_eq!(twin.mtls_reason.as_deref(), Some("awaiting_approval"));
    assert_eq!(admin.quarantined().await[0].quarantined_reason, "resembles_denied_device");
    let mut connection = installation.connect().await;
    let waiting = twin.heartbeat(&mut connection).await;
    assert_eq!((waiting.status, waiting.code().as_str()), (403, "DEVICE_QUARANTINED"));

    // Approved, it gets its first certificate for the key that it enrolled with.
    done(&admin.approve(twin.id).await);
    let challenge = read(&twin.challenge(&mut connection).await);
    let csr = twin.key.signing_request_der(&twin.name);
    let proof = twin.proof_of_renewal(&twin.key, &challenge, &csr);
    let renewed = twin.renew(&mut connection, &csr_pem(&csr), Some(&proof)).await;
    let id = done(&renewed)["certificateId"].as_str().unwrap().parse().unwrap();
    let challenge = read(&twin.challenge(&mut connection).await);
    let proof = twin.proof(&twin.key, &challenge, ProofSubject::Confirm(id));
    done(&twin.confirm(&mut connection, id, Some(&proof)).await);
    assert_eq!(admin.active(twin.id).await.unwrap().id, id);
    assert_eq!(twin.heartbeat(&mut connection).await.status, 200);
}

#[tokio::test]
async fn a_decommissioned_one_leaves_its_host_name_to_its_successor() {
    let installation = Installation::start().await;
    let admin = installation.admin();
    let old = Device::enrol(&installation, "ws-01").await;
    done(&admin.decommission(old.id).await);
    let new = Device::enrol(&installation, "ws-01").await;
    assert!(new.mtls.is_some());
    assert_ne!(new.name, old.name, "names are never used twice");
}
