//! Import: a service's certificate comes with its key, which is sealed as those of CAs are. It gets an id by
//! which it is used and found.

use std::error::Error;

use countersign_ca::{
    ForeignCertificate, ForeignCertificateError, KeyError, SealError, SealedKey, SigningKey,
};
use countersign_core::audit::{Actor, AuditEntry, AuditEvent};
use countersign_core::certificate::Lifetime;
use countersign_core::ids::{CaName, CertificateId, CertificateRef, ServiceLabel};
use countersign_core::time::Timestamp;
use countersign_store::{
    IssuerRole, Origin, RecordedService, SealedServiceKey, ServiceCertificateRow, ServiceKey, ServiceState,
    StoreError, Writing,
};
use thiserror::Error;

use super::look::{ServiceDetail, detail};
use super::wanted::FreeLabel;
use super::{supersede_all, superseding};
use crate::authority::Authority;
use crate::authorized::{Administer, Authorized, Forbidden};
use crate::issuers::Ca;
use crate::present::key_is_denied;

/// Whether anything had to be recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Imported {
    /// It was here already, just so.
    Before,
    /// It is here now.
    Now,
}

/// A certificate with its key, for whoever shows it to others.
#[derive(Debug)]
pub struct ServiceCredential {
    /// Leaf and the CAs above it, PEM.
    pub chain: String,
    /// Its key.
    pub key: SigningKey,
}

