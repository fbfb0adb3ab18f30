//! Expiry: says once per step and certificate that what was issued here is about to end, so that somebody
//! renews what does not renew itself.

use std::time::Duration;

use countersign_ca::{CertificateFacts, serial_of};
use countersign_core::audit::{Actor, AuditEntry, AuditEvent};
use countersign_core::certificate::Lifetime;
pub(crate) use countersign_core::expiry::ExpiryStep;
use countersign_core::time::Timestamp;
use countersign_store::{
    EndingCertificates, IssuerState, SWEEP_LIMIT, ServiceCertificateRow, ServicesEnding, StoreError, Writing,
};
use parking_lot::Mutex;

use crate::authority::Authority;
use crate::issuers::Ca;

/// How often it looks.
const PERIOD: Duration = Duration::from_secs(600);

/// How often the devices of a step are counted: a tenant hears of them no more often.
const COUNT_PERIOD: Duration = Duration::from_secs(6 * 3600);

/// For how long after its end it is said that a certificate is over, if nobody was here to say so then.
const SAID_AFTER: Duration = Duration::from_secs(30 * 86_400);

/// A device renews at two thirds of its certificate's life; it has failed to when so many times what is left
/// have gone by: at five sixths.
pub(crate) const OVERDUE: u32 = 5;

/// What is remembered about looking.
#[derive(Debug, Default)]
pub(crate) struct ExpiryWatch {
    looked_at: Mutex<Option<Timestamp>>,
}

impl ExpiryWatch {
    /// Whether it is time to look. A clock that was set back makes it so.
    fn is_due(&self, now: Timestamp) -> bool {
        self.looked_at.lock().is_none_or(|last| now < last || now.since(last) >= PERIOD)
    }
}

/// A certificate that was issued here.
struct Issued {
    /// Issuer and serial number.
    key: String,
    lifetime: Lifetime,
    entry: Facts,
}

/// What is said of it.
struct Facts {
    what: String,
    serial: String,
    issuer: String,
    spki: String,
}

impl Issued {
    fn of_service(row: &ServiceCertificateRow) -> Self {
        let what = name_of(row);
        let (issuer, serial) = (row.reference.issuer.to_string(), row.reference.serial.to_string());
        Self {
            key: format!("{issuer}:{serial}"),
            lifetime: row.lifetime,
            entry: Facts { what, serial, issuer, spki: row.spki.to_string() },
        }
    }

    /// `None`: its certificate cannot be read, which the start would have refused.
    fn of_ca(ca: &Ca) -> Option<Self> {
        let facts = CertificateFacts::of(ca.certificate_der()).ok()?;
        let serial = serial_of(ca.certificate_der()).ok()?.to_string();
        let issuer = ca.parent().unwrap_or_else(|| ca.key_id()).to_string();
        Some(Self {
            key: format!("{issuer}:{serial}"),
            lifetime: Lifetime { issued_at: facts.not_before, expires_at: facts.not_after },
            entry: Facts { what: format!("CA {}", ca.name()), serial, issuer, spki: ca.key_id().to_string() },
        })
    }

    /// Says at which step it is, if nobody has.
    async fn tell(&self, w: &mut Writing<'_>, step: ExpiryStep, now: Timestamp) -> Result<(), StoreError> {
        if !w.note_expiry_of_issued(&self.key, step, (self.lifetime.expires_at, now)).await? {
            return Ok(());
        }
        // A step that says nothing is noted all the same, so that it is not looked at again.
        if ExpiryStep::of(self.lifetime, now).is_none() {
            return Ok(());
        }
        let entry = expiry_entry(step, self.lifetime.expires_at, now)
            .detail("what", &self.entry.what)
            .detail("serial", &self.entry.serial)
            .detail("issuer", &self.entry.issuer)
            .detail("spkiSha256", &self.entry.spki);
        tracing::warn!(what = %self.entry.what, serial = %self.entry.serial, days = step.days(), "certificate expires");
        w.append_audit(&entry).await
    }
}

/// What the certificate of a service is called.
pub(crate) fn name_of(row: &ServiceCertificateRow) -> String {
    match row.label.as_ref().map(|label| label.as_str()) {
        Some("door") => "door".to_owned(),
        Some(label) => format!("service {label}"),
        None => format!("service {}", row.subject),
    }
}

