//! Proves that a stolen bearer token is worth nothing without the device's present key: alone, with
//! another device's certificate, with the key of a revoked certificate, with a captured proof.

use std::time::Duration;

use countersign_api::wire::agent::{ChallengeResponse, Proof};
use countersign_core::certificate::CertificateState;
use countersign_core::ids::CertificateId;
use countersign_core::proof::ProofSubject;
use countersign_testkit::{Answer, Connection, KeyKind, TestKey};
use serde_json::json;

use crate::harness::{Device, Installation, csr_pem, done};

#[track_caller]
fn assert_refused(answer: &Answer, status: u16, code: &str) {
    assert_eq!((answer.status, answer.code().as_str()), (status, code), "{}", answer.text());
}

/// A signing request for a fresh key, DER and PEM.
fn fresh_request() -> (Vec<u8>, String) {
    let der = TestKey::generate(KeyKind::P256).signing_request_der("thief");
    let pem = csr_pem(&der);
    (der, pem)
}

async fn challenge(device: &Device, connection: &mut Connection) -> ChallengeResponse {
    serde_json::from_value(done(&device.challenge(connection).await)).unwrap()
}

#[tokio::test]
async fn a_token_alone_renews_and_confirms_nothing() {
    let installation = Installation::start().await;
    let admin = installation.admin();
    let victim = Device::enrol(&installation, "victim").await;
    let pending = victim.renewed(&installation, &TestKey::generate(KeyKind::P256)).await.unwrap();
    let before = admin.states(victim.id).await;
    let mut thief = installation.connect().await;
    let (_, csr) = fresh_request();
    for mode in ["off", "observe", "enforce"] {
        admin.set(json!({ "enforcement": mode })).await;
        assert_refused(&victim.renew(&mut thief, &csr, None).await, 403, "PROOF_REQUIRED");
        let one_step = victim.post(&mut thief, "/api/v1/agents/renew-cert", &json!({})).await;
        assert_refused(&one_step, 403, "PROOF_REQUIRED");
        let confirmed = victim.confirm(&mut thief, pending.certificate_id, None).await;
        assert_refused(&confirmed, 403, "PROOF_REQUIRED");
    }
    assert_refused(&victim.heartbeat(&mut thief).await, 403, "MTLS_REQUIRED");
    assert_eq!(admin.states(victim.id).await, before);
}

#[tokio::test]
async fn a_token_with_another_devices_certificate_or_key_is_refused() {
    let installation = Installation::start().await;
    let victim = Device::enrol(&installation, "victim").await;
    let thief = Device::enrol(&installation, "thief").await;
    let mut over_own = thief.connect(&installation).await;
    let mut bare = installation.connect().await;
    let (der, csr) = fresh_request();
    for mode in ["off", "observe", "enforce"] {
        installation.admin().set(json!({ "enforcement": mode })).await;
        assert_refused(&victim.renew(&mut over_own, &csr, None).await, 401, "UNAUTHORIZED");
        assert_refused(&victim.challenge(&mut over_own).await, 401, "UNAUTHORIZED");
        let confirmed = victim.confirm(&mut over_own, CertificateId::random(), None).await;
        assert_refused(&confirmed, 401, "UNAUTHORIZED");
        let forged = victim.proof_of_renewal(&thief.key, &challenge(&victim, &mut bare).await, &der);
        assert_refused(&victim.renew(&mut bare, &csr, Some(&forged)).await, 403, "PROOF_REQUIRED");
        // Not even with the victim's own signature.
        let stolen = victim.proof_of_renewal(&victim.key, &challenge(&victim, &mut bare).await, &der);
        assert_refused(&victim.renew(&mut over_own, &csr, Some(&stolen)).await, 401, "UNAUTHORIZED");
    }
    assert_refused(&victim.heartbeat(&mut over_own).await, 401, "UNAUTHORIZED");
    assert_eq!(installation.admin().states(victim.id).await, [CertificateState::Active]);
    assert_eq!(thief.heartbeat(&mut over_own).await.status, 200, "its own token goes with it");
}

