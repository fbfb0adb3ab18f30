//! The audit log: written with the change it is about, never changed.

use std::collections::BTreeMap;

use countersign_core::audit::{AuditEntry, AuditEvent, CHAIN_START, ChainHash};
use countersign_core::ids::{CertificateId, DeviceId, RequestId, Tenant};
use countersign_core::time::Timestamp;

use super::LIST_LIMIT;
use crate::error::StoreError;
use crate::row::{FromRow, Number, Row};
use crate::statement::{Conditions, sql};
use crate::transaction::{Reading, Writing};

pub(crate) const TABLE: &str = "audit_entries";
pub(crate) const HEADS: &str = "audit_heads";

/// Whose entries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ChainScope {
    /// Everybody's.
    #[default]
    All,
    /// The platform's own.
    Platform,
    /// One tenant's.
    Tenant(Tenant),
}

impl ChainScope {
    fn chain(&self) -> Option<&str> {
        match self {
            Self::All => None,
            Self::Platform => Some(""),
            Self::Tenant(tenant) => Some(tenant.as_str()),
        }
    }
}

/// Which entries a query is about.
#[derive(Clone, Debug, Default)]
pub struct AuditFilter {
    /// Whose.
    pub scope: ChainScope,
    /// The only event.
    pub event: Option<AuditEvent>,
    /// The only actor, in the text form of [`countersign_core::audit::Actor`].
    pub actor: Option<String>,
    /// The only device.
    pub device: Option<DeviceId>,
    /// The only certificate.
    pub certificate: Option<CertificateId>,
    /// The only request: entries that name it as theirs.
    pub request: Option<RequestId>,
    /// From this moment on.
    pub since: Option<Timestamp>,
    /// Before this moment.
    pub until: Option<Timestamp>,
    /// How many at most: 1 to [`LIST_LIMIT`].
    pub limit: u32,
    /// Only entries older than the one with this [`AuditRecord::id`].
    pub before: Option<u64>,
    /// Only entries up to this [`AuditRecord::sequence`].
    pub up_to: Option<u64>,
}

/// An entry on record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRecord {
    /// Its number in the whole log; newer entries have higher ones.
    pub id: u64,
    /// Whose chain it belongs to; `None`: the platform's own.
    pub tenant: Option<Tenant>,
    /// Its number in the chain, from 1.
    pub sequence: u64,
    /// When.
    pub at: Timestamp,
    /// What.
    pub event: AuditEvent,
    /// Who, in the text form of [`countersign_core::audit::Actor`].
    pub actor: String,
    /// About which device.
    pub device: Option<DeviceId>,
    /// About which certificate.
    pub certificate: Option<CertificateId>,
    /// Further facts.
    pub details: BTreeMap<String, String>,
    /// The chain's hash after it.
    pub hash: ChainHash,
}

impl FromRow for AuditRecord {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        let (event, details) = (row.text("event")?, row.text("details")?);
        Ok(Self {
            id: row.number("id")?,
            tenant: unless_empty(row, "chain")?,
            sequence: row.number("sequence")?,
            at: row.time("at")?,
            event: AuditEvent::ALL
                .iter()
                .copied()
                .find(|known| known.as_str() == event)
                .ok_or_else(|| row.corrupt("event", &event))?,
            actor: row.text("actor")?,
            device: unless_empty(row, "device_id")?,
            certificate: unless_empty(row, "certificate_id")?,
            details: serde_json::from_str(&details).map_err(|_not_texts| row.corrupt("details", &details))?,
            hash: hash(row, "hash")?,
        })
    }
}

/// The empty text stands for nothing, since it is hashed.
fn unless_empty<T: std::str::FromStr>(row: &Row, column: &'static str) -> Result<Option<T>, StoreError> {
    if row.text(column)?.is_empty() { Ok(None) } else { row.parsed(column).map(Some) }
}

/// A chain hash, stored as 64 hex digits.
pub(crate) fn hash(row: &Row, column: &'static str) -> Result<ChainHash, StoreError> {
    let text = row.text(column)?;
    let mut bytes = CHAIN_START;
    hex::decode_to_slice(&text, &mut bytes).map_err(|_not_hex| row.corrupt(column, &text))?;
    Ok(bytes)
}

/// The end of a chain.
pub(crate) struct Head {
    pub(crate) sequence: u64,
    pub(crate) hash: ChainHash,
}

impl FromRow for Head {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self { sequence: row.number("sequence")?, hash: hash(row, "hash")? })
    }
}

/// An entry in the order of the log, with what its hash was made over besides its fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkedRecord {
    /// The entry.
    pub record: AuditRecord,
    /// The chain's hash before it.
    pub previous: ChainHash,
}

