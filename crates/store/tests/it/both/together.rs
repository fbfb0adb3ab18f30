//! What is asked and written for many at once is what would be for each.

use std::collections::HashSet;

use countersign_core::audit::{Actor, AuditEntry, AuditEvent};
use countersign_core::certificate::CertificateState;
use countersign_core::ids::{CertificateRef, DeviceName, SecretHash};
use countersign_store::{
    AuditFilter, CertificateRow, CertificateSummary, DeniedKeyRow, DeviceRow, IntentRow, StoreError,
};

use super::fixture::{
    DAY, Fixture, HOUR, insert_tenant, new_certificate, now, random, read, reference, write,
};

/// More than one statement of SQLite holds, and not a power of two.
const MANY: usize = 107;

fn with_certificate(mut device: DeviceRow) -> (DeviceRow, CertificateRow) {
    let certificate = new_certificate(&device, CertificateState::Active);
    device.certificate = Some(CertificateSummary {
        serial: certificate.reference.serial.clone(),
        issuer: Some(certificate.reference.issuer),
        issued_at: certificate.lifetime.issued_at,
        expires_at: certificate.lifetime.expires_at,
    });
    (device, certificate)
}

#[tokio::test]
async fn many_devices_and_certificates_read_back_as_they_were_written() {
    let fixture = Fixture::new().await;
    let (mut devices, certificates): (Vec<_>, Vec<_>) =
        (0..MANY).map(|number| with_certificate(fixture.new_device(&format!("d{number}")))).unzip();
    devices[1].hardware_serial = None;
    devices[2].pending_key = Some(vec![0, 255]);
    devices[3].hostname = "ü, {\"x\"}, NULL".to_owned();
    let (rows, signed) = (devices.clone(), certificates.clone());
    let written = fixture.store.write::<_, StoreError, _>(move |w| {
        Box::pin(async move {
            w.insert_devices(&rows).await?;
            w.insert_certificates(&signed).await
        })
    });
    written.await.unwrap();
    let tokens: Vec<SecretHash> = devices.iter().filter_map(|device| device.token).collect();
    let mut found = read!(fixture.store, |r| r.devices_by_token(&tokens)).unwrap();
    found.sort_by_key(|device| device.id);
    devices.sort_by_key(|device| device.id);
    assert_eq!(found, devices);
    for certificate in certificates {
        let id = certificate.id;
        assert_eq!(read!(fixture.store, |r| r.certificate(id)).unwrap(), Some(certificate));
    }
}

#[tokio::test]
async fn of_many_devices_none_is_written_when_one_cannot_be() {
    let fixture = Fixture::new().await;
    let taken = fixture.device("d7").await;
    let rows: Vec<_> = (0..MANY).map(|number| fixture.new_device(&format!("d{number}"))).collect();
    let first = rows[0].id;
    assert!(write!(fixture.store, |w| w.insert_devices(&rows)).is_err());
    assert!(read!(fixture.store, |r| r.device(first)).unwrap().is_none());
    let id = taken.id;
    assert!(read!(fixture.store, |r| r.device(id)).unwrap().is_some());
}

#[tokio::test]
async fn taken_names_are_those_of_the_tenant_alone() {
    let fixture = Fixture::new().await;
    let (other, _site) = insert_tenant(&fixture.store, "other").await;
    fixture.device("d1").await;
    let names: Vec<DeviceName> = ["d1", "d2", "D1"].map(|name| name.parse().unwrap()).into();
    let (mine, theirs, same) = (fixture.tenant.id, other.id, names.clone());
    let taken = read!(fixture.store, |r| r.taken_among(mine, &names)).unwrap();
    assert_eq!(taken, HashSet::from(["d1".parse().unwrap()]));
    assert!(read!(fixture.store, |r| r.taken_among(theirs, &same)).unwrap().is_empty());
    assert!(read!(fixture.store, |r| r.taken_among(mine, &[])).unwrap().is_empty());
}

