//! A known device comes back with a key made for it: the same device, and nothing old is good any more.

use countersign_authority::IssuerMode;
use countersign_authority::agent::AgentAuthError;
use countersign_authority::enrol::{EnrolError, KeyRefusal, NoCertificate};
use countersign_authority::enrollment_keys::{Approval, WantedKey};
use countersign_authority::renew::RenewError;
use countersign_core::audit::AuditEvent;
use countersign_core::certificate::{CertificateState, RevocationReason};
use countersign_core::device::{DeviceStatus, QuarantineReason};
use countersign_core::snapshot::Standing;

use super::house::{Device, House, SECOND, fresh_key, refused, request, spki, wanted_key};

impl House {
    async fn back(&self, key: &str) -> Result<Device, EnrolError> {
        let fresh = fresh_key();
        self.enrol(&request(key, "new-hostname", Some(&fresh))).await.map(|one| Device::new(&one, fresh))
    }

    async fn revoke_active(&self, device: &Device) {
        let row = self.in_state(device.id, CertificateState::Active).await;
        let reason = RevocationReason::KeyCompromise;
        self.authority.revoke_certificate(&self.operate(), row.id, reason).await.unwrap();
    }
}

#[tokio::test]
async fn it_is_the_same_device_and_nothing_old_is_good() {
    let house = House::new().await;
    let old = house.device("pump").await;
    let pending = house.renew(&old, &fresh_key()).await.unwrap();
    let (before, active) = (house.row(old.id).await, house.in_state(old.id, CertificateState::Active).await);
    let new = house.back(&house.key_for(old.id).await).await.unwrap();
    let after = house.row(old.id).await;
    assert_eq!((new.id, after.agent, &after.name), (old.id, before.agent, &before.name));
    assert_eq!(
        (after.tenant, after.site, after.hostname.as_str()),
        (before.tenant, before.site, "new-hostname")
    );

    let unknown = house.authority.authenticate_agent(&old.token).await.unwrap_err();
    assert!(matches!(unknown, AgentAuthError::Unauthorized));
    house.caller(&new).await;
    for id in [active.id, pending.id] {
        let row = house.certificate(id).await;
        assert_eq!((row.state, house.standing(&row).await), (CertificateState::Revoked, Standing::Revoked));
    }
    let current = house.in_state(old.id, CertificateState::Active).await;
    assert_eq!((current.spki, house.standing(&current).await), (spki(&new.key), Standing::Valid));
    assert!(house.events(old.id).await.contains(&AuditEvent::DeviceReenrolled));
    house.check(&[old.id]).await;

    let late = refused(house.renew_by_proof(&new, &old.key, &fresh_key()).await);
    assert!(matches!(late, RenewError::ProofNeeded), "{late}");
}

#[tokio::test]
async fn it_takes_a_fresh_key() {
    let house = House::new().await;
    let device = house.renewed(house.device("pump").await).await;
    let before = house.certificates(device.id).await;
    let key = house.key_for(device.id).await;
    let same = house.enrol(&request(&key, "pump", Some(&device.key))).await;
    assert!(matches!(refused(same), EnrolError::KeyDenied));
    assert_eq!(house.certificates(device.id).await, before, "nothing was revoked for it");
    house.caller(&device).await;
    house.check(&[device.id]).await;
    house.back(&key).await.unwrap();
}

