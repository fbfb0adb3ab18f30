//! Revoke many: certificates by their ids at once, or by a query in two steps, so that nothing falls
//! that was not shown before.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::time::Duration;

use countersign_core::audit::{Actor, AuditEntry, AuditEvent};
use countersign_core::certificate::{CertificateState, RevocationReason};
use countersign_core::device::QuarantineReason;
use countersign_core::ids::{CertificateId, IssuerKeyId, SelectionId, Tenant, TenantId};
use countersign_core::time::Timestamp;
use countersign_store::{
    CertificateRow, CertificateStanding, Fall, Falling, FallingCertificate, RevocationSelector, SelectionRow,
    StoreError, Writing,
};
use futures_util::future;
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use crate::authority::Authority;
use crate::authorized::{Administer, Authorized, Forbidden, Operate, Own};
use crate::keys::meanwhile;
use crate::publish::Applied;

pub use countersign_store::RevocationSelector as Selector;

/// How long a preview can be carried out.
const SELECTION_LIFE: Duration = Duration::from_secs(600);

/// How many certificates a preview shows.
const SAMPLE: usize = 20;

/// What is to be revoked by a query. The tenant and the issuer come with the right to take all that is
/// theirs.
#[derive(Clone, Debug)]
pub enum Query {
    /// Certificates by serial number, key or device; of other tenants than the caller's nothing matches.
    Listed(Listed),
    /// Every certificate of a tenant.
    Tenant(TenantId),
    /// Every device certificate that a CA of ours signed. Doors and edges have none of these.
    Issuer(Authorized<Own>, IssuerKeyId),
}

/// A list of what certificates are found by.
#[derive(Clone, Debug)]
pub enum Listed {
    /// Serial numbers, of whichever issuer.
    Serials(Vec<countersign_core::ids::SerialNumber>),
    /// Keys.
    Keys(Vec<countersign_core::ids::SpkiSha256>),
    /// Devices.
    Devices(Vec<countersign_core::ids::DeviceId>),
}

/// What would be revoked.
#[derive(Clone, Debug)]
pub struct Preview {
    /// What to carry out.
    pub id: SelectionId,
    /// How many certificates would be revoked.
    pub certificates: u64,
    /// How many devices would be left with nothing usable, and therefore be in quarantine.
    pub devices: u64,
    /// Some of the certificates.
    pub sample: Vec<CertificateRow>,
    /// Until when it can be carried out.
    pub expires_at: Timestamp,
}

/// What was revoked.
#[derive(Clone, Copy, Debug)]
pub struct RevokedMany {
    /// When.
    pub at: Timestamp,
    /// How many certificates.
    pub certificates: u64,
    /// How many devices are in quarantine for it.
    pub devices: u64,
    /// How far it has come.
    pub applied: Applied,
}

/// What became of one certificate of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is revoked now.
    Revoked,
    /// It was before.
    AlreadyRevoked,
    /// It has expired, so there is nothing to revoke.
    Expired,
    /// There is no such certificate.
    Unknown,
    /// It belongs to another tenant.
    Forbidden,
}

