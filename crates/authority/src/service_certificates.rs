//! Service certificates: issued by a named CA for a key, or brought along with one; recorded, renewed,
//! revoked and written down.

pub mod import;
pub mod issue;
pub mod look;
pub mod remove;
pub mod renew;
pub mod revoke;
pub mod wanted;

use std::time::Duration;

use countersign_ca::{IssuedCertificate, Profile, PublicKey};
use countersign_core::audit::{Actor, AuditEntry, AuditEvent};
use countersign_core::ids::{CaName, CertificateId, CertificateRef, ServiceLabel};
use countersign_store::{
    Origin, ServiceCertificateFilter, ServiceCertificateRow, ServiceState, StoreError, Writing,
};

use crate::authority::Authority;
use crate::issuers::{Ca, Issuers};
use crate::present::key_is_denied;
use issue::{NoSigner, NotRenewed, ServiceIssueError};

/// A certificate that a service is to have.
#[derive(Clone, Debug)]
pub struct ServiceRequest {
    /// Who signs it.
    pub ca: CaName,
    /// What it is for, and whom it names.
    pub profile: Profile,
    /// For how long.
    pub lifetime: Duration,
    /// What people call it.
    pub label: Option<ServiceLabel>,
}

/// A service's certificate, handed out.
#[derive(Clone, Debug)]
pub struct ServiceCertificate {
    /// The certificate.
    pub certificate: IssuedCertificate,
    /// The CAs above it, PEM, its issuer first and the root last.
    pub chain: Vec<String>,
    /// What is on record of it.
    pub row: ServiceCertificateRow,
}

/// What is recorded of a certificate that was issued here.
pub(crate) fn made_row(
    profile: &Profile,
    label: Option<ServiceLabel>,
    issued: &IssuedCertificate,
) -> ServiceCertificateRow {
    ServiceCertificateRow {
        id: CertificateId::random(),
        reference: issued.reference().clone(),
        profile: profile.as_str().to_owned(),
        origin: Origin::Made,
        label,
        subject: profile.subject_text(),
        names: profile.alternatives(),
        spki: issued.spki(),
        der: issued.der().to_vec(),
        state: ServiceState::Active,
        lifetime: issued.lifetime(),
        revoked_at: None,
        reason: None,
    }
}

impl Authority {
    /// Issues a certificate for a service's key. Of the certificates with its label, those that were in
    /// use are superseded.
    ///
    /// # Errors
    /// See [`ServiceIssueError`]; then nothing was handed out.
    pub async fn issue_service_certificate(
        &self,
        request: &ServiceRequest,
        key: &PublicKey,
        actor: Actor,
    ) -> Result<ServiceCertificate, ServiceIssueError> {
        let issuers = self.issuers();
        let ca = issuers.by_name(&request.ca).map_err(NoSigner::from)?;
        self.issue_and_record((&issuers, ca), request, key, (actor, None)).await
    }

    /// The same by this CA, in the place of a certificate if there is one.
    async fn issue_and_record(
        &self,
        (issuers, ca): (&Issuers, &Ca),
        request: &ServiceRequest,
        key: &PublicKey,
        (actor, renews): (Actor, Option<&ServiceCertificateRow>),
    ) -> Result<ServiceCertificate, ServiceIssueError> {
        let issued = self.issue_for_service(ca, request.profile.clone(), key, request.lifetime).await?;
        let row = made_row(&request.profile, request.label.clone(), &issued);
        let entry = issued_entry(&row, ca.name(), actor);
        let entry = match renews {
            None => entry,
            Some(old) => entry.detail("renews", old.id),
        };
        let (issued_at, backdating) = (row.lifetime.issued_at, request.profile.backdating());
        let untold = self.snapshot().denies_unless_told(&ca.key_id(), issued_at, backdating);
        let (new, old) = (row.clone(), renews.cloned());
        let work = self.store.write(move |w| {
            Box::pin(async move {
                record(w, &new, &entry, old).await?;
                if untold {
                    w.service_trust_changed(&new.reference).await?;
                }
                Ok::<_, ServiceIssueError>(())
            })
        });
        self.or_abandon(&row.reference, work.await).await?;
        if untold {
            self.publish_changes().await?;
        }
        let chain = issuers.chain(ca.key_id()).iter().map(|above| above.certificate_pem()).collect();
        Ok(ServiceCertificate { certificate: issued, chain, row })
    }

