//! A device that proves its key gets a certificate to confirm, as often as the policy says.

use countersign_authority::renew::RenewError;
use countersign_authority::settings::SettingsChange;
use countersign_core::audit::AuditEvent;
use countersign_core::certificate::{CertificateState, RevocationReason};
use countersign_core::device::{DeviceStatus, QuarantineReason};
use countersign_core::settings::{Days, ExpiredCertPolicy};
use countersign_core::snapshot::Standing;

use super::house::{DAY, Device, HOUR, House, SECOND, fresh_key, refused, spki};

const HALF_A_MINUTE: std::time::Duration = std::time::Duration::from_secs(30);

impl House {
    async fn with_policy(policy: ExpiredCertPolicy) -> Self {
        let house = Self::new().await;
        let change = SettingsChange {
            expired_cert_policy: Some(policy),
            recovery_window_days: Some(Some(Days::new(10).unwrap())),
            ..SettingsChange::default()
        };
        house.change(change).await;
        house
    }

    async fn quarantined_for(&self, device: &Device) -> Option<String> {
        self.row(device.id).await.quarantined_reason.map(|reason| reason.to_string())
    }
}

#[tokio::test]
async fn the_new_one_waits_to_be_confirmed_beside_the_old_one() {
    let house = House::new().await;
    let device = house.device("pump").await;
    let key = fresh_key();
    let renewed = house.renew(&device, &key).await.unwrap();
    assert_eq!(renewed.confirm_before, Some(house.now() + HOUR * 24));
    let new = house.certificate(renewed.id).await;
    assert_eq!((new.state, new.spki), (CertificateState::PendingActivation, spki(&key)));
    assert_eq!(house.standing(&new).await, Standing::Pending);
    let old = house.in_state(device.id, CertificateState::Active).await;
    assert_eq!(house.standing(&old).await, Standing::Valid);
    assert_eq!(house.row(device.id).await.certificate.unwrap().serial, old.reference.serial);
    house.check(&[device.id]).await;
}

#[tokio::test]
async fn a_signature_is_as_good_as_the_handshake() {
    let house = House::new().await;
    let device = house.device("pump").await;
    house.renew_by_proof(&device, &device.key, &fresh_key()).await.unwrap();
    assert_eq!(
        house.states(device.id).await,
        [CertificateState::PendingActivation, CertificateState::Active]
    );
}

#[tokio::test]
async fn the_same_key_again_gets_the_same_certificate_and_another_key_replaces_it() {
    let house = House::new().await;
    let device = house.device("pump").await;
    let key = fresh_key();
    let first = house.renew(&device, &key).await.unwrap();
    for _ in 0..3 {
        let again = house.renew(&device, &key).await.unwrap();
        assert_eq!((again.id, again.confirm_before), (first.id, first.confirm_before));
        assert_eq!(again.mtls.certificate_pem, first.mtls.certificate_pem);
    }
    let soon = refused(house.renew(&device, &fresh_key()).await);
    assert!(matches!(soon, RenewError::TooMany(_)), "{soon}");

    house.pass(HALF_A_MINUTE);
    let second = house.renew(&device, &fresh_key()).await.unwrap();
    assert_ne!(second.id, first.id);
    let replaced = house.certificate(first.id).await;
    assert_eq!(replaced.reason, Some(RevocationReason::Superseded));
    assert_eq!(house.standing(&replaced).await, Standing::Revoked);
    house.check(&[device.id]).await;
}

#[tokio::test]
async fn once_its_window_is_over_the_same_key_gets_another_certificate() {
    let house = House::new().await;
    let device = house.device("pump").await;
    let key = fresh_key();
    let first = house.renew(&device, &key).await.unwrap();
    house.pass(HOUR * 24 + SECOND);
    let second = house.renew(&device, &key).await.unwrap();
    assert_ne!(second.id, first.id);
    house.confirm(&device, second.id).await.unwrap();
    house.check(&[device.id]).await;
}

#[tokio::test]
async fn a_device_may_keep_its_key_for_ever() {
    let house = House::new().await;
    let device = house.device("pump").await;
    for _ in 0..3 {
        house.pass(DAY * 60);
        house.authority.sweep().await.unwrap();
        let renewed = house.renew(&device, &device.key).await.unwrap();
        house.confirm(&device, renewed.id).await.unwrap();
        house.pass(HOUR * 25);
        house.authority.sweep().await.unwrap();
        let current = house.in_state(device.id, CertificateState::Active).await;
        assert_eq!(house.standing(&current).await, Standing::Valid, "the old one is revoked, its key is not");
        house.check(&[device.id]).await;
    }
    assert_eq!(house.states(device.id).await.len(), 4);
}

#[tokio::test]
async fn a_key_of_a_revoked_certificate_is_not_certified_again() {
    let house = House::new().await;
    let (device, other) = (house.device("pump").await, house.device("other").await);
    house.authority.deny(&house.operate(), other.id).await.unwrap();
    let refusal = refused(house.renew(&device, &other.key).await);
    assert!(matches!(refusal, RenewError::KeyDenied), "{refusal}");
    house.renew(&device, &fresh_key()).await.unwrap();
}

