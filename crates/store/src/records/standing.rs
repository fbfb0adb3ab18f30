//! What is on record about a certificate, whoever has it: what others may ask (OCSP).

use countersign_core::certificate::RevocationReason;
use countersign_core::ids::CertificateRef;
use countersign_core::time::Timestamp;

use super::revocations::RevocationRow;
use crate::error::StoreError;
use crate::row::Number;
use crate::statement::sql;
use crate::transaction::Reading;

/// What is on record about a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordedStanding {
    /// Nothing: it was not issued, as far as anybody here knows.
    Unknown,
    /// It was issued and is not revoked. Its dates are for whoever holds it to read.
    Issued,
    /// It is revoked.
    Revoked {
        /// Since when.
        at: Timestamp,
        /// Why.
        reason: RevocationReason,
    },
}

impl Reading<'_> {
    /// What is on record about the certificate of a device or a service. A number under which something
    /// was signed and given up counts as revoked; one that was only reserved as unknown.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn recorded_standing(
        &mut self,
        reference: &CertificateRef,
    ) -> Result<RecordedStanding, StoreError> {
        let revocation: Option<RevocationRow> =
            sql("revocations", "SELECT * FROM revocations WHERE issuer_key_id = $1 AND serial_number = $2")
                .bind(reference.issuer)
                .bind(&reference.serial)
                .optional(&mut self.connection)
                .await?;
        if let Some(RevocationRow { revoked_at: at, reason, .. }) = revocation {
            return Ok(RecordedStanding::Revoked { at, reason });
        }
        let Number(issued) = sql(
            "device_certificates",
            "SELECT (SELECT count(*) FROM device_certificates WHERE issuer_key_id = $1 AND serial_number = $2)
                  + (SELECT count(*) FROM service_certificates WHERE issuer_key_id = $1 AND serial_number = $2)
                 AS number",
        )
        .bind(reference.issuer)
        .bind(&reference.serial)
        .one(&mut self.connection)
        .await?;
        Ok(if issued == 0 { RecordedStanding::Unknown } else { RecordedStanding::Issued })
    }
}
