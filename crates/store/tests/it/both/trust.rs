//! What trust snapshots are made from holds exactly what doors must know.

use std::collections::BTreeSet;

use countersign_core::certificate::CertificateState;
use countersign_core::device::DeviceStatus;
use countersign_core::ids::SpkiSha256;
use countersign_store::{BarredDevice, DeniedKeyRow, SupersededCertificate};

use super::fixture::{DAY, Fixture, now, read, write};

#[tokio::test]
async fn it_holds_what_doors_must_know_and_no_more() {
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
    let id = other.id;
    let version = write!(fixture.store, |w| w.device_trust_changed(id)).unwrap();

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
    let keys: BTreeSet<_> = whole.denied_keys.into_iter().collect();
    assert_eq!(keys, BTreeSet::from([denied, revoked.spki]));
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
    assert_eq!(whole.denied_keys, [active.spki], "a revoked certificate's key proves nothing ever again");
    let ended = read!(fixture.store, |r| r.revocations_ended(now(), later)).unwrap();
    assert_eq!(ended, [active.reference]);
    assert!(read!(fixture.store, |r| r.revocations_ended(later, later + DAY)).unwrap().is_empty());
}

#[tokio::test]
async fn every_change_of_trust_raises_the_epoch_and_is_found_by_it() {
    let fixture = Fixture::new().await;
    let (device, other) = (fixture.device("d1").await, fixture.device("d2").await);
    let certificate = fixture.certificate(&device, CertificateState::Active).await;
    let first = read!(fixture.store, |r| r.snapshot_version()).unwrap();
    let (id, tenant) = (device.id, device.tenant);
    let second = write!(fixture.store, |w| w.device_trust_changed(id)).unwrap();
    let third = write!(fixture.store, |w| w.tenant_trust_changed(tenant)).unwrap();
    assert!(first < second && second < third);

    let all = read!(fixture.store, |r| r.trust_changes_since(first.epoch)).unwrap();
    assert_eq!(all.version, third);
    assert_eq!(all.tenants, std::slice::from_ref(&fixture.tenant));
    let [changed] = all.devices.as_slice() else { panic!("{:?}", all.devices) };
    assert_eq!(changed.id, device.id);
    let [only] = changed.certificates.as_slice() else { panic!("{changed:?}") };
    assert_eq!((&only.reference, only.state), (&certificate.reference, CertificateState::Active));
    assert!(changed.denied_keys.is_empty() && changed.lifted_keys.is_empty());

    let later = read!(fixture.store, |r| r.trust_changes_since(second.epoch)).unwrap();
    assert!(later.devices.is_empty() && later.tenants.len() == 1);
    let id = other.id;
    write!(fixture.store, |w| w.device_trust_changed(id)).unwrap();
    let latest = read!(fixture.store, |r| r.trust_changes_since(third.epoch)).unwrap();
    assert!(latest.tenants.is_empty());
    assert_eq!(latest.devices[0].id, other.id);
    assert_eq!(read!(fixture.store, |r| r.snapshot_version()).unwrap(), latest.version);
}
