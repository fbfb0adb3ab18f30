//! Issued device certificates.

use std::collections::HashMap;

use countersign_core::certificate::{CertificateEvent, CertificateState, Lifetime, RevocationReason};
use countersign_core::ids::{
    CertificateId, CertificateRef, DeviceId, DeviceName, SerialNumber, SpkiSha256, Tenant, TenantId,
};
use countersign_core::time::Timestamp;

use super::cursor::Cursor;
use super::{LIST_LIMIT, SWEEP_LIMIT};
use crate::error::StoreError;
use crate::row::{FromRow, Row};
use crate::rows::Rows;
use crate::statement::{Conditions, Statement, sql};
use crate::transaction::{Reading, Writing};

/// Shows [`ISSUED`] and [`STATES`] as one.
const TABLE: &str = "device_certificates";

/// What never changes.
const ISSUED: &str = "issued_certificates";

/// Where they stand.
const STATES: &str = "certificate_states";

const ISSUED_COLUMNS: [&str; 9] = [
    "id",
    "device_uuid",
    "tenant_id",
    "device_id",
    "issuer_key_id",
    "serial_number",
    "spki_sha256",
    "der",
    "issued_at",
];

const STATE_COLUMNS: [&str; 8] = [
    "certificate_id",
    "device_uuid",
    "status",
    "not_after",
    "confirm_before",
    "superseded_until",
    "revoked_at",
    "revocation_reason",
];

/// An issued certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateRow {
    /// Id of the record.
    pub id: CertificateId,
    /// Whose it is.
    pub device: DeviceId,
    /// The tenant it names.
    pub tenant: Tenant,
    /// The device it names.
    pub device_name: DeviceName,
    /// Who signed it and its serial number.
    pub reference: CertificateRef,
    /// Its key.
    pub spki: SpkiSha256,
    /// The certificate, DER.
    pub der: Vec<u8>,
    /// Where it stands.
    pub state: CertificateState,
    /// From issuance to its end.
    pub lifetime: Lifetime,
    /// Until when it waits to be confirmed; set while it is pending activation.
    pub confirm_before: Option<Timestamp>,
    /// Until when sessions opened with it may go on; set once it is superseded.
    pub superseded_until: Option<Timestamp>,
    /// When it was revoked, if it was.
    pub revoked_at: Option<Timestamp>,
    /// Why it was revoked.
    pub reason: Option<RevocationReason>,
}

impl FromRow for CertificateRow {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.parsed("id")?,
            device: row.parsed("device_uuid")?,
            tenant: row.parsed("tenant_id")?,
            device_name: row.parsed("device_id")?,
            reference: CertificateRef::from_row(row)?,
            spki: row.parsed("spki_sha256")?,
            der: row.bytes("der")?,
            state: row.certificate_state("status")?,
            lifetime: Lifetime { issued_at: row.time("issued_at")?, expires_at: row.time("not_after")? },
            confirm_before: row.optional_time("confirm_before")?,
            superseded_until: row.optional_time("superseded_until")?,
            revoked_at: row.optional_time("revoked_at")?,
            reason: row.optional_parsed("revocation_reason")?,
        })
    }
}

impl CertificateRow {
    /// What is written of them and never changes.
    fn issued(certificates: &[Self]) -> Rows<{ ISSUED_COLUMNS.len() }> {
        let mut rows = Rows::of(ISSUED, &ISSUED_COLUMNS);
        for certificate in certificates {
            rows.add([
                certificate.id.into(),
                certificate.device.into(),
                (&certificate.tenant).into(),
                (&certificate.device_name).into(),
                certificate.reference.issuer.into(),
                (&certificate.reference.serial).into(),
                certificate.spki.into(),
                certificate.der.as_slice().into(),
                certificate.lifetime.issued_at.into(),
            ]);
        }
        rows
    }

    /// What is written of where they stand.
    fn states(certificates: &[Self]) -> Rows<{ STATE_COLUMNS.len() }> {
        let mut rows = Rows::of(STATES, &STATE_COLUMNS);
        for certificate in certificates {
            rows.add([
                certificate.id.into(),
                certificate.device.into(),
                certificate.state.into(),
                certificate.lifetime.expires_at.into(),
                certificate.confirm_before.into(),
                certificate.superseded_until.into(),
                certificate.revoked_at.into(),
                certificate.reason.into(),
            ]);
        }
        rows
    }
}

/// What happens to a certificate, with what the record needs to know about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateChange {
    /// Its device has confirmed it.
    Activate,
    /// A newer one was confirmed.
    Supersede {
        /// Until when sessions opened with it may go on.
        until: Timestamp,
    },
    /// It is revoked.
    Revoke {
        /// When.
        at: Timestamp,
        /// Why.
        reason: RevocationReason,
    },
    /// Its end has passed.
    Expire,
}

