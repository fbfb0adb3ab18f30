//! A confirmation takes the new key and puts the new certificate in the place of the old one; its
//! first use does the same.

use countersign_authority::agent::Possession;
use countersign_authority::confirm::ConfirmError;
use countersign_authority::settings::SettingsChange;
use countersign_core::audit::AuditEvent;
use countersign_core::certificate::{CertificateState, RevocationReason};
use countersign_core::ids::CertificateId;
use countersign_core::proof::ProofSubject;
use countersign_core::settings::OverlapHours;
use countersign_core::snapshot::Standing;

use super::house::{Device, HOUR, House, MINUTE, SECOND, claim, fresh_key, refused};

impl House {
    async fn confirm_by(
        &self,
        device: &Device,
        id: CertificateId,
        by: Possession,
    ) -> Result<(), ConfirmError> {
        self.authority.confirm(&self.caller(device).await, id, &by).await
    }

    async fn unconfirmed(&self) -> (Device, countersign_testkit::TestKey, CertificateId) {
        let device = self.device("pump").await;
        let key = fresh_key();
        let id = self.renew(&device, &key).await.unwrap().id;
        (device, key, id)
    }
}

#[tokio::test]
async fn the_new_one_is_active_and_the_old_one_superseded_then_revoked() {
    let house = House::new().await;
    let (device, _key, id) = house.unconfirmed().await;
    let old = house.in_state(device.id, CertificateState::Active).await;
    for _ in 0..3 {
        house.confirm(&device, id).await.unwrap();
    }
    assert_eq!(house.count(AuditEvent::CertificateActivated).await, 1, "again changes nothing");
    let (new, old) = (house.certificate(id).await, house.certificate(old.id).await);
    assert_eq!((new.state, house.standing(&new).await), (CertificateState::Active, Standing::Valid));
    assert_eq!((old.state, house.standing(&old).await), (CertificateState::Superseded, Standing::Superseded));
    assert_eq!(old.superseded_until, Some(house.now() + HOUR * 24));
    assert_eq!(house.row(device.id).await.certificate.unwrap().serial, new.reference.serial);
    house.check(&[device.id]).await;

    house.pass(HOUR * 24);
    house.authority.sweep().await.unwrap();
    assert_eq!(house.certificate(old.id).await.state, CertificateState::Superseded);
    house.pass(SECOND);
    house.authority.sweep().await.unwrap();
    let old = house.certificate(old.id).await;
    assert_eq!(old.reason, Some(RevocationReason::Superseded));
    assert_eq!(house.standing(&old).await, Standing::Revoked);
    assert_eq!(house.standing(&new).await, Standing::Valid);
    house.check(&[device.id]).await;
}

#[tokio::test]
async fn the_overlap_is_the_tenants() {
    let house = House::new().await;
    let change =
        SettingsChange { renewal_overlap_hours: OverlapHours::new(0).ok(), ..SettingsChange::default() };
    house.change(change).await;
    let device = house.renewed(house.device("pump").await).await;
    house.pass(SECOND);
    house.authority.sweep().await.unwrap();
    assert_eq!(house.states(device.id).await, [CertificateState::Active, CertificateState::Revoked]);
}

#[tokio::test]
async fn it_takes_the_new_key() {
    let house = House::new().await;
    let (device, key, id) = house.unconfirmed().await;
    let old = house.in_state(device.id, CertificateState::Active).await;
    let stale = house.proof(&device, &device.key, ProofSubject::Confirm(id)).await;
    let other = house.proof(&device, &key, ProofSubject::Confirm(CertificateId::random())).await;
    // An edge's word that the new one was shown confirms nothing by itself.
    let told = Possession::Told(claim(&house.certificate(id).await));
    for by in [Possession::None, Possession::Handshake(claim(&old)), told, stale, other] {
        let refusal = refused(house.confirm_by(&device, id, by.clone()).await);
        assert!(matches!(refusal, ConfirmError::ProofNeeded), "{by:?}: {refusal}");
    }
    assert_eq!(house.certificate(id).await.state, CertificateState::PendingActivation);
    let good = house.proof(&device, &key, ProofSubject::Confirm(id)).await;
    house.confirm_by(&device, id, good.clone()).await.unwrap();
    let again = refused(house.confirm_by(&device, id, good).await);
    assert!(matches!(again, ConfirmError::ProofNeeded), "a challenge is good once: {again}");
}

#[tokio::test]
async fn what_is_in_use_may_be_confirmed_again_by_an_edges_word_alone() {
    let house = House::new().await;
    let (device, _key, id) = house.unconfirmed().await;
    let old = house.in_state(device.id, CertificateState::Active).await;
    let new = house.certificate(id).await;
    house.authority.first_use(new.reference.clone()).await.unwrap();
    house.confirm_by(&device, id, Possession::Told(claim(&new))).await.unwrap();
    let refusal = refused(house.confirm_by(&device, id, Possession::Told(claim(&old))).await);
    assert!(matches!(refusal, ConfirmError::ProofNeeded), "{refusal}");
}

