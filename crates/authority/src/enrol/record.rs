//! Recording an enrolment: the key used once, the device and its certificate, in one transaction.

use countersign_core::audit::{Actor, AuditEntry, AuditEvent};
use countersign_core::certificate::{CertificateState, RevocationReason};
use countersign_core::device::DeviceStatus;
use countersign_core::ids::{EnrollmentKeyId, SpkiSha256};
use countersign_core::time::Timestamp;
use countersign_store::{CertificateRow, DeviceRow, StoreError, Writing};

use super::admission::{Admission, Seat, key_refusal};
use super::newcomers::{Newcomer, Recorded};
use super::{EnrolError, Enrolment, KeyRefusal};
use crate::authority::Authority;
use crate::issue::{Unrecorded, record, summary_of};
use crate::present::key_is_denied;
use crate::revoke::revoke_all;

/// Nothing was recorded, and the enrolment key was not used.
pub(super) enum NotRecorded {
    /// The enrolment is refused.
    Refused(EnrolError),
    /// The name or the device was changed by another since it was looked at: to be decided again.
    Raced,
}

impl From<StoreError> for NotRecorded {
    fn from(error: StoreError) -> Self {
        Self::Refused(error.into())
    }
}

impl From<EnrolError> for NotRecorded {
    fn from(error: EnrolError) -> Self {
        Self::Refused(error)
    }
}

impl Authority {
    pub(super) async fn record_enrolment(
        &self,
        request: &Enrolment,
        admission: &Admission,
        device: DeviceRow,
        issued: Option<Unrecorded>,
    ) -> Result<DeviceRow, NotRecorded> {
        let now = self.now();
        let signed = issued.as_ref().map(|issued| issued.signed);
        let certificate = issued.map(|issued| issued.row(CertificateState::Active, None));
        let entries = entries(request, admission, &device, certificate.as_ref(), now);
        let spki = admission.csr.as_ref().map(|csr| csr.public_key().sha256());
        let key = admission.key.id;
        let device = match &admission.seat {
            Seat::New(_) => {
                let certificate_summary = certificate.as_ref().map(summary_of);
                let device = DeviceRow { certificate: certificate_summary, ..device };
                let device_row = device.clone();
                let newcomer = Newcomer {
                    enrollment_key: key,
                    spki,
                    now,
                    device: device_row,
                    certificate,
                    signed,
                    entries,
                };
                self.record_newcomer(newcomer).await?;
                device
            }
            Seat::Returning(_) => {
                let returning = Returning { key, spki, now, device, certificate, entries };
                self.store.write(move |w| Box::pin(record_returning(w, returning))).await?
            }
        };
        crate::repair::crash_point("recorded");
        Ok(device)
    }

    async fn record_newcomer(&self, newcomer: Newcomer) -> Result<(), NotRecorded> {
        let reference = newcomer.certificate.as_ref().map(|row| row.reference.serial.to_string());
        match self.together.newcomers.ask(newcomer).await? {
            Recorded::Done => Ok(()),
            Recorded::KeyRefused(refusal) => Err(EnrolError::Key(refusal).into()),
            Recorded::KeyDenied => Err(EnrolError::KeyDenied.into()),
            Recorded::NameTaken => Err(NotRecorded::Raced),
            Recorded::Abandoned => {
                Err(StoreError::raced("issuance intent", reference.unwrap_or_default()).into())
            }
        }
    }
}

/// A device that comes back, with everything that is recorded with it.
struct Returning {
    key: EnrollmentKeyId,
    spki: Option<SpkiSha256>,
    now: Timestamp,
    device: DeviceRow,
    certificate: Option<CertificateRow>,
    entries: Vec<AuditEntry>,
}

async fn record_returning(w: &mut Writing<'_>, returning: Returning) -> Result<DeviceRow, NotRecorded> {
    let Returning { key, spki, now, device, certificate, entries } = returning;
    use_key(w, key, spki, now).await?;
    bring_back(w, &device, now).await?;
    for entry in &entries {
        w.append_audit(entry).await?;
    }
    if let Some(row) = &certificate {
        record(w, row, Actor::Device(device.id), &device.tenant_slug).await?;
        w.set_certificate_summary(device.id, &summary_of(row)).await?;
    }
    crate::repair::crash_point("record");
    Ok(device)
}

/// Uses the enrolment key once. Fails closed: whatever became of it or of the public key since they
/// were looked at counts.
async fn use_key(
    w: &mut Writing<'_>,
    id: EnrollmentKeyId,
    spki: Option<SpkiSha256>,
    now: Timestamp,
) -> Result<(), NotRecorded> {
    if !w.consume_enrollment_key(id, now).await? {
        let refusal = w.enrollment_key(id).await?.and_then(|key| key_refusal(&key, now));
        return Err(EnrolError::Key(refusal.unwrap_or(KeyRefusal::Exhausted)).into());
    }
    if let Some(spki) = spki
        && key_is_denied(w, spki).await?
    {
        return Err(EnrolError::KeyDenied.into());
    }
    Ok(())
}

/// A device that enrols again keeps its id and nothing else: its certificates are revoked, and with
/// its row its token is replaced.
async fn bring_back(w: &mut Writing<'_>, device: &DeviceRow, now: Timestamp) -> Result<(), NotRecorded> {
    if !w.update_device(device).await? {
        return Err(NotRecorded::Raced);
    }
    let reason = RevocationReason::CessationOfOperation;
    revoke_all(w, device, reason, now, Actor::Device(device.id)).await?;
    w.device_trust_changed(device.id).await?;
    Ok(())
}

fn entries(
    request: &Enrolment,
    admission: &Admission,
    device: &DeviceRow,
    certificate: Option<&CertificateRow>,
    now: Timestamp,
) -> Vec<AuditEntry> {
    let entry = |event| {
        AuditEntry::new(Some(device.tenant_slug.clone()), now, event, Actor::Peer(request.address))
            .device(device.id)
    };
    let (first, was_barred) = match &admission.seat {
        Seat::New(_) => (entry(AuditEvent::DeviceEnrolled), false),
        Seat::Returning(known) => {
            let first = entry(AuditEvent::DeviceReenrolled).detail("from", known.status);
            (first, known.status == DeviceStatus::Quarantined)
        }
    };
    let mut entries = vec![
        first
            .detail("name", &device.name)
            .detail("hostname", &device.hostname)
            .detail("enrollmentKey", admission.key.id)
            .detail("status", device.status),
    ];
    if let Some(reason) = admission.bar.as_ref().filter(|_| !was_barred) {
        entries.push(entry(AuditEvent::DeviceQuarantined).detail("reason", reason));
    }
    if certificate.is_some() && admission.csr.is_none() {
        entries.push(entry(AuditEvent::ServerGeneratedKey));
    }
    entries
}