impl CertificateChange {
    /// The event of the state machine.
    #[must_use]
    pub const fn event(self) -> CertificateEvent {
        match self {
            Self::Activate => CertificateEvent::Activate,
            Self::Supersede { .. } => CertificateEvent::Supersede,
            Self::Revoke { .. } => CertificateEvent::Revoke,
            Self::Expire => CertificateEvent::Expire,
        }
    }
}

/// Where a page of certificates ended.
pub type CertificateCursor = Cursor<CertificateId>;

/// Which certificates a list is about.
#[derive(Clone, Debug, Default)]
pub struct CertificateFilter {
    /// The only tenant; `None`: all.
    pub tenant: Option<TenantId>,
    /// The only device.
    pub device: Option<DeviceId>,
    /// The only state.
    pub state: Option<CertificateState>,
    /// The only serial number, of whichever issuer.
    pub serial: Option<SerialNumber>,
    /// How many at most: 1 to [`LIST_LIMIT`].
    pub limit: u32,
    /// Where the page before ended.
    pub after: Option<CertificateCursor>,
}

/// A page of certificates, latest issued first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificatePage {
    /// The certificates.
    pub certificates: Vec<CertificateRow>,
    /// Where the next page begins; `None`: this was the last.
    pub next: Option<CertificateCursor>,
}

impl Reading<'_> {
    /// The certificate with this id.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn certificate(&mut self, id: CertificateId) -> Result<Option<CertificateRow>, StoreError> {
        sql(TABLE, "SELECT * FROM device_certificates WHERE id = $1")
            .bind(id)
            .optional(&mut self.connection)
            .await
    }

    /// The certificate with this issuer and serial number.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn certificate_by_reference(
        &mut self,
        reference: &CertificateRef,
    ) -> Result<Option<CertificateRow>, StoreError> {
        sql(TABLE, "SELECT * FROM device_certificates WHERE issuer_key_id = $1 AND serial_number = $2")
            .bind(reference.issuer)
            .bind(&reference.serial)
            .optional(&mut self.connection)
            .await
    }

    /// A device's certificates, newest first; at most [`LIST_LIMIT`].
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn certificates_of(&mut self, device: DeviceId) -> Result<Vec<CertificateRow>, StoreError> {
        sql(
            TABLE,
            "SELECT * FROM device_certificates WHERE device_uuid = $1
             ORDER BY issued_at DESC, id DESC LIMIT $2",
        )
        .bind(device)
        .bind(LIST_LIMIT)
        .all(&mut self.connection)
        .await
    }

    /// The one certificate by which each of these devices is known: the active one, or else the
    /// latest. For a page of devices; those beyond [`LIST_LIMIT`] are left out.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn shown_certificates(
        &mut self,
        devices: &[DeviceId],
    ) -> Result<HashMap<DeviceId, CertificateRow>, StoreError> {
        if devices.is_empty() {
            return Ok(HashMap::new());
        }
        let rows: Vec<CertificateRow> = Statement::over_list(
            TABLE,
            "SELECT * FROM (SELECT c.*, row_number() OVER (PARTITION BY device_uuid
                 ORDER BY CASE status WHEN 'ACTIVE' THEN 0 ELSE 1 END, issued_at DESC, id DESC) AS place
             FROM device_certificates c WHERE device_uuid IN ({})) AS ranked WHERE place = 1",
            devices.iter().copied().take(LIST_LIMIT as usize),
        )
        .all(&mut self.connection)
        .await?;
        Ok(rows.into_iter().map(|row| (row.device, row)).collect())
    }

    /// A page of the certificates that match.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn list_certificates(
        &mut self,
        filter: &CertificateFilter,
    ) -> Result<CertificatePage, StoreError> {
        let limit = filter.limit.clamp(1, LIST_LIMIT);
        let mut certificates: Vec<CertificateRow> = Conditions::none()
            .and("tenant_id = (SELECT slug FROM tenants WHERE id = ?)", filter.tenant)
            .and("device_uuid = ?", filter.device)
            .and("status = ?", filter.state)
            .and("serial_number = ?", filter.serial.as_ref())
            .and_pair("(issued_at, id) < (?, ?)", filter.after.map(|cursor| (cursor.at, cursor.id)))
            .select(TABLE, "SELECT * FROM device_certificates", "ORDER BY issued_at DESC, id DESC", limit + 1)
            .all(&mut self.connection)
            .await?;
        let more = certificates.len() > limit as usize;
        certificates.truncate(limit as usize);
        let next = certificates
            .last()
            .filter(|_last| more)
            .map(|last| Cursor { at: last.lifetime.issued_at, id: last.id });
        Ok(CertificatePage { certificates, next })
    }

    /// Certificates whose end has passed and whose state does not say so; at most `limit` and
    /// [`LIST_LIMIT`].
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn certificates_past_end(
        &mut self,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<CertificateRow>, StoreError> {
        sql(
            TABLE,
            "SELECT * FROM device_certificates
             WHERE status IN ('PENDING_ACTIVATION', 'ACTIVE', 'SUPERSEDED') AND not_after < $1
             ORDER BY not_after LIMIT $2",
        )
        .bind(now)
        .bind(limit.clamp(1, LIST_LIMIT))
        .all(&mut self.connection)
        .await
    }

    /// Certificates that were not confirmed in time; at most [`SWEEP_LIMIT`].
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn unconfirmed_past_window(
        &mut self,
        now: Timestamp,
    ) -> Result<Vec<CertificateRow>, StoreError> {
        sql(
            TABLE,
            "SELECT * FROM device_certificates WHERE status = 'PENDING_ACTIVATION' AND confirm_before < $1
             ORDER BY confirm_before LIMIT $2",
        )
        .bind(now)
        .bind(SWEEP_LIMIT)
        .all(&mut self.connection)
        .await
    }

    /// Superseded certificates whose overlap is over; at most [`SWEEP_LIMIT`].
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn overlap_ended(&mut self, now: Timestamp) -> Result<Vec<CertificateRow>, StoreError> {
        sql(
            TABLE,
            "SELECT * FROM device_certificates WHERE status = 'SUPERSEDED' AND superseded_until < $1
             ORDER BY superseded_until LIMIT $2",
        )
        .bind(now)
        .bind(SWEEP_LIMIT)
        .all(&mut self.connection)
        .await
    }
}