#[tokio::test]
async fn another_devices_certificate_is_unknown() {
    let house = House::new().await;
    let (_device, _key, id) = house.unconfirmed().await;
    let other = house.device("other").await;
    for id in [id, CertificateId::random()] {
        let refusal = refused(house.confirm_by(&other, id, Possession::None).await);
        assert!(matches!(refusal, ConfirmError::Unknown), "{refusal}");
    }
}

#[tokio::test]
async fn a_state_that_cannot_be_confirmed_is_named() {
    let house = House::new().await;
    let (device, _key, id) = house.unconfirmed().await;
    let old = house.in_state(device.id, CertificateState::Active).await;
    house.confirm(&device, id).await.unwrap();
    let refusal = refused(house.confirm(&device, old.id).await);
    assert!(matches!(refusal, ConfirmError::Conflict(CertificateState::Superseded)), "{refusal}");

    house.pass(MINUTE);
    let device = Device { key: fresh_key(), ..device };
    let pending = house.renew(&device, &device.key).await.unwrap().id;
    let reason = RevocationReason::Unspecified;
    house.authority.revoke_certificate(&house.operate(), pending, reason).await.unwrap();
    let refusal = refused(house.confirm(&device, pending).await);
    assert!(matches!(refusal, ConfirmError::Conflict(CertificateState::Revoked)), "{refusal}");
}

#[tokio::test]
async fn after_its_window_it_is_too_late_before_and_after_the_sweep() {
    let house = House::new().await;
    let (device, _key, id) = house.unconfirmed().await;
    house.pass(HOUR * 24 + SECOND);
    assert!(matches!(refused(house.confirm(&device, id).await), ConfirmError::Gone));
    let reference = house.certificate(id).await.reference;
    house.authority.first_use(reference).await.unwrap();
    assert_eq!(house.certificate(id).await.state, CertificateState::PendingActivation);
    house.authority.sweep().await.unwrap();
    assert_eq!(house.certificate(id).await.state, CertificateState::Revoked);
    assert!(matches!(refused(house.confirm(&device, id).await), ConfirmError::Gone));
    assert_eq!(
        house.standing(&house.in_state(device.id, CertificateState::Active).await).await,
        Standing::Valid
    );
    house.check(&[device.id]).await;
}

#[tokio::test]
async fn at_the_last_moment_of_its_window_it_is_not_too_late() {
    let house = House::new().await;
    let (device, _key, id) = house.unconfirmed().await;
    house.pass(HOUR * 24);
    house.authority.sweep().await.unwrap();
    house.confirm(&device, id).await.unwrap();
}

#[tokio::test]
async fn the_first_use_confirms() {
    let house = House::new().await;
    let (device, _key, id) = house.unconfirmed().await;
    let row = house.certificate(id).await;
    for _ in 0..2 {
        house.authority.first_use(row.reference.clone()).await.unwrap();
    }
    assert_eq!(house.states(device.id).await, [CertificateState::Active, CertificateState::Superseded]);
    assert_eq!(house.standing(&row).await, Standing::Valid);
    house.confirm(&device, id).await.unwrap();
    house.check(&[device.id]).await;
}

#[tokio::test]
async fn a_quarantined_device_confirms_nothing_whether_known_to_be_or_not() {
    let house = House::new().await;
    let (device, _key, id) = house.unconfirmed().await;
    let early = house.caller(&device).await;
    house.authority.quarantine_device(&house.operate(), device.id, "x".parse().unwrap()).await.unwrap();
    let row = house.certificate(id).await;
    for caller in [early, house.caller(&device).await] {
        let over_itself = Possession::Handshake(claim(&row));
        let refusal = refused(house.authority.confirm(&caller, id, &over_itself).await);
        assert!(matches!(refusal, ConfirmError::Quarantined), "{refusal}");
    }
    house.authority.first_use(row.reference.clone()).await.unwrap();
    assert_eq!(house.certificate(id).await.state, CertificateState::PendingActivation);
    house.check(&[device.id]).await;
}

#[tokio::test]
async fn a_key_that_was_denied_meanwhile_confirms_nothing() {
    let house = House::new().await;
    let (device, key, id) = house.unconfirmed().await;
    let twin = super::house::request(&house.key().await, "clone", Some(&key));
    let twin = house.enrol(&twin).await.unwrap().device.id;
    house.authority.deny(&house.operate(), twin).await.unwrap();
    let refusal = refused(house.confirm(&device, id).await);
    assert!(matches!(refusal, ConfirmError::ProofNeeded), "{refusal}");
    house.check(&[device.id, twin]).await;
}
