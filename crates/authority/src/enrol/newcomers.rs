//! Recording new devices, all that enrol at the same moment in one transaction. Each is decided for itself,
//! in their order, by what the transaction finds: the outcome is as if they had come one after the other.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use countersign_core::audit::{Actor, AuditEntry};
use countersign_core::device::DeviceStatus;
use countersign_core::ids::{CertificateRef, DeviceId, DeviceName, EnrollmentKeyId, SpkiSha256, TenantId};
use countersign_core::time::Timestamp;
use countersign_store::{CertificateRow, DeviceRow, EnrollmentKeyRow, Store, StoreError, Writing};

use super::KeyRefusal;
use super::admission::key_refusal;
use super::facts::{denied_keys, taken_names};
use crate::issue::{Signed, issued_entry, summary_of};
use crate::questions::distinct;
use crate::together::Answers;

/// A device that is new, with everything that is recorded with it.
pub(crate) struct Newcomer {
    pub(super) enrollment_key: EnrollmentKeyId,
    pub(super) spki: Option<SpkiSha256>,
    pub(super) now: Timestamp,
    pub(super) device: DeviceRow,
    pub(super) certificate: Option<CertificateRow>,
    /// Where that was signed.
    pub(super) signed: Option<Signed>,
    pub(super) entries: Vec<AuditEntry>,
}

/// What became of a new device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Recorded {
    /// It is on record.
    Done,
    /// The enrolment key does not work any more.
    KeyRefused(KeyRefusal),
    /// The public key was denied meanwhile.
    KeyDenied,
    /// Another device has got its name meanwhile.
    NameTaken,
    /// Its certificate was abandoned meanwhile.
    Abandoned,
}

/// Records all of them that may be.
pub(crate) fn record_newcomers(store: Store, newcomers: Vec<Arc<Newcomer>>) -> Answers<Recorded> {
    Box::pin(async move {
        store
            .write(move |w| {
                Box::pin(async move {
                    let mut found = Found::read(w, &newcomers).await?;
                    let outcomes: Vec<Recorded> =
                        newcomers.iter().map(|newcomer| found.decide(newcomer)).collect();
                    let admitted: Vec<&Newcomer> = newcomers
                        .iter()
                        .zip(&outcomes)
                        .filter(|(_newcomer, outcome)| **outcome == Recorded::Done)
                        .map(|(newcomer, _outcome)| &**newcomer)
                        .collect();
                    record(w, &admitted).await?;
                    crate::repair::crash_point("record");
                    Ok(outcomes)
                })
            })
            .await
    })
}

/// What the records say, kept up to date while one after the other is decided.
struct Found {
    keys: HashMap<EnrollmentKeyId, EnrollmentKeyRow>,
    denied: HashSet<SpkiSha256>,
    taken: HashMap<TenantId, HashSet<DeviceName>>,
    intended: HashSet<CertificateRef>,
}

impl Found {
    async fn read(w: &mut Writing<'_>, newcomers: &[Arc<Newcomer>]) -> Result<Self, StoreError> {
        let ids = distinct(newcomers.iter().map(|one| one.enrollment_key));
        let keys = w.enrollment_keys_by_id(&ids).await?;
        let references: Vec<CertificateRef> =
            newcomers.iter().filter_map(|one| one.reference()).cloned().collect();
        let names = newcomers.iter().map(|one| (one.device.tenant, Some(&one.device.name)));
        Ok(Self {
            keys: keys.into_iter().map(|key| (key.id, key)).collect(),
            denied: denied_keys(w, newcomers.iter().map(|one| one.spki)).await?,
            taken: taken_names(w, names).await?,
            intended: w.intended_among(&references).await?,
        })
    }

    /// Fails closed: whatever became of the enrolment key or of the public key since they were looked at
    /// counts.
    fn decide(&mut self, newcomer: &Newcomer) -> Recorded {
        let device = &newcomer.device;
        let Some(key) = self.keys.get_mut(&newcomer.enrollment_key) else {
            return Recorded::KeyRefused(KeyRefusal::NotFound);
        };
        if let Some(refusal) = key_refusal(key, newcomer.now) {
            return Recorded::KeyRefused(refusal);
        }
        if newcomer.spki.is_some_and(|spki| self.denied.contains(&spki)) {
            return Recorded::KeyDenied;
        }
        let taken = self.taken.entry(device.tenant).or_default();
        if taken.contains(&device.name) {
            return Recorded::NameTaken;
        }
        if newcomer.reference().is_some_and(|reference| !self.intended.contains(reference)) {
            return Recorded::Abandoned;
        }
        key.uses += 1;
        taken.insert(device.name.clone());
        Recorded::Done
    }
}

impl Newcomer {
    fn reference(&self) -> Option<&CertificateRef> {
        self.certificate.as_ref().map(|row| &row.reference)
    }
}

async fn record(w: &mut Writing<'_>, admitted: &[&Newcomer]) -> Result<(), StoreError> {
    let mut uses: HashMap<EnrollmentKeyId, (u32, Timestamp)> = HashMap::new();
    for one in admitted {
        let (times, last) = uses.entry(one.enrollment_key).or_insert((0, one.now));
        *times += 1;
        *last = one.now.max(*last);
    }
    for (id, (times, now)) in uses {
        if !w.consume_enrollment_key_times(id, times, now).await? {
            return Err(StoreError::raced("enrolment key", id));
        }
    }
    let devices: Vec<DeviceRow> = admitted.iter().map(|one| one.device.clone()).collect();
    w.insert_devices(&devices).await?;
    let certificates: Vec<CertificateRow> =
        admitted.iter().filter_map(|one| one.certificate.clone()).collect();
    let references: Vec<CertificateRef> =
        certificates.iter().map(|certificate| certificate.reference.clone()).collect();
    w.finish_intents(&references).await?;
    w.insert_certificates(&certificates).await?;
    let ids: Vec<DeviceId> = devices.iter().map(|device| device.id).collect();
    w.tell_of_enrolled(&ids).await?;
    for one in admitted {
        write_down(w, one).await?;
    }
    Ok(())
}

async fn write_down(w: &mut Writing<'_>, newcomer: &Newcomer) -> Result<(), StoreError> {
    let device = &newcomer.device;
    let is_bound = newcomer.signed == Some(Signed::Elsewhere);
    let is_told = newcomer.signed.is_some_and(Signed::must_be_told);
    if device.status == DeviceStatus::Quarantined || is_told {
        w.device_trust_changed(device.id).await?;
    }
    if let Some(row) = newcomer.certificate.as_ref().filter(|_row| is_bound) {
        // What it is called elsewhere goes into the device's row too.
        w.set_certificate_summary(device.id, &summary_of(row)).await?;
    }
    for entry in &newcomer.entries {
        w.append_audit(entry).await?;
    }
    if let Some(row) = &newcomer.certificate {
        let entry = issued_entry(row, Actor::Device(device.id), &device.tenant_slug);
        w.append_audit(&entry).await?;
    }
    Ok(())
}
