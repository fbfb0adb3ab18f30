//! Certificates of whatever is no device: services, doors, responders; issued here or brought along.

use countersign_core::alternative_names::AlternativeNames;
use countersign_core::certificate::{Lifetime, RevocationReason};
use countersign_core::ids::{
    CertificateId, CertificateRef, IssuerKeyId, SerialNumber, ServiceLabel, SpkiSha256,
};
use countersign_core::snapshot::SnapshotVersion;
use countersign_core::time::Timestamp;

use super::LIST_LIMIT;
use super::issuers::Origin;
use super::revocations::RevocationRow;
use super::service_keys::{ServiceCertificateCursor, ServiceKey};
use super::spelled::spelled_enum;
use crate::error::StoreError;
use crate::row::{FromRow, Row};
use crate::statement::{Conditions, Statement, sql};
use crate::transaction::{Reading, Writing};

pub(super) const TABLE: &str = "service_certificates";

spelled_enum! {
    /// Where a service's certificate stands. That it has ended, its dates say.
    ServiceState {
        /// In use, as far as anybody knows.
        Active => "active",
        /// Replaced by a newer one; good until it ends.
        Superseded => "superseded",
        /// Never to be trusted again.
        Revoked => "revoked",
    }
}

/// A service's certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceCertificateRow {
    /// Its id.
    pub id: CertificateId,
    /// Who signed it and under which number.
    pub reference: CertificateRef,
    /// The profile it was issued with, or the one it would have been.
    pub profile: String,
    /// Where it came from.
    pub origin: Origin,
    /// What people call it, over all its renewals.
    pub label: Option<ServiceLabel>,
    /// Its subject, as RFC 4514 writes it.
    pub subject: String,
    /// Its alternative names.
    pub names: AlternativeNames,
    /// Its key.
    pub spki: SpkiSha256,
    /// The certificate itself, DER.
    pub der: Vec<u8>,
    /// Where it stands.
    pub state: ServiceState,
    /// From issuance to its end.
    pub lifetime: Lifetime,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// Why.
    pub reason: Option<RevocationReason>,
}

impl FromRow for ServiceCertificateRow {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        let names = row.text("names")?;
        Ok(Self {
            id: row.parsed("id")?,
            reference: CertificateRef::from_row(row)?,
            profile: row.text("profile")?,
            origin: row.parsed("origin")?,
            label: row.optional_parsed("label")?,
            subject: row.text("subject")?,
            names: serde_json::from_str(&names).map_err(|_malformed| row.corrupt("names", &names))?,
            spki: row.parsed("spki_sha256")?,
            der: row.bytes("der")?,
            state: row.parsed("status")?,
            lifetime: Lifetime { issued_at: row.time("issued_at")?, expires_at: row.time("not_after")? },
            revoked_at: row.optional_time("revoked_at")?,
            reason: row.optional_parsed("revocation_reason")?,
        })
    }
}

/// Which certificates of services are wanted.
#[derive(Clone, Debug, Default)]
pub struct ServiceCertificateFilter {
    /// Of this issuer only.
    pub issuer: Option<IssuerKeyId>,
    /// With this label only.
    pub label: Option<ServiceLabel>,
    /// With this serial number only, whoever signed it.
    pub serial: Option<SerialNumber>,
    /// Only those that stand there.
    pub state: Option<ServiceState>,
    /// Only those whose key is there.
    pub key: Option<ServiceKey>,
    /// Only those that end after this.
    pub ends_after: Option<Timestamp>,
    /// Only those that end before this.
    pub ends_before: Option<Timestamp>,
    /// Only those behind this place.
    pub after: Option<ServiceCertificateCursor>,
    /// At most so many; at least one and at most [`LIST_LIMIT`].
    pub limit: u32,
}

/// What a filter asks for, newest first.
pub(super) fn selected(filter: &ServiceCertificateFilter, limit: u32) -> Statement {
    Conditions::none()
        .and("issuer_key_id = ?", filter.issuer)
        .and("label = ?", filter.label.as_ref())
        .and("serial_number = ?", filter.serial.as_ref())
        .and("status = ?", filter.state)
        .and("CASE WHEN sealed_key IS NULL THEN 'elsewhere' ELSE 'here' END = ?", filter.key)
        .and("not_after > ?", filter.ends_after)
        .and("not_after < ?", filter.ends_before)
        .and_pair("(issued_at, id) < (?, ?)", filter.after.map(|cursor| (cursor.at, cursor.id)))
        .select(TABLE, "SELECT * FROM service_certificates", "ORDER BY issued_at DESC, id DESC", limit)
}

/// How many certificates a CA has issued that are neither revoked nor over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IssuedCount {
    /// Which CA.
    pub issuer: IssuerKeyId,
    /// How many.
    pub live: u64,
}

