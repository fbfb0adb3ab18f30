//! The installation's CAs and their CRLs.

use std::fmt;

use countersign_core::ids::IssuerKeyId;
use countersign_core::time::Timestamp;

use super::spelled::spelled_enum;
use crate::error::StoreError;
use crate::row::{FromRow, Number, Row};
use crate::statement::sql;
use crate::transaction::{Reading, Writing};

const TABLE: &str = "issuers";

spelled_enum! {
    /// What a CA is for.
    IssuerRole {
        /// Signs the issuing CAs.
        Root => "root",
        /// Signs devices; the only kind whose certificates make a device.
        Device => "device",
        /// Signs servers and services.
        Service => "service",
    }
}

/// A CA of the installation.
#[derive(Clone, PartialEq, Eq)]
pub struct IssuerRow {
    /// Its key.
    pub key_id: IssuerKeyId,
    /// What it is for.
    pub role: IssuerRole,
    /// Its certificate, DER.
    pub certificate: Vec<u8>,
    /// Its private key, sealed by the issuing side.
    pub sealed_key: Vec<u8>,
    /// When it was made.
    pub created_at: Timestamp,
}

impl fmt::Debug for IssuerRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IssuerRow")
            .field("key_id", &self.key_id)
            .field("role", &self.role)
            .field("sealed_key", &"[redacted]")
            .finish_non_exhaustive()
    }
}

impl FromRow for IssuerRow {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            key_id: row.parsed("key_id")?,
            role: row.parsed("role")?,
            certificate: row.bytes("certificate")?,
            sealed_key: row.bytes("sealed_key")?,
            created_at: row.time("created_at")?,
        })
    }
}

/// A signed CRL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrlRow {
    /// Who signed it.
    pub issuer: IssuerKeyId,
    /// Its number, from [`Writing::next_crl_number`].
    pub number: u64,
    /// From when it speaks.
    pub this_update: Timestamp,
    /// By when the next one comes.
    pub next_update: Timestamp,
    /// The CRL itself, DER.
    pub der: Vec<u8>,
}

impl FromRow for CrlRow {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            issuer: row.parsed("issuer_key_id")?,
            number: row.number("number")?,
            this_update: row.time("this_update")?,
            next_update: row.time("next_update")?,
            der: row.bytes("der")?,
        })
    }
}

impl Reading<'_> {
    /// Every CA, oldest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn issuers(&mut self) -> Result<Vec<IssuerRow>, StoreError> {
        sql(
            TABLE,
            "SELECT key_id, role, certificate, sealed_key, created_at FROM issuers
             ORDER BY created_at, key_id LIMIT 1000",
        )
        .all(&mut self.connection)
        .await
    }

    /// An issuer's latest CRL.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn latest_crl(&mut self, issuer: IssuerKeyId) -> Result<Option<CrlRow>, StoreError> {
        sql(
            "crls",
            "SELECT issuer_key_id, number, this_update, next_update, der FROM crls WHERE issuer_key_id = $1",
        )
        .bind(issuer)
        .optional(&mut self.connection)
        .await
    }
}

impl Writing<'_> {
    /// Records a CA.
    ///
    /// # Errors
    /// [`StoreError`], also when its key is on record already.
    pub async fn insert_issuer(&mut self, issuer: &IssuerRow) -> Result<(), StoreError> {
        sql(
            TABLE,
            "INSERT INTO issuers (key_id, role, certificate, sealed_key, created_at)
             VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(issuer.key_id)
        .bind(issuer.role)
        .bind(issuer.certificate.as_slice())
        .bind(issuer.sealed_key.as_slice())
        .bind(issuer.created_at)
        .run(&mut self.connection)
        .await
        .map(|_one| ())
    }

    /// Takes the issuer's next CRL number: higher than any that was ever committed.
    ///
    /// # Errors
    /// [`StoreError`], also when the issuer is unknown.
    pub async fn next_crl_number(&mut self, issuer: IssuerKeyId) -> Result<u64, StoreError> {
        let Number(number) = sql(
            TABLE,
            "UPDATE issuers SET crl_number = crl_number + 1 WHERE key_id = $1 RETURNING crl_number AS number",
        )
        .bind(issuer)
        .one(&mut self.connection)
        .await?;
        Ok(number)
    }

    /// Records a CRL as its issuer's latest; without effect when a later one is on record.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn save_crl(&mut self, crl: &CrlRow) -> Result<(), StoreError> {
        sql(
            "crls",
            "INSERT INTO crls (issuer_key_id, number, this_update, next_update, der)
             VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (issuer_key_id) DO UPDATE SET number = excluded.number,
                 this_update = excluded.this_update, next_update = excluded.next_update, der = excluded.der
             WHERE excluded.number > crls.number",
        )
        .bind(crl.issuer)
        .bind(crl.number)
        .bind(crl.this_update)
        .bind(crl.next_update)
        .bind(crl.der.as_slice())
        .run(&mut self.connection)
        .await
        .map(|_one| ())
    }
}
