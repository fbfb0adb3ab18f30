//! What time alone changes.

use countersign_authority::settings::SettingsChange;
use countersign_core::audit::AuditEvent;
use countersign_core::certificate::CertificateState;
use countersign_core::device::{DeviceStatus, QuarantineReason};
use countersign_core::settings::ExpiredCertPolicy;
use countersign_core::snapshot::Standing;
use countersign_store::IntentRow;

use super::house::{DAY, House, MINUTE, SECOND, fresh_key};

#[tokio::test]
async fn an_expired_certificate_is_marked_and_its_device_left_under_auto_reissue() {
    let house = House::new().await;
    let device = house.device("pump").await;
    house.pass(DAY * 90);
    house.authority.sweep().await.unwrap();
    assert_eq!(house.states(device.id).await, [CertificateState::Active], "its last moment is its own");
    house.pass(SECOND);
    house.authority.sweep().await.unwrap();
    let row = house.in_state(device.id, CertificateState::Expired).await;
    assert_eq!(house.standing(&row).await, Standing::Expired);
    assert_eq!(house.row(device.id).await.status, DeviceStatus::Pending);
    assert!(house.events(device.id).await.contains(&AuditEvent::CertificateExpired));
    house.check(&[device.id]).await;
    house.authority.sweep().await.unwrap();
    assert_eq!(house.count(AuditEvent::CertificateExpired).await, 1);
}

#[tokio::test]
async fn under_quarantine_its_device_is_quarantined_and_the_doors_know() {
    let house = House::new().await;
    let change = SettingsChange {
        expired_cert_policy: Some(ExpiredCertPolicy::Quarantine),
        ..SettingsChange::default()
    };
    house.change(change).await;
    let device = house.device("pump").await;
    let renewed = house.renewed(house.device("renewed").await).await;
    house.pass(DAY * 30);
    let late = house.device("late").await;
    house.pass(DAY * 60 + SECOND);
    house.authority.sweep().await.unwrap();
    for (device, barred) in [(&device, true), (&renewed, true), (&late, false)] {
        let row = house.row(device.id).await;
        assert_eq!(row.status.is_barred(), barred);
        assert_eq!(
            row.quarantined_reason.is_some_and(|why| why.as_str() == QuarantineReason::EXPIRED),
            barred
        );
    }
    house.check(&[device.id, renewed.id, late.id]).await;
}

#[tokio::test]
async fn an_expired_superseded_or_pending_certificate_quarantines_nobody() {
    let house = House::new().await;
    let change = SettingsChange {
        expired_cert_policy: Some(ExpiredCertPolicy::Quarantine),
        ..SettingsChange::default()
    };
    house.change(change).await;
    let device = house.device("pump").await;
    house.pass(DAY * 89 + MINUTE);
    let device = house.renewed(device).await;
    house.pass(DAY);
    house.authority.sweep().await.unwrap();
    assert_eq!(house.states(device.id).await, [CertificateState::Active, CertificateState::Expired]);
    assert_eq!(house.row(device.id).await.status, DeviceStatus::Pending);
    house.check(&[device.id]).await;
}

#[tokio::test]
async fn a_device_that_falls_silent_is_offline() {
    let house = House::new().await;
    let (silent, talking) = (house.device("silent").await, house.device("talking").await);
    let never = house.device("never").await;
    house.heartbeat(&silent).await;
    house.heartbeat(&talking).await;
    assert_eq!(house.row(silent.id).await.status, DeviceStatus::Online);
    house.pass(MINUTE * 3);
    house.heartbeat(&talking).await;
    house.authority.sweep().await.unwrap();
    assert_eq!(house.row(silent.id).await.status, DeviceStatus::Online, "three minutes are not over");
    house.pass(SECOND);
    house.authority.sweep().await.unwrap();
    assert_eq!(house.row(silent.id).await.status, DeviceStatus::Offline);
    assert_eq!(house.row(talking.id).await.status, DeviceStatus::Online);
    assert_eq!(house.row(never.id).await.status, DeviceStatus::Pending);
    house.heartbeat(&silent).await;
    assert_eq!(house.row(silent.id).await.status, DeviceStatus::Online);
}

#[tokio::test]
async fn an_issuance_whose_caller_went_away_is_abandoned() {
    let house = House::new().await;
    let device = house.device("pump").await;
    let mut reference = house.in_state(device.id, CertificateState::Active).await.reference;
    reference.serial = "01ffee".parse().unwrap();
    let intent = IntentRow {
        reference: reference.clone(),
        device: Some(device.id),
        profile: "device".into(),
        at: house.now(),
        expires_at: house.now() + DAY,
    };
    house.write(move |w| Box::pin(async move { w.insert_intent(&intent).await })).await;
    house.pass(MINUTE * 10);
    house.authority.sweep().await.unwrap();
    assert!(!house.authority.snapshot().denied.contains(&reference), "it may still be under way");
    house.pass(SECOND);
    house.authority.sweep().await.unwrap();
    assert!(house.authority.snapshot().denied.contains(&reference));
    assert!(house.events(device.id).await.contains(&AuditEvent::CertificateAbandoned));
    house.check(&[device.id]).await;
}

#[tokio::test]
async fn revoked_certificates_that_have_ended_are_forgotten_and_their_keys_are_not() {
    let house = House::new().await;
    let device = house.device("pump").await;
    house.renew(&device, &fresh_key()).await.unwrap();
    house.authority.deny(&house.operate(), device.id).await.unwrap();
    let before = house.authority.snapshot();
    assert_eq!((before.denied.len(), before.denied_keys.len()), (2, 2));
    house.pass(DAY * 90 + SECOND);
    house.authority.sweep().await.unwrap();
    let after = house.authority.snapshot();
    assert_eq!((after.denied.len(), after.denied_keys.len()), (0, 2));
    house.check(&[device.id]).await;
}

#[tokio::test]
async fn more_than_one_batch_is_worked_off() {
    let house = House::new().await;
    let device = house.device("pump").await;
    let active = house.in_state(device.id, CertificateState::Active).await;
    house
        .write(move |w| {
            Box::pin(async move {
                for number in 0..600_u32 {
                    let mut row = active.clone();
                    row.id = countersign_core::ids::CertificateId::random();
                    row.reference.serial = format!("01{number:08x}").parse().unwrap();
                    row.state = CertificateState::Superseded;
                    row.superseded_until = Some(row.lifetime.issued_at);
                    w.insert_certificate(&row).await?;
                }
                Ok(())
            })
        })
        .await;
    house.pass(SECOND);
    for _ in 0..2 {
        house.authority.sweep().await.unwrap();
    }
    let states = house.states(device.id).await;
    assert_eq!(states.iter().filter(|state| **state == CertificateState::Revoked).count(), 600);
    assert_eq!(house.authority.snapshot().denied.len(), 600);
}