impl FromRow for IssuedCount {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self { issuer: row.parsed("issuer_key_id")?, live: row.number("live")? })
    }
}

impl Reading<'_> {
    /// Certificates of services, newest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn service_certificates(
        &mut self,
        filter: &ServiceCertificateFilter,
    ) -> Result<Vec<ServiceCertificateRow>, StoreError> {
        selected(filter, filter.limit.clamp(1, LIST_LIMIT)).all(&mut self.connection).await
    }

    /// How many certificates of devices and services each CA has that are neither revoked nor over at
    /// `now`. CAs without any are left out.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn live_certificates(&mut self, now: Timestamp) -> Result<Vec<IssuedCount>, StoreError> {
        sql(
            TABLE,
            "SELECT issuer_key_id, CAST(sum(one) AS bigint) AS live FROM (
                 SELECT issuer_key_id, count(*) AS one FROM device_certificates
                     WHERE status IN ('PENDING_ACTIVATION', 'ACTIVE', 'SUPERSEDED') AND not_after >= $1
                     GROUP BY issuer_key_id
                 UNION ALL
                 SELECT issuer_key_id, count(*) AS one FROM service_certificates
                     WHERE status <> 'revoked' AND not_after >= $1
                     GROUP BY issuer_key_id
             ) AS counted GROUP BY issuer_key_id ORDER BY issuer_key_id",
        )
        .bind(now)
        .all(&mut self.connection)
        .await
    }
}

impl Writing<'_> {
    /// Records a service's certificate.
    ///
    /// # Errors
    /// [`StoreError`], also when one with its issuer and number is on record already.
    pub async fn insert_service_certificate(
        &mut self,
        row: &ServiceCertificateRow,
    ) -> Result<(), StoreError> {
        let names = serde_json::to_string(&row.names)
            .map_err(|error| StoreError::corrupt(TABLE, "names", &error.to_string()))?;
        sql(
            TABLE,
            "INSERT INTO service_certificates (id, issuer_key_id, serial_number, profile, origin, label,
                 subject, names, spki_sha256, der, status, issued_at, not_after, revoked_at,
                 revocation_reason)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)",
        )
        .bind(row.id)
        .bind(row.reference.issuer)
        .bind(&row.reference.serial)
        .bind(row.profile.as_str())
        .bind(row.origin)
        .bind(row.label.as_ref())
        .bind(row.subject.as_str())
        .bind(names)
        .bind(row.spki)
        .bind(row.der.as_slice())
        .bind(row.state)
        .bind(row.lifetime.issued_at)
        .bind(row.lifetime.expires_at)
        .bind(row.revoked_at)
        .bind(row.reason)
        .run(&mut self.connection)
        .await
        .map(|_one| ())
    }

    /// Notes that a service's certificate was replaced; `false` when it was not active.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn supersede_service_certificate(
        &mut self,
        reference: &CertificateRef,
    ) -> Result<bool, StoreError> {
        sql(
            TABLE,
            "UPDATE service_certificates SET status = 'superseded'
             WHERE issuer_key_id = $1 AND serial_number = $2 AND status = 'active'",
        )
        .bind(reference.issuer)
        .bind(&reference.serial)
        .changed(&mut self.connection)
        .await
    }

    /// Revokes a service's certificate for the doors and the next CRL, raising the epoch, and forgets its
    /// key; `None` when it is not on record or revoked already.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn revoke_service_certificate(
        &mut self,
        revocation: &RevocationRow,
    ) -> Result<Option<SnapshotVersion>, StoreError> {
        let revoked = sql(
            TABLE,
            "UPDATE service_certificates
             SET status = 'revoked', revoked_at = $3, revocation_reason = $4, sealed_key = NULL
             WHERE issuer_key_id = $1 AND serial_number = $2 AND status <> 'revoked'",
        )
        .bind(revocation.reference.issuer)
        .bind(&revocation.reference.serial)
        .bind(revocation.revoked_at)
        .bind(revocation.reason)
        .changed(&mut self.connection)
        .await?;
        if !revoked {
            return Ok(None);
        }
        self.insert_revocation(revocation).await?;
        self.service_trust_changed(&revocation.reference).await.map(Some)
    }

    /// Raises the epoch because of a service's certificate: to be called in every transaction that changes
    /// whether doors trust it.
    ///
    /// # Errors
    /// [`StoreError`], also when there is no installation.
    pub async fn service_trust_changed(
        &mut self,
        reference: &CertificateRef,
    ) -> Result<SnapshotVersion, StoreError> {
        let version = self.raise_epoch().await?;
        sql(
            TABLE,
            "UPDATE service_certificates SET trust_epoch = $3 WHERE issuer_key_id = $1 AND serial_number = $2",
        )
        .bind(reference.issuer)
        .bind(&reference.serial)
        .bind(version.epoch)
        .run(&mut self.connection)
        .await?;
        Ok(version)
    }
}
