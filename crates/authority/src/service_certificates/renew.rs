//! Renew: a service's certificate gets a successor with the same names, for the key of a new signing
//! request.

use std::sync::Arc;
use std::time::Duration;

use countersign_ca::{CertificateFacts, Profile, ServiceNames};
use countersign_core::ids::{CertificateId, IssuerKeyId};
use countersign_store::{
    IssuerState, Origin, RecordedService, RotationRow, ServiceCertificateRow, ServiceState, StoreError,
};

use super::issue::{NoSigner, NotRenewed, ServiceIssueError};
use super::wanted::{ServiceProfile, is_own};
use super::{ServiceCertificate, ServiceRequest};
use crate::authority::Authority;
use crate::authorized::{Administer, Authorized};
use crate::issuers::{Ca, Issuers};

/// A chain of rotations longer than this leads nowhere.
const ROTATIONS: usize = 64;

impl Authority {
    /// Issues the successor of a certificate: same profile, names and label, by the same CA, or by the one
    /// that took its place in a rotation. The old one is superseded, and good until it ends. One that has
    /// ended, or was replaced already, can be renewed too: whoever lost the answer asks again. Without a
    /// `lifetime` it lives as long as the old one did. Not for whoever is bound to a tenant.
    ///
    /// # Errors
    /// See [`ServiceIssueError`].
    pub async fn renew_service(
        &self,
        by: &Authorized<Administer>,
        id: CertificateId,
        csr_pem: &str,
        lifetime: Option<Duration>,
    ) -> Result<ServiceCertificate, ServiceIssueError> {
        by.covers_all()?;
        let found = self.recorded_service(id).await?.ok_or(ServiceIssueError::Unknown)?;
        let profile = successor_of(&found)?;
        let key = self.accepted_key(csr_pem).await?;
        let row = found.row;
        let issuers = self.issuers();
        let old = issuers.by_key(row.reference.issuer).ok_or_else(|| lost(&row))?;
        let ca = self.signs_now(&issuers, old).await?;
        let lifetime = lifetime.unwrap_or_else(|| lived(&row, old, &profile));
        let request = ServiceRequest { ca: ca.name().clone(), profile, lifetime, label: row.label.clone() };
        self.sign_service((&issuers, &ca), &request, &key, (by, Some(&row))).await
    }

    /// The CA that signs in the place of one: itself, or whoever its rotations lead to.
    async fn signs_now(&self, issuers: &Issuers, ca: &Arc<Ca>) -> Result<Arc<Ca>, ServiceIssueError> {
        let mut now = Arc::clone(ca);
        for _rotation in 0..ROTATIONS {
            let key_id = now.key_id();
            let leads: fn(RotationRow) -> (IssuerKeyId, IssuerKeyId) = match now.state() {
                IssuerState::Active => return Ok(now),
                IssuerState::Prepared => |row| (row.new, row.old),
                IssuerState::Retiring | IssuerState::Retired => |row| (row.old, row.new),
            };
            let rotation = self.store.read(move |r| Box::pin(async move { r.rotation_of(key_id).await }));
            let way = rotation.await?.map(leads).filter(|(from, _to)| *from == key_id);
            let Some(next) = way.and_then(|(_from, to)| issuers.by_key(to)) else { break };
            now = Arc::clone(next);
        }
        Err(NoSigner::Idle(now.name().clone(), now.state()).into())
    }
}

/// The profile of a certificate's successor. Fails closed: of what is not on record as a service's that we
/// issued there is none.
fn successor_of(found: &RecordedService) -> Result<Profile, ServiceIssueError> {
    let row = &found.row;
    if row.origin == Origin::Imported {
        return Err(NotRenewed::Imported.into());
    }
    if row.state == ServiceState::Revoked {
        return Err(NotRenewed::Revoked.into());
    }
    let profile = ServiceProfile::of(row).filter(|_profile| !row.label.as_ref().is_some_and(is_own));
    let profile = profile.ok_or(NotRenewed::Own)?;
    let subject = match row.subject.as_str() {
        "" => None,
        text => Some(text.parse().map_err(|_unreadable| lost(row))?),
    };
    Ok(profile.with(ServiceNames { subject, alternatives: row.names.clone() }))
}

/// As long as the old one lived; one that its CA's end cut short as long as its profile says.
fn lived(row: &ServiceCertificateRow, ca: &Ca, profile: &Profile) -> Duration {
    let end = CertificateFacts::of(ca.certificate_der()).map(|facts| facts.not_after);
    if end.is_ok_and(|end| row.lifetime.expires_at >= end) {
        return profile.default_lifetime();
    }
    let millis = row.lifetime.expires_at.millis().saturating_sub(row.lifetime.issued_at.millis());
    Duration::from_millis(u64::try_from(millis).unwrap_or_default())
}

fn lost(row: &ServiceCertificateRow) -> StoreError {
    StoreError::raced("what a certificate on record says", row.id)
}
