//! CAs that have a key and wait for their certificate.

use countersign_core::ids::{CaName, Environment, IssuerKeyId};
use countersign_core::time::Timestamp;

use super::issuers::{IssuerRole, KeptKey};
use crate::error::StoreError;
use crate::row::{FromRow, Row};
use crate::statement::sql;
use crate::transaction::{Reading, Writing};

const TABLE: &str = "ca_requests";

/// A CA that waits for its certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaRequestRow {
    /// Its key.
    pub key_id: IssuerKeyId,
    /// The name that it will have.
    pub name: CaName,
    /// What it will be for; no root.
    pub role: IssuerRole,
    /// For which environment; `None`: the default one.
    pub environment: Option<Environment>,
    /// Its subject, as RFC 4514 writes it.
    pub subject: String,
    /// What an intermediate's certificates may be for, as words with a space between; empty: anything.
    pub purposes: String,
    /// How many CAs may follow below an intermediate.
    pub path_length: Option<u8>,
    /// Its private key; never offline.
    pub key: KeptKey,
    /// The signing request, DER.
    pub csr: Vec<u8>,
    /// Since when it waits.
    pub created_at: Timestamp,
}

impl FromRow for CaRequestRow {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        let path_length = row.optional_integer("path_length")?;
        let corrupt = |number: i64| row.corrupt("path_length", &number.to_string());
        Ok(Self {
            key_id: row.parsed("key_id")?,
            name: row.parsed("name")?,
            role: row.parsed("role")?,
            environment: row.optional_parsed("environment")?,
            subject: row.text("subject")?,
            purposes: row.text("purposes")?,
            path_length: path_length
                .map(|number| u8::try_from(number).map_err(|_large| corrupt(number)))
                .transpose()?,
            key: KeptKey::from_row(row)?,
            csr: row.bytes("csr")?,
            created_at: row.time("created_at")?,
        })
    }
}

impl Reading<'_> {
    /// Every CA that waits, oldest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn ca_requests(&mut self) -> Result<Vec<CaRequestRow>, StoreError> {
        sql(TABLE, "SELECT * FROM ca_requests ORDER BY created_at, key_id LIMIT 1000")
            .all(&mut self.connection)
            .await
    }
}

impl Writing<'_> {
    /// Records a CA that waits.
    ///
    /// # Errors
    /// [`StoreError`], also when one of its name waits already.
    pub async fn insert_ca_request(&mut self, request: &CaRequestRow) -> Result<(), StoreError> {
        sql(
            TABLE,
            "INSERT INTO ca_requests (key_id, name, role, environment, subject, purposes, path_length, custody,
                 sealed_key, key_location, csr, created_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        )
        .bind(request.key_id)
        .bind(&request.name)
        .bind(request.role)
        .bind(request.environment.as_ref())
        .bind(request.subject.as_str())
        .bind(request.purposes.as_str())
        .bind(request.path_length)
        .bind(request.key.custody())
        .bind(request.key.sealed())
        .bind(request.key.location())
        .bind(request.csr.as_slice())
        .bind(request.created_at)
        .run(&mut self.connection)
        .await
        .map(|_one| ())
    }

    /// Says where the key of a CA that waits is kept from now on.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn set_ca_request_key(
        &mut self,
        request: IssuerKeyId,
        key: &KeptKey,
    ) -> Result<bool, StoreError> {
        sql(
            TABLE,
            "UPDATE ca_requests SET custody = $2, sealed_key = $3, key_location = $4 WHERE key_id = $1",
        )
        .bind(request)
        .bind(key.custody())
        .bind(key.sealed())
        .bind(key.location())
        .changed(&mut self.connection)
        .await
    }

    /// Removes a CA that waits, because it got its certificate or was given up; `false` when it is not
    /// there any more.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn delete_ca_request(&mut self, request: IssuerKeyId) -> Result<bool, StoreError> {
        sql(TABLE, "DELETE FROM ca_requests WHERE key_id = $1")
            .bind(request)
            .changed(&mut self.connection)
            .await
    }
}