impl Writing<'_> {
    /// Records an issued certificate.
    ///
    /// # Errors
    /// [`StoreError`], also when its reference is on record, or its device already has an active one
    /// (a pending one) and this one is active (pending).
    pub async fn insert_certificate(&mut self, certificate: &CertificateRow) -> Result<(), StoreError> {
        self.insert_certificates(std::slice::from_ref(certificate)).await
    }

    /// Records issued certificates.
    ///
    /// # Errors
    /// [`StoreError`], also when a reference is on record, or a device would have two active ones (two
    /// pending ones).
    pub async fn insert_certificates(&mut self, certificates: &[CertificateRow]) -> Result<(), StoreError> {
        CertificateRow::issued(certificates).insert(&mut self.connection, "").await?;
        CertificateRow::states(certificates).insert(&mut self.connection, "").await.map(|_all| ())
    }

    /// Moves a certificate on, if it still is in the state `from`; `false` when it is not, or when
    /// that state does not allow the change, and then nothing is written. A revocation is recorded
    /// in the deny set in the same step.
    ///
    /// # Errors
    /// [`StoreError`], also when the device would have two active certificates.
    pub async fn move_certificate(
        &mut self,
        id: CertificateId,
        from: CertificateState,
        change: CertificateChange,
    ) -> Result<bool, StoreError> {
        let Ok(to) = from.apply(change.event()) else { return Ok(false) };
        let until = match change {
            CertificateChange::Supersede { until } => Some(until),
            CertificateChange::Activate | CertificateChange::Revoke { .. } | CertificateChange::Expire => {
                None
            }
        };
        let revoked = match change {
            CertificateChange::Revoke { at, reason } => Some((at, reason)),
            CertificateChange::Activate | CertificateChange::Supersede { .. } | CertificateChange::Expire => {
                None
            }
        };
        let moved = sql(
            STATES,
            "UPDATE certificate_states SET status = $3, superseded_until = coalesce($4, superseded_until),
                 revoked_at = $5, revocation_reason = $6,
                 confirm_before = CASE WHEN $3 = 'ACTIVE' THEN NULL ELSE confirm_before END
             WHERE certificate_id = $1 AND status = $2",
        )
        .bind(id)
        .bind(from)
        .bind(to)
        .bind(until)
        .bind(revoked.map(|(at, _reason)| at))
        .bind(revoked.map(|(_at, reason)| reason))
        .changed(&mut self.connection)
        .await?;
        if moved && revoked.is_some() {
            self.record_revocation_of(id).await?;
        }
        Ok(moved)
    }

    /// Puts a revoked certificate into the deny set, and its key with it unless it was merely
    /// replaced: that key was given up in good standing, and a renewal may have kept it.
    async fn record_revocation_of(&mut self, id: CertificateId) -> Result<(), StoreError> {
        sql(
            "revocations",
            "INSERT INTO revocations (issuer_key_id, serial_number, spki_sha256, revoked_at, reason, expires_at)
             SELECT issuer_key_id, serial_number,
                 CASE WHEN revocation_reason = 'superseded' THEN NULL ELSE spki_sha256 END,
                 revoked_at, revocation_reason, not_after
             FROM device_certificates WHERE id = $1 AND status = 'REVOKED'
             ON CONFLICT (issuer_key_id, serial_number) DO NOTHING",
        )
        .bind(id)
        .run(&mut self.connection)
        .await
        .map(|_one| ())
    }
}
