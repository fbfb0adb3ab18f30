//! Certificates of services as people look for them, and the keys of those that came with one.

use std::fmt;

use countersign_core::ids::{CertificateId, CertificateRef, SpkiSha256};

use super::LIST_LIMIT;
use super::cursor::Cursor;
use super::service_certificates::{ServiceCertificateFilter, ServiceCertificateRow, TABLE, selected};
use super::spelled::spelled_enum;
use crate::error::StoreError;
use crate::row::{FromRow, Row};
use crate::statement::sql;
use crate::transaction::{Reading, Writing};

spelled_enum! {
    /// Where the key of a service's certificate is.
    ServiceKey {
        /// With us, sealed.
        Here => "here",
        /// With the service alone.
        Elsewhere => "elsewhere",
    }
}

/// Where a page of the certificates of services ended.
pub type ServiceCertificateCursor = Cursor<CertificateId>;

/// A service's certificate on record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedService {
    /// The certificate.
    pub row: ServiceCertificateRow,
    /// Where its key is.
    pub key: ServiceKey,
    /// The CAs above one that was imported, PEM, as they came with it.
    pub chain: Option<String>,
}

impl FromRow for RecordedService {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        let key = match row.optional_bytes("sealed_key")? {
            Some(_sealed) => ServiceKey::Here,
            None => ServiceKey::Elsewhere,
        };
        Ok(Self { row: ServiceCertificateRow::from_row(row)?, key, chain: row.optional_text("chain")? })
    }
}

/// A page of them, newest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceCertificatePage {
    /// The certificates.
    pub certificates: Vec<RecordedService>,
    /// Where the next page begins; `None`: this was the last.
    pub next: Option<ServiceCertificateCursor>,
}

/// The key of a service's certificate.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedServiceKey {
    /// Of which certificate.
    pub id: CertificateId,
    /// Its public half.
    pub spki: SpkiSha256,
    /// Itself, sealed by the issuing side.
    pub sealed_key: Vec<u8>,
}

impl fmt::Debug for SealedServiceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealedServiceKey")
            .field("id", &self.id)
            .field("spki", &self.spki)
            .field("sealed_key", &"[redacted]")
            .finish()
    }
}

impl FromRow for SealedServiceKey {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.parsed("id")?,
            spki: row.parsed("spki_sha256")?,
            sealed_key: row.bytes("sealed_key")?,
        })
    }
}

impl Reading<'_> {
    /// A page of the certificates of services.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn service_certificate_page(
        &mut self,
        filter: &ServiceCertificateFilter,
    ) -> Result<ServiceCertificatePage, StoreError> {
        let limit = filter.limit.clamp(1, LIST_LIMIT);
        let mut certificates: Vec<RecordedService> =
            selected(filter, limit + 1).all(&mut self.connection).await?;
        let more = certificates.len() > limit as usize;
        certificates.truncate(limit as usize);
        let next = certificates
            .last()
            .filter(|_last| more)
            .map(|last| Cursor { at: last.row.lifetime.issued_at, id: last.row.id });
        Ok(ServiceCertificatePage { certificates, next })
    }

    /// A service's certificate by its id.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn service_certificate(
        &mut self,
        id: CertificateId,
    ) -> Result<Option<RecordedService>, StoreError> {
        sql(TABLE, "SELECT * FROM service_certificates WHERE id = $1")
            .bind(id)
            .optional(&mut self.connection)
            .await
    }

    /// A service's certificate by who signed it and under which number.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn service_certificate_of(
        &mut self,
        reference: &CertificateRef,
    ) -> Result<Option<RecordedService>, StoreError> {
        sql(TABLE, "SELECT * FROM service_certificates WHERE issuer_key_id = $1 AND serial_number = $2")
            .bind(reference.issuer)
            .bind(&reference.serial)
            .optional(&mut self.connection)
            .await
    }

    /// The key of a service's certificate; `None` when it is not with us.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn sealed_service_key(
        &mut self,
        id: CertificateId,
    ) -> Result<Option<SealedServiceKey>, StoreError> {
        sql(
            TABLE,
            "SELECT id, spki_sha256, sealed_key FROM service_certificates
             WHERE id = $1 AND sealed_key IS NOT NULL",
        )
        .bind(id)
        .optional(&mut self.connection)
        .await
    }

    /// Every key of a service that is with us.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn sealed_service_keys(&mut self) -> Result<Vec<SealedServiceKey>, StoreError> {
        sql(
            TABLE,
            "SELECT id, spki_sha256, sealed_key FROM service_certificates WHERE sealed_key IS NOT NULL
             ORDER BY issued_at, id",
        )
        .all(&mut self.connection)
        .await
    }
}

impl Writing<'_> {
    /// Keeps the key of a service's certificate, in the place of one that is here already; `false` when
    /// there is no such certificate, or it is revoked.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn keep_service_key(&mut self, key: &SealedServiceKey) -> Result<bool, StoreError> {
        sql(
            TABLE,
            "UPDATE service_certificates SET sealed_key = $3
             WHERE id = $1 AND spki_sha256 = $2 AND status <> 'revoked'",
        )
        .bind(key.id)
        .bind(key.spki)
        .bind(key.sealed_key.as_slice())
        .changed(&mut self.connection)
        .await
    }

    /// Notes the CAs that came with an imported certificate; `false` when there is no such certificate.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn set_service_chain(&mut self, id: CertificateId, chain: &str) -> Result<bool, StoreError> {
        sql(TABLE, "UPDATE service_certificates SET chain = $2 WHERE id = $1 AND origin = 'imported'")
            .bind(id)
            .bind(chain)
            .changed(&mut self.connection)
            .await
    }

    /// Forgets the key of a service's certificate; `false` when there was none.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn forget_service_key(&mut self, id: CertificateId) -> Result<bool, StoreError> {
        sql(
            TABLE,
            "UPDATE service_certificates SET sealed_key = NULL WHERE id = $1 AND sealed_key IS NOT NULL",
        )
        .bind(id)
        .changed(&mut self.connection)
        .await
    }

    /// Deletes an imported certificate with its key; `false` when there is none with this id: what was
    /// issued here stays on record.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn delete_imported_service(&mut self, id: CertificateId) -> Result<bool, StoreError> {
        sql(TABLE, "DELETE FROM service_certificates WHERE id = $1 AND origin = 'imported'")
            .bind(id)
            .changed(&mut self.connection)
            .await
    }
}
