//! The seed's renewal by bearer token alone: only behind its switch, and written down as weak.

use countersign_authority::renew::RenewError;
use countersign_authority::settings::SettingsChange;
use countersign_core::audit::AuditEvent;
use countersign_core::certificate::{CertificateState, RevocationReason};
use countersign_core::settings::{ExpiredCertPolicy, Permission};
use countersign_core::snapshot::Standing;

use super::house::{DAY, House, MINUTE, SECOND, fresh_key, refused, request};

async fn house(allowed: Permission) -> House {
    let house = House::new().await;
    let change = SettingsChange { allow_bearer_only_renewal: Some(allowed), ..SettingsChange::default() };
    house.change(change).await;
    house
}

#[tokio::test]
async fn fails_closed_without_the_switch() {
    let house = house(Permission::Refused).await;
    let device = house.device("pump").await;
    let caller = house.caller(&device).await;
    let refusal = refused(house.authority.renew_unsafe_bearer_only(&caller).await);
    assert!(matches!(refusal, RenewError::ProofNeeded), "{refusal}");
    assert_eq!(house.states(device.id).await, [CertificateState::Active]);
}

#[tokio::test]
async fn the_server_makes_the_key_and_the_old_certificate_is_revoked_at_once() {
    let house = house(Permission::Allowed).await;
    let device = house.device("pump").await;
    let old = house.in_state(device.id, CertificateState::Active).await;
    let pending = house.renew(&device, &fresh_key()).await.unwrap();
    let caller = house.caller(&device).await;
    let renewed = house.authority.renew_unsafe_bearer_only(&caller).await.unwrap();
    assert!(renewed.mtls.private_key_pem.is_some() && renewed.confirm_before.is_none());
    let new = house.in_state(device.id, CertificateState::Active).await;
    assert_eq!((new.id, house.standing(&new).await), (renewed.id, Standing::Valid));
    for id in [old.id, pending.id] {
        let row = house.certificate(id).await;
        assert_eq!(row.reason, Some(RevocationReason::Superseded));
        assert_eq!(house.standing(&row).await, Standing::Revoked);
    }
    assert!(house.events(device.id).await.contains(&AuditEvent::WeakRenewal));
    house.check(&[device.id]).await;
}

#[tokio::test]
async fn it_uses_up_an_approval() {
    let house = house(Permission::Allowed).await;
    let device = house.device("pump").await;
    house.authority.quarantine_device(&house.operate(), device.id, "x".parse().unwrap()).await.unwrap();
    house.authority.approve(&house.operate(), device.id).await.unwrap();
    house.authority.renew_unsafe_bearer_only(&house.caller(&device).await).await.unwrap();
    assert_eq!(house.row(device.id).await.grant_until, None);
    house.pass(DAY * 2);
    house.authority.sweep().await.unwrap();
    assert!(!house.row(device.id).await.status.is_barred());
    house.check(&[device.id]).await;
}

#[tokio::test]
async fn the_policy_for_expired_certificates_holds_for_it_too() {
    let house = house(Permission::Allowed).await;
    let change = SettingsChange {
        expired_cert_policy: Some(ExpiredCertPolicy::Quarantine),
        ..SettingsChange::default()
    };
    house.change(change).await;
    let device = house.device("pump").await;
    house.pass(DAY * 90 + SECOND);
    let refusal = refused(house.authority.renew_unsafe_bearer_only(&house.caller(&device).await).await);
    assert!(matches!(refusal, RenewError::Quarantined), "{refusal}");
    house.check(&[device.id]).await;
}

#[tokio::test]
async fn a_device_whose_certificate_was_revoked_gets_none_by_it() {
    let house = house(Permission::Allowed).await;
    let device = house.device("pump").await;
    let active = house.in_state(device.id, CertificateState::Active).await;
    let reason = RevocationReason::Superseded;
    house.authority.revoke_certificate(&house.operate(), active.id, reason).await.unwrap();
    house.authority.approve(&house.operate(), device.id).await.unwrap();
    let refusal = refused(house.authority.renew_unsafe_bearer_only(&house.caller(&device).await).await);
    assert!(matches!(refusal, RenewError::ProofNeeded), "{refusal}");
}

#[tokio::test]
async fn it_is_limited_and_neither_starves_nor_replaces_proved_renewals() {
    let house = house(Permission::Allowed).await;
    let device = house.device("pump").await;
    let caller = house.caller(&device).await;
    for _ in 0..10 {
        house.authority.renew_unsafe_bearer_only(&caller).await.unwrap();
    }
    let refusal = refused(house.authority.renew_unsafe_bearer_only(&caller).await);
    assert!(matches!(refusal, RenewError::TooMany(_)), "{refusal}");
    house.renew(&device, &fresh_key()).await.unwrap();
    house.check(&[device.id]).await;

    let without = house.enrol(&request(&house.key().await, "bare", None)).await.unwrap();
    let caller = house.authority.authenticate_agent(&without.token).await.unwrap();
    house.pass(MINUTE);
    let refusal = refused(house.authority.renew_unsafe_bearer_only(&caller).await);
    assert!(matches!(refusal, RenewError::ProofNeeded), "{refusal}");
}
