//! What a denial left behind is taken back, with effect on the doors, and a revoked key stays refused.

use countersign_authority::denials::{LiftError, TraitKind};
use countersign_authority::enrol::EnrolError;
use countersign_authority::{Administer, Authorized, Forbidden};
use countersign_core::audit::AuditEvent;
use countersign_core::certificate::CertificateState;
use countersign_core::device::DeviceStatus;
use countersign_core::snapshot::Standing;
use countersign_store::Role;

use super::house::{Device, House, fresh_key, refused, request, spki};

#[tokio::test]
async fn a_lifted_key_counts_again_unless_it_was_revoked() {
    let house = House::new().await;
    // Denied while it was pending, so that no certificate of it was ever revoked; and a twin uses it.
    let key = fresh_key();
    let quarantined = house.key_like(countersign_authority::enrollment_keys::WantedKey {
        approval: countersign_authority::enrollment_keys::Approval::Required,
        ..super::house::wanted_key()
    });
    let waiting = request(&quarantined.await.key, "clone", Some(&key));
    let clone = house.enrol(&waiting).await.unwrap().device.id;
    let original =
        Device::new(&house.enrol(&request(&house.key().await, "original", Some(&key))).await.unwrap(), key);
    let row = house.in_state(original.id, CertificateState::Active).await;
    house.authority.deny(&house.operate(), clone).await.unwrap();
    assert_eq!(house.standing(&row).await, Standing::Revoked);

    let lifted = house.authority.lift_denied_key(&house.administer(), spki(&original.key)).await.unwrap();
    assert!(!lifted.is_revoked);
    assert_eq!(house.standing(&row).await, Standing::Valid);
    assert_eq!(house.row(clone).await.status, DeviceStatus::Decommissioned);
    let again = house.authority.lift_denied_key(&house.administer(), spki(&original.key)).await;
    assert!(matches!(again, Err(LiftError::Unknown)));
    house.check(&[clone, original.id]).await;

    house.authority.deny(&house.operate(), original.id).await.unwrap();
    let lifted = house.authority.lift_denied_key(&house.administer(), spki(&original.key)).await.unwrap();
    assert!(lifted.is_revoked);
    let refusal = refused(house.enrol(&request(&house.key().await, "third", Some(&original.key))).await);
    assert!(matches!(refusal, EnrolError::KeyDenied), "{refusal}");
    assert_eq!(house.count(AuditEvent::DeniedKeyLifted).await, 2);
    house.check(&[clone, original.id]).await;
}

#[tokio::test]
async fn a_lifted_host_name_is_a_name_like_any_other() {
    let house = House::new().await;
    let device = house.device("lost").await;
    house.authority.deny(&house.operate(), device.id).await.unwrap();
    let twin = house.enrol(&request(&house.key().await, "LOST", Some(&fresh_key()))).await.unwrap();
    assert_eq!(twin.device.status, DeviceStatus::Quarantined);

    let default = house.authority.find_tenant(&house.view(), "default").await.unwrap();
    let other =
        house.authority.create_tenant(&house.own(), "other".parse().unwrap(), "Other".into()).await.unwrap();
    let stranger: Authorized<Administer> =
        house.person(Role::Admin, Some(other.id)).await.authorize().unwrap();
    let lift = async |by: &Authorized<Administer>| {
        let (tenant, kind) = (default.clone(), TraitKind::Hostname);
        house.authority.lift_denied_trait(by, tenant, kind, "Lost".to_owned()).await
    };
    assert!(matches!(lift(&stranger).await, Err(LiftError::Forbidden(Forbidden::OtherTenant))));
    lift(&house.administer()).await.unwrap();
    assert!(matches!(lift(&house.administer()).await, Err(LiftError::Unknown)));
    let twin = house.enrol(&request(&house.key().await, "Lost", Some(&fresh_key()))).await.unwrap();
    assert_eq!(twin.device.status, DeviceStatus::Pending);
    assert_eq!(house.count(AuditEvent::DeniedTraitLifted).await, 1);
    house.check(&[device.id]).await;
}