/// The entry about a certificate that is at a step.
pub(crate) fn expiry_entry(step: ExpiryStep, not_after: Timestamp, now: Timestamp) -> AuditEntry {
    match step {
        ExpiryStep::Over => AuditEntry::new(None, now, AuditEvent::CertificateExpired, Actor::System),
        ExpiryStep::Day | ExpiryStep::Week | ExpiryStep::Fortnight | ExpiryStep::Month => {
            AuditEntry::new(None, now, AuditEvent::CertificateExpiring, Actor::System)
                .detail("days", step.days())
        }
    }
    .detail("notAfter", not_after)
}

/// Between which ends a certificate is at a step.
fn ends_at(step: ExpiryStep, now: Timestamp) -> (Timestamp, Timestamp) {
    match step.nearer() {
        None => (now - SAID_AFTER, now),
        Some(nearer) => (now + nearer.before(), now + step.before()),
    }
}

impl Authority {
    /// Says what is about to end, when it is time to look again.
    pub(crate) async fn tell_what_expires(&self, now: Timestamp) -> Result<(), StoreError> {
        if !self.expiry.is_due(now) {
            return Ok(());
        }
        self.tell_of_cas(now).await?;
        for step in ExpiryStep::ALL {
            self.tell_of_services(step, now).await?;
            if step != ExpiryStep::Over {
                self.count_devices(step, now).await?;
            }
        }
        self.store
            .write(move |w| {
                Box::pin(async move {
                    w.forget_expiry_of_issued(now - SAID_AFTER - SAID_AFTER).await?;
                    w.forget_monitors(now - crate::monitors::KEPT).await.map(drop)
                })
            })
            .await?;
        *self.expiry.looked_at.lock() = Some(now);
        Ok(())
    }

    async fn tell_of_cas(&self, now: Timestamp) -> Result<(), StoreError> {
        let issuers = self.issuers();
        let ending: Vec<(Issued, ExpiryStep)> = issuers
            .all()
            .filter(|ca| ca.state() != IssuerState::Retired)
            .filter_map(|ca| Issued::of_ca(ca))
            .filter_map(|ca| ExpiryStep::of(ca.lifetime, now).map(|step| (ca, step)))
            .filter(|(ca, _step)| ca.lifetime.expires_at > now - SAID_AFTER)
            .collect();
        self.tell_all(ending, now).await
    }

    async fn tell_of_services(&self, step: ExpiryStep, now: Timestamp) -> Result<(), StoreError> {
        let (after, by) = ends_at(step, now);
        let wanted = ServicesEnding { after, by, step };
        loop {
            let found =
                self.store.read(move |r| Box::pin(async move { r.services_ending(wanted).await })).await?;
            let is_last = found.len() < SWEEP_LIMIT as usize;
            self.tell_all(found.iter().map(|row| (Issued::of_service(row), step)).collect(), now).await?;
            if is_last {
                return Ok(());
            }
        }
    }

    async fn tell_all(&self, ending: Vec<(Issued, ExpiryStep)>, now: Timestamp) -> Result<(), StoreError> {
        if ending.is_empty() {
            return Ok(());
        }
        self.store
            .write(move |w| {
                Box::pin(async move {
                    for (issued, step) in &ending {
                        issued.tell(w, *step, now).await?;
                    }
                    Ok(())
                })
            })
            .await
    }

    /// Counts the devices that reach a step with a certificate which they should have renewed: once for each
    /// of its steps, and each tenant's together.
    async fn count_devices(&self, step: ExpiryStep, now: Timestamp) -> Result<(), StoreError> {
        let before = self.store.read(move |r| Box::pin(async move { r.counted_until(step).await })).await?;
        let (nearest, by) = ends_at(step, now);
        // Far behind: the clock was ahead then, and what was counted by it counts for nothing.
        let counted = before.filter(|before| *before <= by + ExpiryStep::Day.before());
        if counted.is_some_and(|counted| by < counted + COUNT_PERIOD) {
            return Ok(());
        }
        let wanted = EndingCertificates {
            after: counted.map_or(nearest, |counted| counted.max(nearest)),
            by,
            issued_by: now - step.before() * OVERDUE,
        };
        let found =
            self.store.read(move |r| Box::pin(async move { r.expiring_devices(wanted).await })).await?;
        self.store
            .write(move |w| {
                Box::pin(async move {
                    // Of several authorities one says it.
                    if !w.count_expiring_until(step, before, by).await? {
                        return Ok(());
                    }
                    for found in found {
                        let mut entry = expiry_entry(step, found.soonest, now)
                            .detail("what", "devices")
                            .detail("devices", found.devices);
                        entry.tenant = Some(found.tenant);
                        w.append_audit(&entry).await?;
                    }
                    Ok::<_, StoreError>(())
                })
            })
            .await
    }
}