impl FromRow for LinkedRecord {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        let record = AuditRecord::from_row(row)?;
        let is_first = row.optional_text("previous")?.is_none();
        let previous = if is_first { CHAIN_START } else { hash(row, "previous")? };
        Ok(Self { record, previous })
    }
}

/// Which part of the log, in its order: entries after one and up to another, by [`AuditRecord::id`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogPart {
    /// After this one.
    pub after: u64,
    /// Up to and with this one.
    pub last: u64,
}

/// SQL: entries of a chain that are older than one of it, by the key of the chain.
const BEHIND: &str = "sequence < coalesce((SELECT mark.sequence FROM audit_entries AS mark
    WHERE mark.id = ? AND mark.chain = ?), 9223372036854775807)";

impl AuditFilter {
    /// The chain, when nothing but it leads to an index. Its entries are in the same order by their number
    /// in it as by their number in the log.
    fn only_chain(&self) -> Option<&str> {
        let leads = self.event.is_some()
            || self.actor.is_some()
            || self.device.is_some()
            || self.certificate.is_some()
            || self.request.is_some();
        self.scope.chain().filter(|_chain| !leads)
    }

    fn conditions(&self) -> Conditions {
        Conditions::none()
            .and("chain = ?", self.scope.chain())
            .and("event = ?", self.event.map(AuditEvent::as_str))
            .and("actor = ?", self.actor.as_deref())
            .and("device_id = ?", self.device.map(|device| device.to_string()))
            .and("certificate_id = ?", self.certificate.map(|certificate| certificate.to_string()))
            .and(
                "id IN (SELECT entry_id FROM audit_requests WHERE request_id = ?)",
                self.request.map(|request| request.to_string()),
            )
            .and("at >= ?", self.since)
            .and("at < ?", self.until)
            .and("sequence <= ?", self.up_to)
    }
}

impl Reading<'_> {
    /// The number of the newest entry of the whole log; 0 when there is none.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn last_audit_id(&mut self) -> Result<u64, StoreError> {
        let last: Option<Number> =
            sql(TABLE, "SELECT id AS number FROM audit_entries ORDER BY id DESC LIMIT 1")
                .optional(&mut self.connection)
                .await?;
        Ok(last.map_or(0, |Number(id)| id))
    }

    /// How many entries there have ever been in a tenant's chain, or in all chains together.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn audit_length(&mut self, chain: Option<&Tenant>) -> Result<u64, StoreError> {
        let text = "SELECT CAST(coalesce(sum(sequence), 0) AS BIGINT) AS number FROM audit_heads
            WHERE CAST($1 AS TEXT) IS NULL OR chain = $1";
        let Number(length) =
            sql(HEADS, text).bind(chain.map(Tenant::as_str)).one(&mut self.connection).await?;
        Ok(length)
    }

    /// The entries of a part of the log that match, in the order of the log; not what lies behind a cut.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn audit_log(
        &mut self,
        filter: &AuditFilter,
        part: LogPart,
    ) -> Result<Vec<LinkedRecord>, StoreError> {
        filter
            .conditions()
            .and("id > ?", Some(part.after))
            .and("id <= ?", Some(part.last))
            .select(
                TABLE,
                "SELECT *, coalesce(
                     (SELECT before.hash FROM audit_entries AS before
                      WHERE before.chain = log.chain AND before.sequence = log.sequence - 1),
                     (SELECT cut.hash FROM audit_cuts AS cut
                      WHERE cut.chain = log.chain AND cut.sequence = log.sequence - 1)) AS previous
                 FROM (SELECT * FROM audit_entries
                       WHERE NOT EXISTS (SELECT 1 FROM audit_cuts AS cut
                           WHERE cut.chain = audit_entries.chain AND cut.sequence >= audit_entries.sequence))
                     AS log",
                "ORDER BY id",
                filter.limit.clamp(1, LIST_LIMIT),
            )
            .all(&mut self.connection)
            .await
    }

    /// The entries that match, newest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn audit_entries(&mut self, filter: &AuditFilter) -> Result<Vec<AuditRecord>, StoreError> {
        let place = filter.before.zip(filter.only_chain());
        let order = if filter.only_chain().is_some() { "ORDER BY sequence DESC" } else { "ORDER BY id DESC" };
        filter
            .conditions()
            .and("id < ?", filter.before)
            .and_pair(BEHIND, place)
            .select(TABLE, "SELECT * FROM audit_entries", order, filter.limit.clamp(1, LIST_LIMIT))
            .all(&mut self.connection)
            .await
    }
}

impl Writing<'_> {
    /// Appends an entry to its chain, in the transaction of the change it is about. It is written, with
    /// those of the other changes of the group, right before the commit: until then not even this
    /// transaction finds it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn append_audit(&mut self, entry: &AuditEntry) -> Result<(), StoreError> {
        self.journal.add(entry)
    }
}
