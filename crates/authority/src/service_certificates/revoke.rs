//! Revoke: a service's certificate is never trusted again: at doors at once, elsewhere by OCSP and the next
//! CRL.

use countersign_core::audit::{AuditEntry, AuditEvent};
use countersign_core::certificate::RevocationReason;
use countersign_core::ids::CertificateId;
use countersign_store::{Origin, RevocationRow, ServiceState, StoreError};
use thiserror::Error;

use crate::authority::Authority;
use crate::authorized::{Administer, Authorized, Forbidden};
use crate::revoke::Revoked;

/// A service's certificate was not revoked.
#[derive(Debug, Error)]
pub enum RevokeServiceError {
    /// There is no such certificate.
    #[error("unknown certificate")]
    Unknown,
    /// Not for this person.
    #[error("not allowed")]
    Forbidden(#[from] Forbidden),
    /// Another CA signed it: it is on none of our lists.
    #[error("it was imported: the CA that signed it revokes it")]
    Imported,
    /// It is revoked already.
    #[error("already revoked")]
    AlreadyRevoked,
    /// It has expired, so there is nothing to revoke.
    #[error("already expired")]
    Expired,
    /// The store failed.
    #[error("cannot revoke the certificate")]
    Store(#[from] StoreError),
}

impl Authority {
    /// Revokes a service's certificate of a CA whose revocation lists we sign; a key of it that is with us is forgotten, and
    /// proves nothing any more unless it was merely replaced. Not for whoever is bound to a tenant.
    ///
    /// # Errors
    /// See [`RevokeServiceError`]; of two calls at once one wins.
    pub async fn revoke_service(
        &self,
        by: &Authorized<Administer>,
        id: CertificateId,
        reason: RevocationReason,
    ) -> Result<Revoked, RevokeServiceError> {
        by.covers_all()?;
        let (now, actor, issuers) = (self.now(), by.actor(), self.issuers());
        self.store
            .write(move |w| {
                Box::pin(async move {
                    let row = w.service_certificate(id).await?.ok_or(RevokeServiceError::Unknown)?.row;
                    let ca = issuers.by_key(row.reference.issuer);
                    if row.origin == Origin::Imported && ca.is_none_or(|ca| ca.issuer().is_err()) {
                        return Err(RevokeServiceError::Imported);
                    }
                    if row.state == ServiceState::Revoked {
                        return Err(RevokeServiceError::AlreadyRevoked);
                    }
                    if row.lifetime.is_expired(now) {
                        return Err(RevokeServiceError::Expired);
                    }
                    let revocation = RevocationRow {
                        reference: row.reference.clone(),
                        spki: (reason != RevocationReason::Superseded).then_some(row.spki),
                        revoked_at: now,
                        reason,
                        expires_at: row.lifetime.expires_at,
                    };
                    w.revoke_service_certificate(&revocation)
                        .await?
                        .ok_or(RevokeServiceError::AlreadyRevoked)?;
                    let label = row.label.as_ref().map(ToString::to_string).unwrap_or_default();
                    let entry = AuditEntry::new(None, now, AuditEvent::ServiceCertificateRevoked, actor)
                        .certificate(row.id)
                        .detail("serial", &row.reference.serial)
                        .detail("issuer", row.reference.issuer)
                        .detail("label", label)
                        .detail("from", row.state)
                        .detail("reason", reason);
                    w.append_audit(&entry).await?;
                    crate::repair::crash_point("revoke");
                    Ok(())
                })
            })
            .await?;
        let applied = self.publish_changes().await?;
        self.crl.want_now();
        Ok(Revoked { at: now, applied })
    }
}
