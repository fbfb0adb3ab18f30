//! What a broker is told of devices follows their certificates, and every device is read once, in parts.

use countersign_core::certificate::CertificateState;
use countersign_core::device::DeviceStatus;
use countersign_store::{BrokeredDevice, DeviceRow};

use super::fixture::{DAY, Fixture, HOUR, now, read, write};

async fn found(fixture: &Fixture, device: &DeviceRow) -> BrokeredDevice {
    let id = device.id;
    read!(fixture.store, |r| r.brokered_device(now(), id)).unwrap().unwrap()
}

#[tokio::test]
async fn a_device_is_served_while_a_certificate_counts() {
    let fixture = Fixture::new().await;
    let device = fixture.device("d1").await;
    let nothing = found(&fixture, &device).await;
    assert_eq!((nothing.is_served, nothing.is_about, nothing.revoked), (false, false, 0));
    assert_eq!((nothing.tenant.as_str(), nothing.name.as_str()), ("acme", "d1"));
    let certificate = fixture.certificate(&device, CertificateState::Active).await;
    let served = found(&fixture, &device).await;
    assert_eq!((served.is_served, served.is_about, served.revoked), (true, true, 0));
    fixture.revoke(&certificate).await;
    let fell = found(&fixture, &device).await;
    assert_eq!((fell.is_served, fell.is_about, fell.revoked), (false, true, 1));
    let id = device.id;
    let later = read!(fixture.store, |r| r.brokered_device(now() + DAY * 91, id)).unwrap().unwrap();
    assert!(!later.is_about, "everything has ended");
}

#[tokio::test]
async fn a_quarantined_device_is_not_served_whatever_it_has() {
    let fixture = Fixture::new().await;
    let device = fixture.device("d1").await;
    fixture.certificate(&device, CertificateState::Active).await;
    let row = DeviceRow { status: DeviceStatus::Quarantined, ..fixture_row(&fixture, &device).await };
    assert!(write!(fixture.store, |w| w.update_device(&row)).unwrap());
    let barred = found(&fixture, &device).await;
    assert_eq!((barred.is_served, barred.is_about), (false, true));
}

async fn fixture_row(fixture: &Fixture, device: &DeviceRow) -> DeviceRow {
    let id = device.id;
    read!(fixture.store, |r| r.device(id)).unwrap().unwrap()
}

#[tokio::test]
async fn every_device_is_read_once_in_parts_and_the_late_ones_by_themselves() {
    let fixture = Fixture::new().await;
    let mut wanted = Vec::new();
    for name in ["d1", "d2", "d3"] {
        wanted.push(fixture.device(name).await.id);
    }
    let first = read!(fixture.store, |r| r.brokered_devices(now(), None, 2)).unwrap();
    let after = first.last().map(|last| last.id);
    let rest = read!(fixture.store, |r| r.brokered_devices(now(), after, 2)).unwrap();
    let mut all: Vec<_> = first.iter().chain(&rest).map(|one| one.id).collect();
    all.sort();
    wanted.sort();
    assert_eq!(all, wanted);
    let late = read!(fixture.store, |r| r.brokered_devices_enrolled_since(now(), now() - HOUR)).unwrap();
    assert_eq!(late.len(), 3);
    let none = read!(fixture.store, |r| r.brokered_devices_enrolled_since(now(), now() + HOUR)).unwrap();
    assert_eq!(none, []);
}
