//! Many certificates fall together as each would alone, and nothing falls that is not let fall.

use std::collections::BTreeSet;

use countersign_core::certificate::{CertificateState, RevocationReason};
use countersign_core::device::{DeviceStatus, QuarantineReason};
use countersign_core::ids::CertificateId;
use countersign_store::{CertificateRow, DeviceRow, Fall, Falling, RevocationSelector, StoreError};

use super::fixture::{DAY, Fixture, insert_tenant, issuer, new_certificate, now, read, write};

use CertificateState::{Active, Expired, PendingActivation, Superseded};

const COMPROMISE: Fall = Fall { at: START, reason: RevocationReason::KeyCompromise };
const START: countersign_core::time::Timestamp = countersign_core::time::Timestamp::from_secs(1_770_804_000);

impl Fixture {
    async fn gather(&self, selector: RevocationSelector, fall: Fall) -> Falling {
        let scope = None;
        let gathered = self.store.write::<_, StoreError, _>(move |w| {
            Box::pin(async move {
                let falling = w.gather_falling(&selector, scope, fall).await?;
                w.forget_falling().await?;
                Ok(falling)
            })
        });
        gathered.await.unwrap()
    }

    async fn let_fall(&self, selector: RevocationSelector, fall: Fall) -> Falling {
        let done = self.store.write::<_, StoreError, _>(move |w| {
            Box::pin(async move {
                let falling = w.gather_falling(&selector, None, fall).await?;
                w.let_fall(fall).await?;
                Ok(falling)
            })
        });
        done.await.unwrap()
    }

    /// A device with these certificates.
    async fn with(&self, name: &str, states: &[CertificateState]) -> (DeviceRow, Vec<CertificateRow>) {
        let device = self.device(name).await;
        let mut rows = Vec::new();
        for state in states {
            rows.push(self.certificate(&device, *state).await);
        }
        (device, rows)
    }

    async fn state(&self, id: CertificateId) -> CertificateState {
        read!(self.store, |r| r.certificate(id)).unwrap().unwrap().state
    }
}

fn ids(falling: &Falling) -> BTreeSet<String> {
    falling.certificates.iter().map(|one| one.id.to_string()).collect()
}

fn of(rows: &[&CertificateRow]) -> BTreeSet<String> {
    rows.iter().map(|row| row.id.to_string()).collect()
}

#[tokio::test]
async fn each_way_to_select_finds_what_can_still_be_revoked() {
    let fixture = Fixture::new().await;
    let (one, rows) = fixture.with("d1", &[Active, Superseded, Expired]).await;
    let (_two, others) = fixture.with("d2", &[Active]).await;
    let [active, superseded, _expired] = rows.as_slice() else { panic!() };
    let both = of(&[active, superseded]);
    let all = of(&[active, superseded, &others[0]]);
    for (selector, expected) in [
        (RevocationSelector::Certificates(rows.iter().map(|row| row.id).collect()), &both),
        (RevocationSelector::Serials(vec![active.reference.serial.clone()]), &both),
        (RevocationSelector::Serials(vec![superseded.reference.serial.clone()]), &of(&[superseded])),
        (RevocationSelector::Keys(vec![active.spki, others[0].spki]), &all),
        (RevocationSelector::Devices(vec![one.id]), &both),
        (RevocationSelector::Tenant(fixture.tenant.id), &all),
        (RevocationSelector::Issuer(issuer()), &all),
        (RevocationSelector::Issuer([8; 32].into()), &BTreeSet::new()),
        (RevocationSelector::Certificates(vec![CertificateId::random()]), &BTreeSet::new()),
        (RevocationSelector::Devices(Vec::new()), &BTreeSet::new()),
    ] {
        let gathered = fixture.gather(selector.clone(), COMPROMISE).await;
        assert_eq!(ids(&gathered), *expected, "{selector:?}");
    }
    assert_eq!(fixture.state(active.id).await, Active, "gathering changes nothing");
}

#[tokio::test]
async fn a_key_falls_with_its_certificates_and_a_device_with_its_last() {
    let fixture = Fixture::new().await;
    let (device, rows) = fixture.with("d1", &[Active, Superseded]).await;
    let mut pending = new_certificate(&device, PendingActivation);
    pending.spki = rows[1].spki;
    let row = pending.clone();
    write!(fixture.store, |w| w.insert_certificate(&row)).unwrap();
    let only = |row: &CertificateRow| RevocationSelector::Certificates(vec![row.id]);

    let gathered = fixture.gather(only(&pending), COMPROMISE).await;
    assert_eq!(ids(&gathered), of(&[&pending, &rows[1]]), "they share a key");
    assert!(gathered.stranded.is_empty(), "the active one stays");
    let replaced = Fall { reason: RevocationReason::Superseded, ..COMPROMISE };
    assert_eq!(ids(&fixture.gather(only(&pending), replaced).await), of(&[&pending]));
    let gathered = fixture.gather(only(&rows[0]), COMPROMISE).await;
    assert_eq!(ids(&gathered), of(&[&rows[0], &rows[1], &pending]), "all go with the active one");
    assert_eq!(gathered.stranded.len(), 1);
    let later = Fall { at: now() + DAY * 91, ..COMPROMISE };
    let gathered = fixture.gather(only(&pending), later).await;
    assert_eq!(gathered.stranded.len(), 1, "an active one that has ended is nothing usable");
}

