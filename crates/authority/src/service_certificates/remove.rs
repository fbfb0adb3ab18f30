//! Remove: an imported certificate is deleted with its key; of one from here its key is forgotten.

use countersign_core::audit::{AuditEntry, AuditEvent};
use countersign_core::ids::CertificateId;
use countersign_store::{Origin, ServiceKey, StoreError};
use thiserror::Error;

use crate::authority::Authority;
use crate::authorized::{Administer, Authorized, Forbidden};

/// What is left of a certificate that was removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// Nothing but the audit: it was another CA's.
    Nothing,
    /// Its record, without the key: it was issued here, and whoever asks about it gets an answer.
    Record,
}

impl Left {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Record => "record",
        }
    }
}

/// A service's certificate was not removed.
#[derive(Debug, Error)]
pub enum RemoveServiceError {
    /// There is no such certificate.
    #[error("unknown certificate")]
    Unknown,
    /// Not for this person.
    #[error("not allowed")]
    Forbidden(#[from] Forbidden),
    /// It was issued here and its key was never with us: there is nothing to remove.
    #[error("it was issued here: revoke it")]
    IssuedHere,
    /// The store failed.
    #[error("cannot remove the certificate")]
    Store(#[from] StoreError),
}

impl Authority {
    /// Removes what was imported. Not for whoever is bound to a tenant.
    ///
    /// # Errors
    /// See [`RemoveServiceError`].
    pub async fn remove_service(
        &self,
        by: &Authorized<Administer>,
        id: CertificateId,
    ) -> Result<Left, RemoveServiceError> {
        by.covers_all()?;
        let (now, actor) = (self.now(), by.actor());
        self.store
            .write(move |w| {
                Box::pin(async move {
                    let found = w.service_certificate(id).await?.ok_or(RemoveServiceError::Unknown)?;
                    let left = match (found.row.origin, found.key) {
                        (Origin::Imported, _) => {
                            w.delete_imported_service(id).await?;
                            Left::Nothing
                        }
                        (Origin::Made, ServiceKey::Here) => {
                            w.forget_service_key(id).await?;
                            Left::Record
                        }
                        (Origin::Made, ServiceKey::Elsewhere) => return Err(RemoveServiceError::IssuedHere),
                    };
                    let row = found.row;
                    let label = row.label.as_ref().map(ToString::to_string).unwrap_or_default();
                    let entry = AuditEntry::new(None, now, AuditEvent::ServiceCertificateRemoved, actor)
                        .certificate(row.id)
                        .detail("serial", &row.reference.serial)
                        .detail("label", label)
                        .detail("subject", &row.subject)
                        .detail("spkiSha256", row.spki)
                        .detail("left", left.as_str());
                    w.append_audit(&entry).await?;
                    Ok(left)
                })
            })
            .await
    }
}
