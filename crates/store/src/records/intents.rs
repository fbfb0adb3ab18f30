//! Serials reserved before signing, so that a crash between signing and recording leaves a trace.

use countersign_core::ids::{CertificateRef, DeviceId};
use countersign_core::time::Timestamp;

use super::SWEEP_LIMIT;
use crate::error::StoreError;
use crate::row::{FromRow, Row};
use crate::rows::Rows;
use crate::statement::sql;
use crate::transaction::{Reading, Writing};

const TABLE: &str = "issuance_intents";

const COLUMNS: [&str; 6] = ["issuer_key_id", "serial_number", "device_id", "profile", "at", "expires_at"];

/// A certificate that is about to be signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IntentRow {
    /// Under which issuer and serial.
    pub reference: CertificateRef,
    /// For which device; `None`: for a door or a service.
    pub device: Option<DeviceId>,
    /// The profile's name.
    pub profile: String,
    /// When it was recorded.
    pub at: Timestamp,
    /// When the certificate would end: until then an abandoned one stays revoked.
    pub expires_at: Timestamp,
}

impl FromRow for IntentRow {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            reference: CertificateRef::from_row(row)?,
            device: row.optional_parsed("device_id")?,
            profile: row.text("profile")?,
            at: row.time("at")?,
            expires_at: row.time("expires_at")?,
        })
    }
}

impl IntentRow {
    /// What is written of them.
    pub(super) fn rows(intents: &[Self]) -> Rows<{ COLUMNS.len() }> {
        let mut rows = Rows::of(TABLE, &COLUMNS);
        for intent in intents {
            rows.add([
                intent.reference.issuer.into(),
                (&intent.reference.serial).into(),
                intent.device.into(),
                intent.profile.as_str().into(),
                intent.at.into(),
                intent.expires_at.into(),
            ]);
        }
        rows
    }
}

impl Reading<'_> {
    /// The intent for this serial, if it has no outcome yet.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn intent(&mut self, reference: &CertificateRef) -> Result<Option<IntentRow>, StoreError> {
        sql(TABLE, "SELECT * FROM issuance_intents WHERE issuer_key_id = $1 AND serial_number = $2")
            .bind(reference.issuer)
            .bind(&reference.serial)
            .optional(&mut self.connection)
            .await
    }

    /// Intents without an outcome, oldest first; at most [`SWEEP_LIMIT`].
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn unfinished_intents(&mut self) -> Result<Vec<IntentRow>, StoreError> {
        sql(TABLE, "SELECT * FROM issuance_intents ORDER BY at, issuer_key_id, serial_number LIMIT $1")
            .bind(SWEEP_LIMIT)
            .all(&mut self.connection)
            .await
    }
}

impl Writing<'_> {
    /// Reserves a serial.
    ///
    /// # Errors
    /// [`StoreError`], also when the serial is reserved already.
    pub async fn insert_intent(&mut self, intent: &IntentRow) -> Result<(), StoreError> {
        self.insert_intents(std::slice::from_ref(intent)).await
    }

    /// Removes an intent that has its outcome; `false` when there is none: another already settled it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn finish_intent(&mut self, reference: &CertificateRef) -> Result<bool, StoreError> {
        sql(TABLE, "DELETE FROM issuance_intents WHERE issuer_key_id = $1 AND serial_number = $2")
            .bind(reference.issuer)
            .bind(&reference.serial)
            .changed(&mut self.connection)
            .await
    }
}