#[tokio::test]
async fn denied_and_revoked_keys_are_found_among_others() {
    let fixture = Fixture::new().await;
    let device = fixture.device("d1").await;
    let (revoked, good) = (fixture.certificate(&device, CertificateState::Active).await, random().into());
    fixture.revoke(&revoked).await;
    let spki = random().into();
    let row = DeniedKeyRow { spki, tenant: device.tenant, device: device.id, at: now() };
    write!(fixture.store, |w| w.insert_denied_key(&row)).unwrap();
    let keys = [good, spki, revoked.spki];
    assert_eq!(read!(fixture.store, |r| r.denied_among(&keys)).unwrap(), HashSet::from([spki]));
    assert_eq!(read!(fixture.store, |r| r.revoked_among(&keys)).unwrap(), HashSet::from([revoked.spki]));
}

#[tokio::test]
async fn many_intents_are_reserved_found_and_finished() {
    let fixture = Fixture::new().await;
    let intents: Vec<IntentRow> = (0..MANY)
        .map(|_number| IntentRow {
            reference: reference(),
            device: None,
            profile: "device".to_owned(),
            at: now(),
            expires_at: now() + DAY,
        })
        .collect();
    let references: Vec<CertificateRef> = intents.iter().map(|intent| intent.reference.clone()).collect();
    let (again, mut asked, finished) = (intents.clone(), references.clone(), references.clone());
    write!(fixture.store, |w| w.insert_intents(&intents)).unwrap();
    assert!(write!(fixture.store, |w| w.insert_intents(&again[..1])).is_err());
    asked.push(reference());
    let found = read!(fixture.store, |r| r.intended_among(&asked)).unwrap();
    assert_eq!(found, references.into_iter().collect());
    assert_eq!(write!(fixture.store, |w| w.finish_intents(&finished)).unwrap(), MANY as u64);
    assert!(read!(fixture.store, |r| r.unfinished_intents()).unwrap().is_empty());
}

#[tokio::test]
async fn a_key_is_used_as_often_as_it_may_be_or_not_at_all() {
    let fixture = Fixture::new().await;
    let id = fixture.enrollment_key(5).await.id;
    let consume = async |times, at| write!(fixture.store, |w| w.consume_enrollment_key_times(id, times, at));
    assert!(consume(3, now()).await.unwrap());
    assert!(!consume(3, now()).await.unwrap());
    assert!(!consume(2, now() + HOUR).await.unwrap(), "expired");
    assert!(consume(2, now()).await.unwrap());
    assert_eq!(read!(fixture.store, |r| r.enrollment_key(id)).unwrap().unwrap().uses, 5);
}

#[tokio::test]
async fn entries_of_one_group_are_chained_in_their_order_in_every_chain() {
    let fixture = Fixture::new().await;
    insert_tenant(&fixture.store, "other").await;
    let chains = [None, Some("acme".parse().unwrap()), Some("other".parse().unwrap())];
    let written = (0..MANY).map(|number| {
        let entry =
            AuditEntry::new(chains[number % 3].clone(), now(), AuditEvent::LoginSucceeded, Actor::System);
        let (store, entry) = (fixture.store.clone(), entry.detail("number", number));
        async move { write!(store, |w| w.append_audit(&entry)) }
    });
    for result in futures_util::future::join_all(written).await {
        result.unwrap();
    }
    assert!(read!(fixture.store, |r| r.verify_audit()).unwrap().is_intact());
    let filter = AuditFilter { limit: 1000, ..AuditFilter::default() };
    let entries = read!(fixture.store, |r| r.audit_entries(&filter)).unwrap();
    let numbers: Vec<usize> =
        entries.iter().rev().map(|entry| entry.details["number"].parse().unwrap()).collect();
    assert_eq!(numbers, (0..MANY).collect::<Vec<_>>());
}
