//! Nothing is issued to whoever cannot show the key that counts, by the handshake with the active
//! certificate or by a signature over a challenge of their own.

use countersign_authority::agent::Possession;
use countersign_authority::renew::RenewError;
use countersign_core::certificate::{CertificateState, RevocationReason};
use countersign_core::ids::{CertificateId, ChallengeId};
use countersign_core::proof::ProofSubject;

use super::house::{Csr, DAY, Device, House, MINUTE, SECOND, claim, fresh_key, refused};

impl House {
    /// Tries to renew with `possession` and expects to be asked for a proof.
    async fn needs_proof(&self, device: &Device, csr: &Csr, possession: &Possession, what: &str) {
        // Unproved calls are limited; this is not about that.
        self.pass(MINUTE);
        let caller = self.caller(device).await;
        let refusal = refused(self.authority.renew(&caller, &csr.pem, possession).await);
        assert!(matches!(refusal, RenewError::ProofNeeded), "{what}: {refusal}");
    }
}

#[tokio::test]
async fn a_bearer_token_alone_or_with_a_strangers_key_gets_nothing() {
    let house = House::new().await;
    let (victim, thief) = (house.device("victim").await, house.device("thief").await);
    let theirs = house.in_state(thief.id, CertificateState::Active).await;
    let csr = Csr::of(&fresh_key());
    house.needs_proof(&victim, &csr, &Possession::None, "no proof").await;
    let own = house.in_state(victim.id, CertificateState::Active).await;
    house.needs_proof(&victim, &csr, &Possession::Told(claim(&own)), "an edge's word").await;
    house.needs_proof(&victim, &csr, &Possession::Handshake(claim(&theirs)), "another's handshake").await;
    let signed = house.proof(&victim, &thief.key, csr.subject()).await;
    house.needs_proof(&victim, &csr, &signed, "another's signature").await;
    let signed = house.proof(&thief, &victim.key, csr.subject()).await;
    house.needs_proof(&victim, &csr, &signed, "another's challenge").await;
    let unknown =
        Possession::Signature { challenge: ChallengeId::random(), signature: vec![1; 70], beside: None };
    house.needs_proof(&victim, &csr, &unknown, "unknown challenge").await;
    assert_eq!(house.states(victim.id).await, [CertificateState::Active]);
    house.check(&[victim.id, thief.id]).await;
}

#[tokio::test]
async fn a_proof_is_good_for_its_request_its_purpose_once_and_for_five_minutes() {
    let house = House::new().await;
    let device = house.device("pump").await;
    let (csr, other) = (Csr::of(&fresh_key()), Csr::of(&fresh_key()));
    let for_other = house.proof(&device, &device.key, other.subject()).await;
    house.needs_proof(&device, &csr, &for_other, "another request").await;
    house.needs_proof(&device, &other, &for_other, "used up by a failure").await;
    let to_confirm = ProofSubject::Confirm(CertificateId::random());
    let to_confirm = house.proof(&device, &device.key, to_confirm).await;
    house.needs_proof(&device, &csr, &to_confirm, "another purpose").await;

    let late = house.proof(&device, &device.key, csr.subject()).await;
    house.pass(MINUTE * 4);
    house.needs_proof(&device, &csr, &late, "at the very end of five minutes").await;
    let good = house.proof(&device, &device.key, csr.subject()).await;
    house.pass(MINUTE * 5 - SECOND);
    let caller = house.caller(&device).await;
    house.authority.renew(&caller, &csr.pem, &good).await.unwrap();
    house.needs_proof(&device, &csr, &good, "a second time").await;
}

#[tokio::test]
async fn the_keys_of_superseded_revoked_and_pending_certificates_do_not_count() {
    let house = House::new().await;
    let first = house.device("pump").await;
    let superseded = house.in_state(first.id, CertificateState::Active).await;
    let second = house.renewed(first.clone()).await;
    house.pass(MINUTE);
    let third = fresh_key();
    let pending = house.renew(&second, &third).await.unwrap();
    let pending = house.certificate(pending.id).await;

    let csr = Csr::of(&fresh_key());
    for (key, row, what) in [(&first.key, &superseded, "superseded"), (&third, &pending, "pending")] {
        let signed = house.proof(&second, key, csr.subject()).await;
        house.needs_proof(&second, &csr, &signed, what).await;
        house.needs_proof(&second, &csr, &Possession::Handshake(claim(row)), what).await;
    }
    let reason = RevocationReason::Unspecified;
    house.authority.revoke_certificate(&house.operate(), superseded.id, reason).await.unwrap();
    let signed = house.proof(&second, &first.key, csr.subject()).await;
    house.needs_proof(&second, &csr, &signed, "revoked").await;
    house.check(&[first.id]).await;
}

#[tokio::test]
async fn a_key_that_was_denied_elsewhere_counts_nowhere() {
    let house = House::new().await;
    let (device, twin) = (house.device("pump").await, fresh_key());
    // A cloned disk: a second device with the same key.
    let cloned = house.enrol(&super::house::request(&house.key().await, "clone", Some(&device.key))).await;
    house.authority.deny(&house.operate(), cloned.unwrap().device.id).await.unwrap();
    let csr = Csr::of(&twin);
    let active = house.in_state(device.id, CertificateState::Active).await;
    house.needs_proof(&device, &csr, &Possession::Handshake(claim(&active)), "handshake").await;
    let signed = house.proof(&device, &device.key, csr.subject()).await;
    house.needs_proof(&device, &csr, &signed, "signature").await;
}

#[tokio::test]
async fn an_expired_certificates_handshake_proves_nothing_but_its_key_may() {
    let house = House::new().await;
    let device = house.device("pump").await;
    let row = house.in_state(device.id, CertificateState::Active).await;
    house.pass(DAY * 90 + SECOND);
    let csr = Csr::of(&fresh_key());
    let shown = Possession::Handshake(claim(&row));
    house.needs_proof(&device, &csr, &shown, "expired, before the sweep").await;
    house.authority.sweep().await.unwrap();
    house.needs_proof(&device, &csr, &shown, "expired, after the sweep").await;
    house.renew_by_proof(&device, &device.key, &fresh_key()).await.unwrap();
}

#[tokio::test]
async fn unproved_calls_are_limited_and_cannot_starve_the_device() {
    let house = House::new().await;
    let device = house.device("pump").await;
    let caller = house.caller(&device).await;
    let csr = Csr::of(&fresh_key());
    for _ in 0..10 {
        let refusal = refused(house.authority.renew(&caller, &csr.pem, &Possession::None).await);
        assert!(matches!(refusal, RenewError::ProofNeeded), "{refusal}");
    }
    let refusal = refused(house.authority.renew(&caller, &csr.pem, &Possession::None).await);
    assert!(matches!(refusal, RenewError::TooMany(_)), "{refusal}");
    for _ in 0..20 {
        house.authority.challenge(&caller).await.unwrap();
    }
    house.renew_by_proof(&device, &device.key, &fresh_key()).await.unwrap();
}
