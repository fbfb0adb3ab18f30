//! An approval grants one new certificate to the pinned key, for 24 hours.

use countersign_authority::presence::Renewal;
use countersign_authority::settings::SettingsChange;
use countersign_core::certificate::CertificateState;
use countersign_core::device::{DeviceStatus, QuarantineReason};
use countersign_core::settings::ExpiredCertPolicy;

use super::house::{DAY, Device, HOUR, House, SECOND, address, fresh_key, refused, request};

/// A device whose certificate expired under the policy `quarantine`.
async fn expired() -> (House, Device) {
    let house = House::new().await;
    let change = SettingsChange {
        expired_cert_policy: Some(ExpiredCertPolicy::Quarantine),
        ..SettingsChange::default()
    };
    house.change(change).await;
    let device = house.device("pump").await;
    house.pass(DAY * 90 + SECOND);
    house.authority.sweep().await.unwrap();
    let row = house.row(device.id).await;
    assert_eq!(row.quarantined_reason.unwrap().as_str(), QuarantineReason::EXPIRED);
    (house, device)
}

#[tokio::test]
async fn it_renews_an_expired_certificate_once_and_is_used_up_by_the_confirmation() {
    let (house, device) = expired().await;
    house.authority.approve(&house.operate(), device.id).await.unwrap();
    house.authority.sweep().await.unwrap();
    assert_eq!(house.row(device.id).await.status, DeviceStatus::Offline, "the sweep leaves it alone");
    let key = fresh_key();
    let renewed = house.renew_by_proof(&device, &device.key, &key).await.unwrap();
    assert!(house.row(device.id).await.grant_until.is_some(), "until it is confirmed");
    house.confirm(&device, renewed.id).await.unwrap();
    assert_eq!(house.row(device.id).await.grant_until, None);
    house.pass(DAY * 2);
    house.authority.sweep().await.unwrap();
    assert_eq!(house.row(device.id).await.status, DeviceStatus::Offline);
    assert_eq!(house.states(device.id).await, [CertificateState::Active, CertificateState::Expired]);
    house.check(&[device.id]).await;
}

#[tokio::test]
async fn unused_for_a_day_it_ends_in_quarantine_again() {
    let (house, device) = expired().await;
    house.authority.approve(&house.operate(), device.id).await.unwrap();
    house.heartbeat(&device).await;
    house.pass(HOUR * 24);
    house.authority.sweep().await.unwrap();
    assert!(!house.row(device.id).await.status.is_barred());
    house.pass(SECOND);
    house.authority.sweep().await.unwrap();
    let row = house.row(device.id).await;
    assert_eq!(row.quarantined_reason.unwrap().as_str(), QuarantineReason::APPROVAL_UNUSED);
    house.check(&[device.id]).await;
    house.authority.approve(&house.operate(), device.id).await.unwrap();
    house.renew_by_proof(&device, &device.key, &fresh_key()).await.unwrap();
}

#[tokio::test]
async fn it_is_for_the_pinned_key_alone() {
    let (house, device) = expired().await;
    house.authority.approve(&house.operate(), device.id).await.unwrap();
    let stranger = fresh_key();
    refused(house.renew_by_proof(&device, &stranger, &stranger).await);
    assert_eq!(house.states(device.id).await, [CertificateState::Expired]);
}

#[tokio::test]
async fn a_device_with_a_good_certificate_renews_it_and_goes_on() {
    let house = House::new().await;
    let device = house.device("pump").await;
    house.authority.quarantine_device(&house.operate(), device.id, "x".parse().unwrap()).await.unwrap();
    house.authority.approve(&house.operate(), device.id).await.unwrap();
    let heard = house.authority.heartbeat(&house.caller(&device).await, None, address()).await.unwrap();
    assert_eq!(heard.renewal, Renewal::Due);
    let device = house.renewed(device).await;
    let heard = house.authority.heartbeat(&house.caller(&device).await, None, address()).await.unwrap();
    assert_eq!(heard.renewal, Renewal::NotDue);
    house.check(&[device.id]).await;
}

#[tokio::test]
async fn a_device_that_never_had_anything_to_renew_is_approved_for_good() {
    let house = House::new().await;
    let bare = house.enrol(&request(&house.key().await, "bare", None)).await.unwrap();
    let id = bare.device.id;
    house.authority.quarantine_device(&house.operate(), id, "x".parse().unwrap()).await.unwrap();
    house.authority.approve(&house.operate(), id).await.unwrap();
    house.pass(DAY * 2);
    house.authority.sweep().await.unwrap();
    assert_eq!(house.row(id).await.status, DeviceStatus::Offline);
    house.check(&[id]).await;
}