#[tokio::test]
async fn after_expiry_under_quarantine_the_device_is_quarantined() {
    let house = House::with_policy(ExpiredCertPolicy::Quarantine).await;
    let device = house.device("pump").await;
    house.pass(DAY * 90 + SECOND);
    let refusal = refused(house.renew_by_proof(&device, &device.key, &fresh_key()).await);
    assert!(matches!(refusal, RenewError::Quarantined), "{refusal}");
    assert_eq!(house.quarantined_for(&device).await.as_deref(), Some(QuarantineReason::EXPIRED));
    assert!(house.events(device.id).await.contains(&AuditEvent::DeviceQuarantined));
    house.check(&[device.id]).await;
    house.authority.sweep().await.unwrap();
    house.check(&[device.id]).await;
    let caller = house.caller(&device).await;
    let again = refused(house.authority.renew_unsafe_bearer_only(&caller).await);
    assert!(matches!(again, RenewError::Quarantined), "{again}");
}

#[tokio::test]
async fn a_thief_cannot_have_a_device_quarantined() {
    let house = House::with_policy(ExpiredCertPolicy::Quarantine).await;
    let device = house.device("pump").await;
    house.pass(DAY * 90 + SECOND);
    let refusal = refused(house.renew_by_proof(&device, &fresh_key(), &fresh_key()).await);
    assert!(matches!(refusal, RenewError::ProofNeeded), "{refusal}");
    assert_eq!(house.row(device.id).await.status, DeviceStatus::Pending);
}

#[tokio::test]
async fn after_expiry_under_auto_reissue_a_proof_renews_within_the_recovery_window() {
    let house = House::with_policy(ExpiredCertPolicy::AutoReissue).await;
    let device = house.device("pump").await;
    house.pass(DAY * 100);
    house.authority.sweep().await.unwrap();
    let key = fresh_key();
    let renewed = house.renew_by_proof(&device, &device.key, &key).await.unwrap();
    house.confirm(&device, renewed.id).await.unwrap();
    assert_eq!(house.states(device.id).await, [CertificateState::Active, CertificateState::Expired]);
    house.check(&[device.id]).await;

    house.pass(DAY * 100 + SECOND);
    house.authority.sweep().await.unwrap();
    let refusal = refused(house.renew_by_proof(&device, &key, &fresh_key()).await);
    assert!(matches!(refusal, RenewError::Quarantined), "{refusal}");
    assert_eq!(house.quarantined_for(&device).await.as_deref(), Some(QuarantineReason::EXPIRED));
    house.check(&[device.id]).await;
}

#[tokio::test]
async fn a_renewal_that_was_lost_after_expiry_does_not_lock_the_device_out() {
    let house = House::with_policy(ExpiredCertPolicy::AutoReissue).await;
    let device = house.device("pump").await;
    house.pass(DAY * 91);
    house.authority.sweep().await.unwrap();
    house.renew_by_proof(&device, &device.key, &fresh_key()).await.unwrap();
    house.pass(DAY * 2);
    house.authority.sweep().await.unwrap();
    assert_eq!(house.states(device.id).await, [CertificateState::Revoked, CertificateState::Expired]);
    house.renew_by_proof(&device, &device.key, &fresh_key()).await.unwrap();
    house.check(&[device.id]).await;
}

#[tokio::test]
async fn the_key_before_a_revoked_one_does_not_count_again() {
    let house = House::with_policy(ExpiredCertPolicy::AutoReissue).await;
    let first = house.device("pump").await;
    house.pass(DAY * 91);
    house.authority.sweep().await.unwrap();
    let key = fresh_key();
    let renewed = house.renew_by_proof(&first, &first.key, &key).await.unwrap();
    house.confirm(&first, renewed.id).await.unwrap();
    let reason = RevocationReason::KeyCompromise;
    house.authority.revoke_certificate(&house.operate(), renewed.id, reason).await.unwrap();
    house.authority.approve(&house.operate(), first.id).await.unwrap();
    let refusal = refused(house.renew_by_proof(&first, &first.key, &fresh_key()).await);
    assert!(matches!(refusal, RenewError::ProofNeeded), "{refusal}");
    house.check(&[first.id]).await;
}

#[tokio::test]
async fn a_shorter_lifetime_ends_the_window_with_the_certificate() {
    let house = House::new().await;
    let device = house.device("pump").await;
    let one_day = SettingsChange { cert_lifetime_days: Days::new(1).ok(), ..SettingsChange::default() };
    house.change(one_day).await;
    let renewed = house.renew(&device, &fresh_key()).await.unwrap();
    assert_eq!(renewed.mtls.lifetime.expires_at, house.now() + DAY);
    assert_eq!(renewed.confirm_before, Some(renewed.mtls.lifetime.expires_at));
}
