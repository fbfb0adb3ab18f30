//! What trust snapshots are made from holds exactly what doors must know.

use countersign_core::certificate::CertificateState;
use countersign_core::device::DeviceStatus;
use countersign_core::ids::{DeviceId, SpkiSha256};
use countersign_store::{BarredDevice, DeniedKeyRow, SupersededCertificate};

use crate::fixture::{DAY, Fixture, now, read, write};

#[tokio::test]
async fn the_whole_and_each_devices_part_say_the_same() {
    let fixture = Fixture::new().await;
    let device = fixture.device("d1").await;
    fixture.certificate(&device, CertificateState::Active).await;
    let pending = fixture.certificate(&device, CertificateState::PendingActivation).await;
    let superseded = fixture.certificate(&device, CertificateState::Superseded).await;
    fixture.certificate(&device, CertificateState::Expired).await;
    let other = fixture.device("d2").await;
    let active = fixture.certificate(&other, CertificateState::Active).await;
    let revoked = fixture.revoke(&active).await;
    let denied = SpkiSha256::from([5; 32]);
    let row = DeniedKeyRow { spki: denied, tenant: other.tenant, device: other.id, at: now() };
    write!(fixture.store, |w| w.insert_denied_key(&row)).unwrap();
    let mut gone = other.clone();
    gone.status = DeviceStatus::Decommissioned;
    assert!(write!(fixture.store, |w| w.update_device(&gone)).unwrap());
    let version = write!(fixture.store, |w| w.raise_epoch()).unwrap();

    let whole = read!(fixture.store, |r| r.trust_material(now())).unwrap();
    assert_eq!(whole.version, version);
    assert_eq!(whole.tenants, std::slice::from_ref(&fixture.tenant));
    let barred = BarredDevice {
        tenant: other.tenant_slug.clone(),
        name: other.name.clone(),
        status: DeviceStatus::Decommissioned,
    };
    assert_eq!(whole.barred, [barred]);
    assert_eq!(whole.pending, [pending.reference]);
    let until = superseded.superseded_until.unwrap();
    assert_eq!(whole.superseded, [SupersededCertificate { reference: superseded.reference, until }]);
    assert_eq!(whole.revocations.len(), 1);
    assert_eq!(whole.revocations[0].reference, revoked.reference);
    assert_eq!(whole.revocations[0].spki, Some(revoked.spki));
    assert_eq!(whole.denied_keys, [denied]);

    let (first, second) = (device.id, other.id);
    let first = read!(fixture.store, |r| r.device_trust(first, now())).unwrap().unwrap();
    assert_eq!(
        (&first.tenant, &first.name, first.status),
        (&device.tenant_slug, &device.name, device.status)
    );
    assert_eq!((&first.pending, &first.superseded), (&whole.pending, &whole.superseded));
    assert!(first.revocations.is_empty() && first.denied_keys.is_empty());
    let second = read!(fixture.store, |r| r.device_trust(second, now())).unwrap().unwrap();
    assert_eq!(second.status, DeviceStatus::Decommissioned);
    assert_eq!((second.revocations, second.denied_keys), (whole.revocations, whole.denied_keys));
    assert!(second.pending.is_empty() && second.superseded.is_empty());
    assert_eq!(second.version, version);
}

#[tokio::test]
async fn what_has_ended_is_left_out() {
    let fixture = Fixture::new().await;
    let device = fixture.device("d1").await;
    fixture.certificate(&device, CertificateState::PendingActivation).await;
    fixture.certificate(&device, CertificateState::Superseded).await;
    let active = fixture.certificate(&device, CertificateState::Active).await;
    fixture.revoke(&active).await;
    let later = now() + DAY * 91;
    let whole = read!(fixture.store, |r| r.trust_material(later)).unwrap();
    assert!(whole.pending.is_empty() && whole.superseded.is_empty() && whole.revocations.is_empty());
    let id = device.id;
    let part = read!(fixture.store, |r| r.device_trust(id, later)).unwrap().unwrap();
    assert!(part.pending.is_empty() && part.superseded.is_empty() && part.revocations.is_empty());
    let unknown = DeviceId::random();
    assert!(read!(fixture.store, |r| r.device_trust(unknown, later)).unwrap().is_none());
}

#[tokio::test]
async fn the_epoch_rises_with_every_change_of_trust() {
    let fixture = Fixture::new().await;
    let mut last = read!(fixture.store, |r| r.snapshot_version()).unwrap();
    for _ in 0..3 {
        let next = write!(fixture.store, |w| w.raise_epoch()).unwrap();
        assert!(next > last);
        last = next;
    }
    assert_eq!(read!(fixture.store, |r| r.snapshot_version()).unwrap(), last);
}