#[tokio::test]
async fn what_falls_is_revoked_denied_and_leaves_a_quarantined_device() {
    let fixture = Fixture::new().await;
    let (stranded, rows) = fixture.with("d1", &[Active, Superseded]).await;
    let (kept, others) = fixture.with("d2", &[Active, Superseded]).await;
    let before = read!(fixture.store, |r| r.snapshot_version()).unwrap();
    let selector = RevocationSelector::Certificates(vec![rows[0].id, others[1].id]);
    let falling = fixture.let_fall(selector, COMPROMISE).await;
    assert_eq!((falling.certificates.len(), falling.stranded.len()), (3, 1));

    for (row, expected) in [(&rows[0], true), (&rows[1], true), (&others[0], false), (&others[1], true)] {
        let id = row.id;
        let now = read!(fixture.store, |r| r.certificate(id)).unwrap().unwrap();
        assert_eq!(now.state == CertificateState::Revoked, expected);
        assert_eq!(now.revoked_at, expected.then_some(START));
        assert_eq!(now.reason, expected.then_some(RevocationReason::KeyCompromise));
        let spki = row.spki;
        assert_eq!(read!(fixture.store, |r| r.spki_was_revoked(spki)).unwrap(), expected);
    }
    assert_eq!(read!(fixture.store, |r| r.live_revocations(now())).unwrap().len(), 3);
    let (id, other) = (stranded.id, kept.id);
    let row = read!(fixture.store, |r| r.device(id)).unwrap().unwrap();
    assert_eq!((row.status, row.quarantined_at), (DeviceStatus::Quarantined, Some(START)));
    assert_eq!(row.quarantined_reason.unwrap().as_str(), QuarantineReason::REVOKED);
    assert_eq!(row.revision, stranded.revision + 1);
    let row = read!(fixture.store, |r| r.device(other)).unwrap().unwrap();
    assert_eq!((row.status, row.revision), (kept.status, kept.revision));

    let changes = read!(fixture.store, |r| r.trust_changes_since(before.epoch)).unwrap();
    assert_eq!(changes.version.epoch, before.epoch + 1, "one epoch for all of them");
    let changed: BTreeSet<_> = changes.devices.iter().map(|device| device.id.to_string()).collect();
    assert_eq!(changed, BTreeSet::from([id.to_string(), other.to_string()]));
    let again = fixture.gather(RevocationSelector::Devices(vec![id]), COMPROMISE).await;
    assert_eq!(again, Falling::default());
}

#[tokio::test]
async fn a_key_in_use_is_denied_even_when_its_certificate_was_merely_replaced() {
    let fixture = Fixture::new().await;
    let (_device, rows) = fixture.with("d1", &[Active, Superseded]).await;
    let fall = Fall { reason: RevocationReason::Superseded, ..COMPROMISE };
    fixture.let_fall(RevocationSelector::Certificates(vec![rows[1].id]), fall).await;
    let (active, superseded) = (rows[0].spki, rows[1].spki);
    assert!(!read!(fixture.store, |r| r.is_key_denied(superseded)).unwrap());
    fixture.let_fall(RevocationSelector::Certificates(vec![rows[0].id]), fall).await;
    assert!(read!(fixture.store, |r| r.is_key_denied(active)).unwrap());
    assert!(!read!(fixture.store, |r| r.spki_was_revoked(active)).unwrap());
}

#[tokio::test]
async fn a_scope_keeps_other_tenants_out() {
    let fixture = Fixture::new().await;
    let (_device, rows) = fixture.with("d1", &[Active]).await;
    let (other, _site) = insert_tenant(&fixture.store, "other").await;
    for (scope, expected) in [(Some(other.id), 0), (Some(fixture.tenant.id), 1), (None, 1)] {
        let selector = RevocationSelector::Serials(vec![rows[0].reference.serial.clone()]);
        let gathered = fixture.store.write::<_, StoreError, _>(move |w| {
            Box::pin(async move { w.gather_falling(&selector, scope, COMPROMISE).await })
        });
        assert_eq!(gathered.await.unwrap().certificates.len(), expected);
    }
    let standings = vec![rows[0].id, CertificateId::random()];
    let found = read!(fixture.store, |r| r.certificate_standings(&standings)).unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].id, found[0].tenant, found[0].state), (rows[0].id, fixture.tenant.id, Active));
}

#[tokio::test]
async fn what_fails_afterwards_leaves_everything_standing() {
    let fixture = Fixture::new().await;
    let (device, rows) = fixture.with("d1", &[Active]).await;
    let selector = RevocationSelector::Devices(vec![device.id]);
    let failed = fixture.store.write::<(), StoreError, _>(move |w| {
        Box::pin(async move {
            w.gather_falling(&selector, None, COMPROMISE).await?;
            w.let_fall(COMPROMISE).await?;
            Err(StoreError::raced("device", "d1"))
        })
    });
    failed.await.unwrap_err();
    assert_eq!(fixture.state(rows[0].id).await, Active);
    let again = fixture.gather(RevocationSelector::Devices(vec![device.id]), COMPROMISE).await;
    assert_eq!(again.certificates.len(), 1);
}
