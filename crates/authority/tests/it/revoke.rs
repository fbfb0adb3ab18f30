//! A revoked certificate and its key are never good again, and whoever is left with nothing usable is
//! quarantined.

use countersign_authority::Forbidden;
use countersign_authority::renew::RenewError;
use countersign_authority::revoke::RevokeError;
use countersign_core::audit::AuditEvent;
use countersign_core::certificate::{CertificateState, RevocationReason};
use countersign_core::device::{DeviceStatus, QuarantineReason};
use countersign_core::ids::CertificateId;
use countersign_core::snapshot::Standing;
use countersign_store::Role;
use futures_util::future::join_all;

use super::house::{DAY, Device, House, MINUTE, SECOND, fresh_key, refused};

use CertificateState::{Active, PendingActivation, Revoked, Superseded};

impl House {
    async fn revoke(&self, id: CertificateId, reason: RevocationReason) -> Result<(), RevokeError> {
        self.authority.revoke_certificate(&self.operate(), id, reason).await.map(drop)
    }

    /// A device with one superseded, one active and one pending certificate, with keys of their own.
    async fn device_with_all(&self) -> Device {
        let device = self.renewed(self.device("pump").await).await;
        self.pass(MINUTE);
        self.renew(&device, &fresh_key()).await.unwrap();
        assert_eq!(self.states(device.id).await, [PendingActivation, Active, Superseded]);
        device
    }

    async fn is_quarantined_for_revocation(&self, device: &Device) {
        let row = self.row(device.id).await;
        assert_eq!(row.status, DeviceStatus::Quarantined);
        assert_eq!(row.quarantined_reason.unwrap().as_str(), QuarantineReason::REVOKED);
        self.check(&[device.id]).await;
    }
}

#[tokio::test]
async fn revoking_the_active_one_takes_all_and_quarantines_the_device() {
    let house = House::new().await;
    let device = house.device_with_all().await;
    let active = house.in_state(device.id, Active).await;
    let revoked = house
        .authority
        .revoke_certificate(&house.operate(), active.id, RevocationReason::KeyCompromise)
        .await
        .unwrap();
    assert_eq!(revoked.at, house.now());
    assert_eq!(house.states(device.id).await, [Revoked; 3]);
    for row in house.certificates(device.id).await {
        assert_eq!(house.standing(&row).await, Standing::Revoked);
        assert_eq!(row.reason, Some(RevocationReason::KeyCompromise));
    }
    house.is_quarantined_for_revocation(&device).await;
}

#[tokio::test]
async fn a_pending_or_superseded_one_goes_alone() {
    let house = House::new().await;
    let device = house.device_with_all().await;
    for (state, left) in
        [(PendingActivation, vec![Active, Superseded, Revoked]), (Superseded, vec![Active, Revoked, Revoked])]
    {
        let row = house.in_state(device.id, state).await;
        house.revoke(row.id, RevocationReason::KeyCompromise).await.unwrap();
        assert_eq!(house.states(device.id).await, left);
        assert_eq!(house.standing(&row).await, Standing::Revoked);
    }
    let active = house.in_state(device.id, Active).await;
    assert_eq!(house.standing(&active).await, Standing::Valid);
    assert_eq!(house.row(device.id).await.status, DeviceStatus::Pending);
    house.check(&[device.id]).await;
}

#[tokio::test]
async fn certificates_of_one_key_fall_together() {
    let house = House::new().await;
    let device = house.device("pump").await;
    let pending = house.renew(&device, &device.key).await.unwrap();
    house.revoke(pending.id, RevocationReason::Unspecified).await.unwrap();
    assert_eq!(house.states(device.id).await, [Revoked, Revoked]);
    house.is_quarantined_for_revocation(&device).await;
}

#[tokio::test]
async fn the_last_usable_one_leaves_a_quarantined_device_even_if_it_was_pending() {
    let house = House::with_issuer(countersign_authority::IssuerMode::None).await;
    let key = fresh_key();
    let request = super::house::request(&house.key().await, "pump", Some(&key));
    let device = Device::new(&house.enrol(&request).await.unwrap(), key);
    let house = house.restarted(countersign_authority::IssuerMode::Embedded).await;
    let first = house.renew_by_proof(&device, &device.key, &device.key).await.unwrap();
    house.revoke(first.id, RevocationReason::Unspecified).await.unwrap();
    house.is_quarantined_for_revocation(&device).await;
    house.authority.approve(&house.operate(), device.id).await.unwrap();
    let refusal = refused(house.renew_by_proof(&device, &device.key, &fresh_key()).await);
    assert!(matches!(refusal, RenewError::ProofNeeded), "{refusal}");
}

#[tokio::test]
async fn an_active_one_revoked_as_superseded_loses_its_key_too() {
    let house = House::new().await;
    let device = house.device("pump").await;
    let active = house.in_state(device.id, Active).await;
    house.revoke(active.id, RevocationReason::Superseded).await.unwrap();
    house.is_quarantined_for_revocation(&device).await;
    assert!(house.authority.snapshot().denied_keys.contains(&active.spki));
    let again = super::house::request(&house.key().await, "elsewhere", Some(&device.key));
    refused(house.enrol(&again).await);
}

#[tokio::test]
async fn approving_does_not_bring_a_revoked_key_back() {
    let house = House::new().await;
    let device = house.device("pump").await;
    house.revoke(house.in_state(device.id, Active).await.id, RevocationReason::Unspecified).await.unwrap();
    house.authority.approve(&house.operate(), device.id).await.unwrap();
    let refusal = refused(house.renew_by_proof(&device, &device.key, &fresh_key()).await);
    assert!(matches!(refusal, RenewError::ProofNeeded), "{refusal}");
    house.check(&[device.id]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_at_once_one_wins_and_again_is_refused() {
    let house = House::new().await;
    let device = house.device("pump").await;
    let id = house.in_state(device.id, Active).await.id;
    let outcomes = join_all((0..6).map(|_| house.revoke(id, RevocationReason::Unspecified))).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    let lost = outcomes.into_iter().filter_map(Result::err);
    assert!(lost.into_iter().all(|error| matches!(error, RevokeError::AlreadyRevoked)));
    assert_eq!(house.count(AuditEvent::CertificateRevoked).await, 1);
    house.check(&[device.id]).await;
}

#[tokio::test]
async fn what_cannot_be_revoked_is_named() {
    let house = House::new().await;
    let reason = RevocationReason::Unspecified;
    let unknown = house.revoke(CertificateId::random(), reason).await;
    assert!(matches!(unknown, Err(RevokeError::Unknown)));
    let device = house.device("pump").await;
    let id = house.in_state(device.id, Active).await.id;
    let other =
        house.authority.create_tenant(&house.own(), "other".parse().unwrap(), "Other".into()).await.unwrap();
    let stranger = house.person(Role::Operator, Some(other.id)).await.authorize().unwrap();
    let foreign = house.authority.revoke_certificate(&stranger, id, reason).await;
    assert!(matches!(foreign, Err(RevokeError::Forbidden(Forbidden::OtherTenant))));
    house.pass(DAY * 90 + SECOND);
    house.authority.sweep().await.unwrap();
    assert!(matches!(house.revoke(id, reason).await, Err(RevokeError::Expired)));
    house.check(&[device.id]).await;
}