/// A service's certificate was not imported.
#[derive(Debug, Error)]
pub enum ImportServiceError {
    /// Not for this person.
    #[error("not allowed")]
    Forbidden(#[from] Forbidden),
    /// The key cannot be used.
    #[error("cannot use the key")]
    Key(#[from] KeyError),
    /// The certificate cannot be used with it.
    #[error("cannot use the certificate")]
    Certificate(#[from] ForeignCertificateError),
    /// The key is denied, or that of a revoked certificate.
    #[error("the key is denied")]
    KeyDenied,
    /// It is over.
    #[error("it expired at {0}")]
    Expired(Timestamp),
    /// A CA of ours signed it and knows nothing of it: it was made behind our back, or before a backup.
    #[error("the CA {0} signed it, and has no record of it as a service's")]
    NoRecord(CaName),
    /// What is on record contradicts it.
    #[error(transparent)]
    Conflict(#[from] ImportConflict),
    /// Something failed on our side.
    #[error("cannot import the certificate")]
    Internal(#[source] Box<dyn Error + Send + Sync>),
}

/// What an import runs into.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ImportConflict {
    /// There is another certificate of this issuer with this serial number, or the same under another label.
    #[error("on record already, and not the same: {0}")]
    OnRecord(CertificateId),
    /// It is revoked.
    #[error("it is revoked")]
    Revoked,
}

impl From<StoreError> for ImportServiceError {
    fn from(error: StoreError) -> Self {
        Self::Internal(Box::new(error))
    }
}

impl From<SealError> for ImportServiceError {
    fn from(error: SealError) -> Self {
        Self::Internal(Box::new(error))
    }
}

/// What is to be recorded.
struct Import {
    row: ServiceCertificateRow,
    chain: String,
    sealed: Vec<u8>,
    /// The CA that signed it, if that would have recorded it.
    unrecorded: Option<CaName>,
    actor: Actor,
    at: Timestamp,
}

impl Authority {
    /// Imports a certificate, with the CAs above it if they follow, and its key. The same again changes
    /// nothing. Those in use with its label are superseded. Not for whoever is bound to a tenant.
    ///
    /// # Errors
    /// See [`ImportServiceError`]; then nothing was recorded.
    pub async fn import_service(
        &self,
        by: &Authorized<Administer>,
        (certificates_pem, key_pem): (&str, &str),
        label: Option<FreeLabel>,
    ) -> Result<(ServiceDetail, Imported), ImportServiceError> {
        by.covers_all()?;
        let foreign = ForeignCertificate::read(certificates_pem, SigningKey::from_pkcs8_pem(key_pem)?)?;
        let now = self.now();
        let (_not_before, not_after) = foreign.validity();
        if not_after <= now {
            return Err(ImportServiceError::Expired(not_after));
        }
        let issuers = self.issuers();
        let ours = issuers.all().find(|ca| foreign.is_signed_by(ca.certificate_der()));
        let issuer = ours.map_or_else(|| foreign.issuer(), |ca| ca.key_id());
        let reference = CertificateRef { issuer, serial: foreign.serial().clone() };
        let spki = foreign.key().public_key().sha256();
        let import = Import {
            row: imported_row(&foreign, reference, label.map(Into::into)),
            chain: foreign.chain_pem(),
            sealed: self.registry.keys.kek.seal(foreign.key(), spki.into())?.into(),
            unrecorded: ours.filter(|ca| records_all(ca)).map(|ca| ca.name().clone()),
            actor: by.actor(),
            at: now,
        };
        let (recorded, outcome) =
            self.store.write(move |w| Box::pin(async move { import.record(w).await })).await?;
        Ok((detail(&self.issuers(), recorded), outcome))
    }

    /// A certificate whose key is with us, to be shown to others; `None` when there is none with this id,
    /// or its key is not here.
    ///
    /// # Errors
    /// Fails closed: [`ImportServiceError::Internal`] when the key does not open.
    pub async fn service_credential(
        &self,
        id: CertificateId,
    ) -> Result<Option<ServiceCredential>, ImportServiceError> {
        let read = self.store.read(move |r| {
            Box::pin(async move {
                let found = r.service_certificate(id).await?;
                Ok::<_, StoreError>(found.zip(r.sealed_service_key(id).await?))
            })
        });
        let Some((found, sealed)) = read.await? else { return Ok(None) };
        let key = self.registry.keys.kek.open(&SealedKey::from(sealed.sealed_key), sealed.spki.into())?;
        let shown = detail(&self.issuers(), found);
        Ok(Some(ServiceCredential { chain: format!("{}{}", shown.pem, shown.chain), key }))
    }
}

/// Whether whatever a CA signs for services is on record. One that came from elsewhere has signed there, too;
/// what signs devices signs no service.
fn records_all(ca: &Ca) -> bool {
    ca.origin() == Origin::Made || ca.role() == IssuerRole::Device
}

fn imported_row(
    foreign: &ForeignCertificate,
    reference: CertificateRef,
    label: Option<ServiceLabel>,
) -> ServiceCertificateRow {
    let (issued_at, expires_at) = foreign.validity();
    let profile = if foreign.is_for_servers() { "service-server" } else { "service-client" };
    ServiceCertificateRow {
        id: CertificateId::random(),
        reference,
        profile: profile.to_owned(),
        origin: Origin::Imported,
        label,
        subject: foreign.subject().to_owned(),
        names: foreign.names().clone(),
        spki: foreign.key().public_key().sha256(),
        der: foreign.der().to_vec(),
        state: ServiceState::Active,
        lifetime: Lifetime { issued_at, expires_at },
        revoked_at: None,
        reason: None,
    }
}

impl Import {
    async fn record(self, w: &mut Writing<'_>) -> Result<(RecordedService, Imported), ImportServiceError> {
        if let Some(there) = w.service_certificate_of(&self.row.reference).await? {
            return self.held_against(w, there).await;
        }
        if let Some(ca) = self.unrecorded {
            return Err(ImportServiceError::NoRecord(ca));
        }
        if key_is_denied(w, self.row.spki).await? {
            return Err(ImportServiceError::KeyDenied);
        }
        let replaced = match &self.row.label {
            Some(label) => supersede_all(w, label).await?,
            None => Vec::new(),
        };
        w.insert_service_certificate(&self.row).await?;
        let chain = (!self.chain.is_empty()).then(|| self.chain.clone());
        if let Some(chain) = &chain {
            w.set_service_chain(self.row.id, chain).await?;
        }
        self.keep_key(w, &self.row, &replaced).await?;
        Ok((RecordedService { row: self.row, key: ServiceKey::Here, chain }, Imported::Now))
    }

    /// Against a certificate of the same issuer with the same number: it must be the same, to the octet.
    async fn held_against(
        self,
        w: &mut Writing<'_>,
        there: RecordedService,
    ) -> Result<(RecordedService, Imported), ImportServiceError> {
        let other_label = self.row.label.is_some() && self.row.label != there.row.label;
        if there.row.der != self.row.der || other_label {
            return Err(ImportConflict::OnRecord(there.row.id).into());
        }
        if there.row.state == ServiceState::Revoked {
            return Err(ImportConflict::Revoked.into());
        }
        if there.key == ServiceKey::Here {
            return Ok((there, Imported::Before));
        }
        self.keep_key(w, &there.row, &[]).await?;
        Ok((RecordedService { key: ServiceKey::Here, ..there }, Imported::Now))
    }

    async fn keep_key(
        &self,
        w: &mut Writing<'_>,
        row: &ServiceCertificateRow,
        replaced: &[CertificateId],
    ) -> Result<(), StoreError> {
        let key = SealedServiceKey { id: row.id, spki: row.spki, sealed_key: self.sealed.clone() };
        if !w.keep_service_key(&key).await? {
            return Err(StoreError::raced("certificate of a service", row.id));
        }
        let label = row.label.as_ref().map(ToString::to_string).unwrap_or_default();
        let entry =
            AuditEntry::new(None, self.at, AuditEvent::ServiceCertificateImported, self.actor.clone())
                .certificate(row.id)
                .detail("origin", row.origin)
                .detail("label", label)
                .detail("profile", &row.profile)
                .detail("serial", &row.reference.serial)
                .detail("subject", &row.subject)
                .detail("names", &row.names)
                .detail("expiresAt", row.lifetime.expires_at)
                .detail("spkiSha256", row.spki);
        w.append_audit(&superseding(entry, replaced)).await
    }
}
