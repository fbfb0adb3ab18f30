//! Proves that a device's bearer token is replaced in two steps, neither of which loses the device, and
//! for nobody who has the token alone.

use countersign_core::proof::ProofSubject;
use countersign_testkit::Answer;
use serde_json::json;

use crate::harness::{Device, Time, done, hours, read};

#[track_caller]
fn assert_refused(answer: &Answer, status: u16, code: &str) {
    assert_eq!((answer.status, answer.code().as_str()), (status, code), "{}", answer.text());
}

#[tokio::test]
async fn the_old_one_is_good_until_the_new_one_is_confirmed() {
    let installation = super::start().await;
    let admin = installation.admin();
    admin.set(json!({ "enforcement": "enforce" })).await;
    let old = Device::enrol(&installation, "pump").await;
    let mut line = old.connect(&installation).await;
    let body = old.own_body(&installation, &mut line, ProofSubject::RotateToken).await;
    let new = old.with_token_of(&old.rotate(&mut line, &body).await);
    assert_eq!(old.heartbeat(&mut line).await.status, 200);
    assert_refused(&new.heartbeat(&mut line).await, 401, "UNAUTHORIZED");
    assert_refused(&old.confirm_token(&mut line).await, 409, "TOKEN_NOT_STAGED");

    for _ in 0..2 {
        assert_eq!(new.confirm_token(&mut line).await.json(), json!({ "success": true }));
        assert_refused(&old.heartbeat(&mut line).await, 401, "UNAUTHORIZED");
        assert_refused(&old.confirm_token(&mut line).await, 401, "UNAUTHORIZED");
        assert_eq!(new.heartbeat(&mut line).await.status, 200);
    }
    for event in ["token.staged", "token.rotated"] {
        let entries = admin.audit(&format!("event={event}")).await;
        assert_eq!(entries.len(), 1, "{event}");
        assert!(!format!("{entries:?}").contains("brz_"), "no token in the audit");
    }
    assert!(!installation.log().contains("brz_"), "no token in the log");
}

#[tokio::test]
async fn the_next_one_takes_the_place_of_one_that_waits_and_a_day_is_all_it_waits() {
    let installation = super::in_fake_time().await;
    let device = Device::enrol(&installation, "pump").await;
    let mut line = device.connect(&installation).await;
    let mut rotated = async || {
        let body = device.own_body(&installation, &mut line, ProofSubject::RotateToken).await;
        device.with_token_of(&device.rotate(&mut line, &body).await)
    };
    let (first, second) = (rotated().await, rotated().await);
    assert_refused(&first.confirm_token(&mut line).await, 401, "UNAUTHORIZED");
    installation.time().advance(hours(25));
    let mut line = device.connect(&installation).await;
    assert_refused(&second.confirm_token(&mut line).await, 401, "UNAUTHORIZED");
    assert_eq!(device.heartbeat(&mut line).await.status, 200);
    assert_eq!(device.confirm_token(&mut line).await.status, 200, "nothing waits any more");
}

#[tokio::test]
async fn a_token_alone_or_with_anothers_key_gets_no_new_one() {
    let installation = super::start().await;
    let admin = installation.admin();
    let victim = Device::enrol(&installation, "victim").await;
    let thief = Device::enrol(&installation, "thief").await;
    let (mut bare, mut over_own) = (installation.connect().await, thief.connect(&installation).await);
    for mode in ["off", "observe"] {
        admin.set(json!({ "enforcement": mode })).await;
        assert_refused(&victim.rotate(&mut bare, &json!({})).await, 403, "PROOF_REQUIRED");
        assert_refused(&victim.rotate(&mut over_own, &json!({})).await, 401, "UNAUTHORIZED");
        // Not even with the victim's own signature, and no other device's.
        let stolen = victim.proof_to_rotate(&mut bare).await;
        assert_refused(&victim.rotate(&mut over_own, &stolen).await, 401, "UNAUTHORIZED");
        let challenge = read(&victim.challenge(&mut bare).await);
        let forged = json!({ "proof": victim.proof(&thief.key, &challenge, ProofSubject::RotateToken) });
        assert_refused(&victim.rotate(&mut bare, &forged).await, 403, "PROOF_REQUIRED");
        let challenge = read(&victim.challenge(&mut bare).await);
        let other = json!({ "proof": victim.proof(&victim.key, &challenge, ProofSubject::Unenroll) });
        assert_refused(&victim.rotate(&mut bare, &other).await, 403, "PROOF_REQUIRED");
        assert_refused(&victim.rotate(&mut bare, &json!({ "proof": 7 })).await, 400, "INVALID_REQUEST");
        let elsewhere = format!("/api/v1/agents/{}/rotate-token", thief.agent);
        assert_refused(&victim.post(&mut bare, &elsewhere, &json!({})).await, 401, "UNAUTHORIZED");

        let proved = victim.proof_to_rotate(&mut bare).await;
        let waiting = victim.with_token_of(&victim.rotate(&mut bare, &proved).await);
        assert_refused(&waiting.confirm_token(&mut over_own).await, 401, "UNAUTHORIZED");
        assert_refused(&victim.rotate(&mut bare, &proved).await, 403, "PROOF_REQUIRED");
    }
    admin.set(json!({ "enforcement": "enforce" })).await;
    assert_refused(&victim.rotate(&mut bare, &json!({})).await, 403, "MTLS_REQUIRED");
    assert_eq!(victim.heartbeat(&mut victim.connect(&installation).await).await.status, 200);
}

#[tokio::test]
async fn a_device_that_never_had_a_certificate_gets_one_by_its_token() {
    let installation = super::configured("[mtls]\nissuer = \"none\"\n", Time::Real).await;
    let device = Device::enrol(&installation, "bearer-only").await;
    assert!(device.mtls.is_none());
    let mut bare = installation.connect().await;
    let new = device.with_token_of(&device.rotate(&mut bare, &json!({})).await);
    done(&new.confirm_token(&mut bare).await);
    assert_eq!(new.heartbeat(&mut bare).await.status, 200);
}