#[tokio::test]
async fn the_key_of_a_revoked_certificate_proves_nothing() {
    let installation = Installation::in_fake_time().await;
    let admin = installation.admin();
    let stolen = Device::enrol(&installation, "victim").await;
    let fresh = TestKey::generate(KeyKind::P256);
    let renewed = stolen.renewed(&installation, &fresh).await.unwrap();
    let victim = Device { key: fresh, mtls: Some(renewed.mtls), ..stolen.clone() };
    let mut own = victim.connect(&installation).await;
    done(&victim.confirm(&mut own, renewed.certificate_id, None).await);
    let states = admin.certificates(victim.id).await;
    let old = states.iter().find(|one| one.state == CertificateState::Superseded).unwrap();
    done(&admin.revoke(old.id, "keyCompromise").await);
    installation.time().advance(Duration::from_secs(31));

    // The thief has the token and the old key; the victim goes on with its new one.
    let (der, csr) = fresh_request();
    let mut over_stolen = stolen.connect(&installation).await;
    assert_refused(&stolen.challenge(&mut over_stolen).await, 403, "CERTIFICATE_REVOKED");
    assert_refused(&stolen.renew(&mut over_stolen, &csr, None).await, 403, "CERTIFICATE_REVOKED");
    assert_refused(&stolen.heartbeat(&mut over_stolen).await, 403, "CERTIFICATE_REVOKED");
    let mut bare = installation.connect().await;
    let proof = stolen.proof_of_renewal(&stolen.key, &challenge(&stolen, &mut bare).await, &der);
    assert_refused(&stolen.renew(&mut bare, &csr, Some(&proof)).await, 403, "PROOF_REQUIRED");

    assert_eq!(victim.heartbeat(&mut own).await.status, 200, "the victim is left alone");
    // Nor can the old key be certified again, not even by the victim.
    let old_key = stolen.key.signing_request_der("victim");
    let proof = victim.proof_of_renewal(&victim.key, &challenge(&victim, &mut bare).await, &old_key);
    assert_refused(&victim.renew(&mut bare, &csr_pem(&old_key), Some(&proof)).await, 403, "KEY_DENIED");
    assert_eq!(victim.renew_over_own(&installation, &mut own, &fresh_request().0).await.status, 200);
}

#[tokio::test]
async fn a_captured_proof_is_good_for_its_request_once_and_for_five_minutes() {
    let installation = Installation::in_fake_time().await;
    let victim = Device::enrol(&installation, "victim").await;
    let other = Device::enrol(&installation, "other").await;
    let mut bare = installation.connect().await;
    let (der, csr) = fresh_request();
    let capture = async |connection: &mut Connection| -> Proof {
        victim.proof_of_renewal(&victim.key, &challenge(&victim, connection).await, &der)
    };

    let with_another_request = capture(&mut bare).await;
    let answer = victim.renew(&mut bare, &fresh_request().1, Some(&with_another_request)).await;
    assert_refused(&answer, 403, "PROOF_REQUIRED");
    let answer = victim.renew(&mut bare, &csr, Some(&with_another_request)).await;
    assert_refused(&answer, 403, "PROOF_REQUIRED");

    let for_another_device = capture(&mut bare).await;
    let answer = other.renew(&mut bare, &csr, Some(&for_another_device)).await;
    assert_refused(&answer, 403, "PROOF_REQUIRED");

    let for_another_purpose = capture(&mut bare).await;
    let certificate = installation.admin().active(victim.id).await.unwrap().id;
    let answer = victim.confirm(&mut bare, certificate, Some(&for_another_purpose)).await;
    assert_refused(&answer, 403, "PROOF_REQUIRED");
    let of_another_purpose = challenge(&victim, &mut bare).await;
    let confirmation = victim.proof(&victim.key, &of_another_purpose, ProofSubject::Confirm(certificate));
    let answer = victim.renew(&mut bare, &csr, Some(&confirmation)).await;
    assert_refused(&answer, 403, "PROOF_REQUIRED");

    let too_late = capture(&mut bare).await;
    installation.time().advance(Duration::from_secs(301));
    assert_refused(&victim.renew(&mut bare, &csr, Some(&too_late)).await, 403, "PROOF_REQUIRED");

    let twice = capture(&mut bare).await;
    let mut second = installation.connect().await;
    let (one, two) = tokio::join!(
        victim.renew(&mut bare, &csr, Some(&twice)),
        victim.renew(&mut second, &csr, Some(&twice))
    );
    let (won, lost) = if one.status == 200 { (one, two) } else { (two, one) };
    done(&won);
    assert_refused(&lost, 403, "PROOF_REQUIRED");
    assert_eq!(installation.admin().certificates(other.id).await.len(), 1);
    assert_eq!(installation.admin().certificates(victim.id).await.len(), 2);
}