    /// Records a certificate of the platform's own, for a key that was just made. What it had before stays
    /// in use: each authority has doors and responders of its own.
    ///
    /// # Errors
    /// [`StoreError`], also when its intent was given up meanwhile; then the certificate is abandoned and
    /// may not be handed out.
    pub(crate) async fn record_own_certificate(
        &self,
        row: ServiceCertificateRow,
        entry: AuditEntry,
    ) -> Result<(), StoreError> {
        let reference = row.reference.clone();
        let work = self.store.write(move |w| {
            Box::pin(async move {
                finish_intent(w, &row).await?;
                w.insert_service_certificate(&row).await?;
                w.append_audit(&entry).await
            })
        });
        self.or_abandon(&reference, work.await).await
    }

    /// What was signed and is not on record is abandoned.
    async fn or_abandon<E: From<StoreError>>(
        &self,
        reference: &CertificateRef,
        recorded: Result<(), E>,
    ) -> Result<(), E> {
        if recorded.is_err() {
            self.abandon(reference).await?;
        }
        recorded
    }

    /// The newest certificate with a label that is in use.
    pub(crate) async fn service_certificate_in_use(
        &self,
        label: &ServiceLabel,
    ) -> Result<Option<ServiceCertificateRow>, StoreError> {
        let filter = ServiceCertificateFilter {
            label: Some(label.clone()),
            ends_after: Some(self.now()),
            limit: 100,
            ..ServiceCertificateFilter::default()
        };
        let found = self.store.read(move |r| Box::pin(async move { r.service_certificates(&filter).await }));
        Ok(found.await?.into_iter().find(|row| row.state == ServiceState::Active))
    }
}

/// Records a service's certificate, in the place of those with its label and of the one that it renews.
/// Fails closed: whatever was decided about its key or the renewed one since they were looked at wins.
async fn record(
    w: &mut Writing<'_>,
    row: &ServiceCertificateRow,
    entry: &AuditEntry,
    renews: Option<ServiceCertificateRow>,
) -> Result<(), ServiceIssueError> {
    finish_intent(w, row).await?;
    if key_is_denied(w, row.spki).await? {
        return Err(ServiceIssueError::KeyDenied);
    }
    if let Some(old) = renews {
        let now = w.service_certificate(old.id).await?.ok_or(ServiceIssueError::Unknown)?;
        if now.row.state == ServiceState::Revoked {
            return Err(NotRenewed::Revoked.into());
        }
        w.supersede_service_certificate(&old.reference).await?;
    }
    let replaced = match &row.label {
        Some(label) => supersede_all(w, label).await?,
        None => Vec::new(),
    };
    w.insert_service_certificate(row).await?;
    Ok(w.append_audit(&superseding(entry.clone(), &replaced)).await?)
}

async fn finish_intent(w: &mut Writing<'_>, row: &ServiceCertificateRow) -> Result<(), StoreError> {
    if w.finish_intent(&row.reference).await? {
        return Ok(());
    }
    Err(StoreError::raced("issuance intent", &row.reference.serial))
}

/// The entry with what its certificate takes the place of, besides the one that it renews.
fn superseding(entry: AuditEntry, replaced: &[CertificateId]) -> AuditEntry {
    if replaced.is_empty() {
        return entry;
    }
    let ids: Vec<String> = replaced.iter().map(ToString::to_string).collect();
    entry.detail("supersedes", ids.join(" "))
}

/// Whatever is called so is replaced: which that was.
async fn supersede_all(w: &mut Writing<'_>, label: &ServiceLabel) -> Result<Vec<CertificateId>, StoreError> {
    let filter = ServiceCertificateFilter {
        label: Some(label.clone()),
        state: Some(ServiceState::Active),
        limit: 1000,
        ..ServiceCertificateFilter::default()
    };
    let mut replaced = Vec::new();
    for row in w.service_certificates(&filter).await? {
        if w.supersede_service_certificate(&row.reference).await? {
            replaced.push(row.id);
        }
    }
    Ok(replaced)
}

fn issued_entry(row: &ServiceCertificateRow, ca: &CaName, actor: Actor) -> AuditEntry {
    let label = row.label.as_ref().map(ToString::to_string).unwrap_or_default();
    AuditEntry::new(None, row.lifetime.issued_at, AuditEvent::ServiceCertificateIssued, actor)
        .certificate(row.id)
        .detail("ca", ca)
        .detail("label", label)
        .detail("profile", &row.profile)
        .detail("serial", &row.reference.serial)
        .detail("issuer", row.reference.issuer)
        .detail("subject", &row.subject)
        .detail("names", &row.names)
        .detail("expiresAt", row.lifetime.expires_at)
        .detail("spkiSha256", row.spki)
}