#[tokio::test]
async fn a_revoked_device_is_released_by_a_key_made_afterwards_and_by_no_other() {
    let house = House::new().await;
    let device = house.device("pump").await;
    let before = house.key_for(device.id).await;
    house.pass(SECOND);
    house.revoke_active(&device).await;
    assert_eq!(house.row(device.id).await.quarantined_reason.unwrap().as_str(), QuarantineReason::REVOKED);
    house.pass(SECOND);
    let after = house.key_for(device.id).await;

    let fresh = fresh_key();
    let enrolled = house.enrol(&request(&before, "pump", Some(&fresh))).await.unwrap();
    assert_eq!(enrolled.mtls.err(), Some(NoCertificate::AwaitingApproval));
    let row = house.row(device.id).await;
    assert_eq!(row.status, DeviceStatus::Quarantined);
    assert_eq!(row.quarantined_reason.unwrap().as_str(), QuarantineReason::REVOKED);
    assert_eq!(row.pending_key.as_deref(), Some(fresh.spki_der()));
    house.check(&[device.id]).await;

    let device = house.back(&after).await.unwrap();
    assert_eq!(house.row(device.id).await.status, DeviceStatus::Offline);
    let current = house.in_state(device.id, CertificateState::Active).await;
    assert_eq!(house.standing(&current).await, Standing::Valid);
    house.check(&[device.id]).await;
}

#[tokio::test]
async fn a_revocation_during_a_quarantine_outdates_the_keys_made_before_it() {
    let house = House::new().await;
    let device = house.device("pump").await;
    let reason = "lost".parse().unwrap();
    house.authority.quarantine_device(&house.operate(), device.id, reason).await.unwrap();
    house.pass(SECOND);
    let between = house.key_for(device.id).await;
    house.pass(SECOND);
    house.revoke_active(&device).await;
    let row = house.row(device.id).await;
    assert_eq!(row.quarantined_reason.unwrap().as_str(), QuarantineReason::REVOKED);
    let enrolled = house.enrol(&request(&between, "pump", Some(&fresh_key()))).await.unwrap();
    assert_eq!(enrolled.mtls.err(), Some(NoCertificate::AwaitingApproval));
    house.check(&[device.id]).await;
}

#[tokio::test]
async fn approval_can_be_required_of_a_device_that_comes_back() {
    let house = House::new().await;
    let device = house.device("pump").await;
    let wanted = WantedKey { approval: Approval::Required, device: Some(device.id), ..wanted_key() };
    let key = house.key_like(wanted).await.key;
    let new = house.back(&key).await.unwrap();
    let row = house.row(device.id).await;
    assert_eq!(row.status, DeviceStatus::Quarantined);
    assert_eq!(row.quarantined_reason.unwrap().as_str(), QuarantineReason::AWAITING_APPROVAL);
    assert_eq!(house.states(device.id).await, [CertificateState::Revoked]);
    assert!(house.events(device.id).await.contains(&AuditEvent::DeviceQuarantined));
    house.check(&[device.id]).await;

    house.authority.approve(&house.operate(), device.id).await.unwrap();
    let renewed = house.renew_by_proof(&new, &new.key, &new.key).await.unwrap();
    house.confirm(&new, renewed.id).await.unwrap();
    house.check(&[device.id]).await;
}

#[tokio::test]
async fn the_key_kept_from_coming_back_counts_and_an_expired_certificates_does_not() {
    let house = House::new().await;
    let device = house.device("pump").await;
    house.pass(super::house::DAY * 91);
    house.authority.sweep().await.unwrap();
    assert_eq!(house.states(device.id).await, [CertificateState::Expired]);
    let house = house.restarted(IssuerMode::None).await;
    let new = house.back(&house.key_for(device.id).await).await.unwrap();
    let house = house.restarted(IssuerMode::Embedded).await;
    let old = refused(house.renew_by_proof(&new, &device.key, &fresh_key()).await);
    assert!(matches!(old, RenewError::ProofNeeded), "{old}");
    let renewed = house.renew_by_proof(&new, &new.key, &fresh_key()).await.unwrap();
    house.confirm(&new, renewed.id).await.unwrap();
    house.check(&[device.id]).await;
}

#[tokio::test]
async fn a_decommissioned_device_does_not_come_back() {
    let house = House::new().await;
    let device = house.device("pump").await;
    let key = house.key_for(device.id).await;
    house.authority.decommission(&house.operate(), device.id).await.unwrap();
    let refusal = refused(house.back(&key).await);
    assert!(matches!(refusal, EnrolError::Key(KeyRefusal::Revoked)), "{refusal}");
    house.check(&[device.id]).await;
}