/// Nothing was revoked.
#[derive(Debug, Error)]
pub enum BulkRevokeError {
    /// There is no such selection: it was carried out, has expired, or somebody else made it.
    #[error("unknown selection")]
    Unknown,
    /// It belongs to another tenant.
    #[error("not allowed")]
    Forbidden(#[from] Forbidden),
    /// The selection takes other certificates by now than were shown.
    #[error("the selection takes {now} certificates now, and not the ones that were shown")]
    Changed {
        /// How many it takes now.
        now: u64,
    },
    /// The store failed.
    #[error("cannot revoke the certificates")]
    Store(#[from] StoreError),
}

impl Query {
    fn checked(self, by: &Authorized<Administer>) -> Result<RevocationSelector, Forbidden> {
        Ok(match self {
            Self::Listed(Listed::Serials(serials)) => RevocationSelector::Serials(serials),
            Self::Listed(Listed::Keys(keys)) => RevocationSelector::Keys(keys),
            Self::Listed(Listed::Devices(devices)) => RevocationSelector::Devices(devices),
            Self::Tenant(tenant) => {
                by.covers(tenant)?;
                RevocationSelector::Tenant(tenant)
            }
            Self::Issuer(owner, issuer) => {
                owner.covers_all()?;
                RevocationSelector::Issuer(issuer)
            }
        })
    }
}

impl Authority {
    /// Shows what a query would revoke: as for a single one, certificates of the same device with the
    /// same key fall together, and a device that is left with nothing usable loses all and is
    /// quarantined. Nothing is changed.
    ///
    /// # Errors
    /// See [`BulkRevokeError`].
    pub async fn preview_revocation(
        &self,
        by: &Authorized<Administer>,
        query: Query,
        reason: RevocationReason,
    ) -> Result<Preview, BulkRevokeError> {
        let (now, scope, actor) = (self.now(), by.scope(), by.actor().to_string());
        let selector = query.checked(by)?;
        let fall = Fall { at: now, reason };
        let (id, expires_at) = (SelectionId::random(), now + SELECTION_LIFE);
        self.store
            .write(move |w| {
                Box::pin(async move {
                    let falling = w.gather_falling(&selector, scope, fall).await?;
                    w.forget_falling().await?;
                    let digest = digest(&falling);
                    let row = SelectionRow { id, actor, selector, scope, reason, digest, expires_at };
                    w.insert_selection(&row, now).await?;
                    let mut sample = Vec::with_capacity(SAMPLE);
                    for one in falling.certificates.iter().take(SAMPLE) {
                        sample.extend(w.certificate(one.id).await?);
                    }
                    let (certificates, devices) = counts(&falling);
                    Ok(Preview { id, certificates, devices, sample, expires_at })
                })
            })
            .await
    }

    /// Revokes exactly what a preview of the same caller has shown, once.
    ///
    /// # Errors
    /// See [`BulkRevokeError`]. Fails closed: when the query takes a certificate more or less by now, or
    /// one whose state has changed, nothing is revoked, and the selection is used up.
    pub async fn execute_revocation(
        &self,
        by: &Authorized<Administer>,
        id: SelectionId,
    ) -> Result<RevokedMany, BulkRevokeError> {
        let (now, actor) = (self.now(), by.actor());
        let done = self
            .store
            .write(move |w| {
                Box::pin(async move {
                    let selection = w.take_selection(id, &actor.to_string(), now).await?;
                    let selection = selection.ok_or(BulkRevokeError::Unknown)?;
                    let fall = Fall { at: now, reason: selection.reason };
                    let falling = w.gather_falling(&selection.selector, selection.scope, fall).await?;
                    if digest(&falling) != selection.digest {
                        w.forget_falling().await?;
                        return Ok(Err(falling.certificates.len() as u64));
                    }
                    let counts = counts(&falling);
                    Batch { id, fall, actor }.carry_out(w, falling).await?;
                    Ok::<_, BulkRevokeError>(Ok(counts))
                })
            })
            .await?;
        match done {
            Ok((certificates, devices)) => {
                let applied = self.publish_changes().await?;
                self.crl.want_now();
                Ok(RevokedMany { at: now, certificates, devices, applied })
            }
            Err(now) => Err(BulkRevokeError::Changed { now }),
        }
    }

    /// Revokes certificates by their ids, in one transaction, and says what became of each; what falls
    /// with them counts too.
    ///
    /// # Errors
    /// When the store fails; then nothing is revoked.
    pub async fn revoke_certificates(
        &self,
        by: &Authorized<Operate>,
        ids: Vec<CertificateId>,
        reason: RevocationReason,
    ) -> Result<(RevokedMany, Vec<(CertificateId, Fate)>), StoreError> {
        let (now, by) = (self.now(), *by);
        let (counts, fates) = self
            .store
            .write(move |w| {
                Box::pin(async move {
                    let fates = fates(&ids, w.certificate_standings(&ids).await?, &by);
                    let wanted = fates.iter().filter(|(_, fate)| *fate == Fate::Revoked);
                    let wanted: Vec<CertificateId> = wanted.map(|(id, _)| *id).collect();
                    let fall = Fall { at: now, reason };
                    let selector = RevocationSelector::Certificates(wanted);
                    let falling = w.gather_falling(&selector, by.scope(), fall).await?;
                    let counts = counts(&falling);
                    if falling.certificates.is_empty() {
                        w.forget_falling().await?;
                    } else {
                        let batch = Batch { id: SelectionId::random(), fall, actor: by.actor() };
                        batch.carry_out(w, falling).await?;
                    }
                    Ok::<_, StoreError>((counts, fates))
                })
            })
            .await?;
        let applied = self.publish_changes().await?;
        self.crl.want_now();
        Ok((RevokedMany { at: now, certificates: counts.0, devices: counts.1, applied }, fates))
    }
}

fn counts(falling: &Falling) -> (u64, u64) {
    (falling.certificates.len() as u64, falling.stranded.len() as u64)
}

fn fates(
    ids: &[CertificateId],
    standings: Vec<CertificateStanding>,
    by: &Authorized<Operate>,
) -> Vec<(CertificateId, Fate)> {
    let found: HashMap<CertificateId, CertificateStanding> =
        standings.into_iter().map(|standing| (standing.id, standing)).collect();
    let fate = |id: &CertificateId| match found.get(id) {
        None => Fate::Unknown,
        Some(standing) if by.covers(standing.tenant).is_err() => Fate::Forbidden,
        Some(standing) => match standing.state {
            CertificateState::Revoked => Fate::AlreadyRevoked,
            CertificateState::Expired => Fate::Expired,
            CertificateState::PendingActivation | CertificateState::Active | CertificateState::Superseded => {
                Fate::Revoked
            }
        },
    };
    ids.iter().map(|id| (*id, fate(id))).collect()
}

/// What a preview has shown, as a hash: every certificate with its state, and every device that would
/// be left with nothing usable.
fn digest(falling: &Falling) -> String {
    let mut hasher = Sha256::new();
    let mut line = String::with_capacity(64);
    for one in &falling.certificates {
        line.clear();
        // Writing to a String cannot fail.
        let _written = writeln!(line, "{} {}", one.id, one.state);
        hasher.update(line.as_bytes());
    }
    for device in &falling.stranded {
        line.clear();
        let _written = writeln!(line, "{}", device.id);
        hasher.update(line.as_bytes());
    }
    hex::encode(hasher.finalize())
}

/// One call that revokes many.
struct Batch {
    /// By which its entries in the audit are found.
    id: SelectionId,
    fall: Fall,
    actor: Actor,
}

impl Batch {
    /// The entries are made while the database writes what they are about.
    async fn carry_out(self, w: &mut Writing<'_>, falling: Falling) -> Result<(), StoreError> {
        let fall = self.fall;
        let made = meanwhile(move || self.entries(&falling));
        let (fallen, entries) = future::join(w.let_fall(fall), made).await;
        fallen?;
        crate::repair::crash_point("revoke");
        for entry in entries {
            w.append_audit(&entry).await?;
        }
        Ok(())
    }

    /// In each tenant's chain one entry for the whole, one for every certificate, and one for every
    /// device that is in quarantine since.
    fn entries(&self, falling: &Falling) -> Vec<AuditEntry> {
        let mut tenants: BTreeMap<&Tenant, Vec<&FallingCertificate>> = BTreeMap::new();
        for one in &falling.certificates {
            tenants.entry(&one.tenant).or_default().push(one);
        }
        let mut entries = Vec::with_capacity(falling.certificates.len() + falling.stranded.len() + 1);
        for (tenant, certificates) in tenants {
            let mut ids = Sha256::new();
            for one in &certificates {
                ids.update(one.id.to_string());
                ids.update(b"\n");
            }
            entries.push(
                self.entry(tenant, AuditEvent::CertificatesRevoked)
                    .detail("count", certificates.len())
                    .detail("idsSha256", hex::encode(ids.finalize()))
                    .detail("reason", self.fall.reason),
            );
            entries.extend(certificates.into_iter().map(|one| {
                self.entry(tenant, AuditEvent::CertificateRevoked)
                    .device(one.device)
                    .certificate(one.id)
                    .detail("serial", &one.serial)
                    .detail("from", one.state)
                    .detail("reason", self.fall.reason)
            }));
        }
        let quarantined = falling.stranded.iter().filter(|device| !device.was_quarantined);
        entries.extend(quarantined.map(|device| {
            self.entry(&device.tenant, AuditEvent::DeviceQuarantined)
                .device(device.id)
                .detail("reason", QuarantineReason::REVOKED)
        }));
        entries
    }

    fn entry(&self, tenant: &Tenant, event: AuditEvent) -> AuditEntry {
        AuditEntry::new(Some(tenant.clone()), self.fall.at, event, self.actor.clone())
            .detail("batch", self.id)
    }
}
