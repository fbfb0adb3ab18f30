//! The audit entries of a group of changes: collected while its changes run, numbered, chained and
//! written together before the commit, in the same transaction.

use std::collections::BTreeMap;

use countersign_core::audit::{AuditEntry, CHAIN_START, ChainHash, ChainedEntry};
use countersign_core::ids::Tenant;
use countersign_core::time::Timestamp;

use super::audit::{HEADS, Head, TABLE, hash};
use crate::connection::Connection;
use crate::error::StoreError;
use crate::notices::Notice;
use crate::postgres;
use crate::row::{FromRow, Row};
use crate::rows::Rows;
use crate::statement::{Statement, sql};
use crate::value::Value;

const COLUMNS: [&str; 9] =
    ["chain", "sequence", "at", "event", "actor", "device_id", "certificate_id", "details", "hash"];

/// The details of an entry that name requests, under which it is to be found.
const REQUEST_DETAILS: [&str; 3] = ["requestId", "firstRequestId", "lastRequestId"];

const HEAD_COLUMNS: [&str; 3] = ["chain", "sequence", "hash"];

/// Entries that wait to be written with their group.
#[derive(Default)]
pub(crate) struct Journal {
    entries: Vec<Entry>,
}

/// An entry's fields as the texts that are stored and hashed.
pub(crate) struct Entry {
    pub(crate) chain: String,
    pub(crate) at: Timestamp,
    pub(crate) event: &'static str,
    pub(crate) actor: String,
    pub(crate) device: String,
    pub(crate) certificate: String,
    pub(crate) details: String,
    requests: Vec<String>,
}

/// An entry with its place in its chain, ready to be written.
pub(crate) struct Linked {
    pub(crate) entry: Entry,
    pub(crate) sequence: u64,
    /// The chain's hash after it.
    pub(crate) hash: ChainHash,
}

/// The end of one of several chains.
struct NamedHead {
    chain: String,
    head: Head,
}

impl FromRow for NamedHead {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        let head = Head { sequence: row.number("sequence")?, hash: hash(row, "hash")? };
        Ok(Self { chain: row.text("chain")?, head })
    }
}

impl Journal {
    /// Takes an entry.
    pub(crate) fn add(&mut self, entry: &AuditEntry) -> Result<(), StoreError> {
        self.entries.push(Entry::of(entry)?);
        Ok(())
    }

    /// How many entries wait.
    pub(crate) const fn len(&self) -> usize {
        self.entries.len()
    }

    /// What the entries are about.
    pub(crate) fn events(&self) -> Vec<&'static str> {
        self.entries.iter().map(|entry| entry.event).collect()
    }

    /// Forgets all but the first `len`: a change that is undone leaves no entry.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.entries.truncate(len);
    }

    /// What waits, and in how many entries.
    pub(crate) fn notices(&self) -> BTreeMap<Notice, u64> {
        let mut notices = BTreeMap::new();
        for Entry { chain, event, .. } in &self.entries {
            *notices.entry(Notice { chain: chain.clone(), event }).or_default() += 1;
        }
        notices
    }

    /// Writes what waits, each entry at the end of its chain, in the order in which they came.
    pub(crate) async fn write(&mut self, connection: &mut Connection<'_>) -> Result<(), StoreError> {
        if self.entries.is_empty() {
            return Ok(());
        }
        let entries = std::mem::take(&mut self.entries);
        let mut heads = heads_of(&entries, connection).await?;
        let mut named = Vec::new();
        let linked = entries.into_iter().map(|mut entry| {
            let start = || Head { sequence: 0, hash: CHAIN_START };
            let head = heads.entry(entry.chain.clone()).or_insert_with(start);
            let sequence = head.sequence + 1;
            *head = Head { sequence, hash: entry.chained(sequence).hash(&head.hash) };
            let requests = std::mem::take(&mut entry.requests);
            named.extend(requests.into_iter().map(|request| (request, entry.chain.clone(), sequence)));
            Linked { entry, sequence, hash: head.hash }
        });
        write_linked(linked, connection).await?;
        for (request, chain, sequence) in named {
            index(connection, request, chain, sequence).await?;
        }
        let mut ends = Rows::of(HEADS, &HEAD_COLUMNS);
        for (chain, head) in heads {
            ends.add([chain.into(), head.sequence.into(), hex::encode(head.hash).into()]);
        }
        let replace = "ON CONFLICT (chain) DO UPDATE SET sequence = excluded.sequence, hash = excluded.hash";
        ends.insert(connection, replace).await.map(|_written| ())
    }
}

/// Writes entries that get their places as they come. On SQLite lists of values are as quick as anything.
async fn write_linked(
    linked: impl ExactSizeIterator<Item = Linked>,
    connection: &mut Connection<'_>,
) -> Result<(), StoreError> {
    if let Connection::Postgres(inner) = connection {
        return postgres::journal::write(inner, linked).await;
    }
    let mut rows = Rows::of(TABLE, &COLUMNS);
    for one in linked {
        rows.add(one.row());
    }
    rows.insert(connection, "").await.map(|_written| ())
}

/// Lets an entry be found under a request that it names.
async fn index(
    connection: &mut Connection<'_>,
    request: String,
    chain: String,
    sequence: u64,
) -> Result<(), StoreError> {
    sql(
        "audit_requests",
        "INSERT INTO audit_requests (request_id, entry_id)
         SELECT $1, id FROM audit_entries WHERE chain = $2 AND sequence = $3
         ON CONFLICT (request_id, entry_id) DO NOTHING",
    )
    .bind(request)
    .bind(chain)
    .bind(sequence)
    .run(connection)
    .await
    .map(|_one| ())
}

/// The present ends of the chains that the entries belong to; new chains are not among them.
async fn heads_of(
    entries: &[Entry],
    connection: &mut Connection<'_>,
) -> Result<BTreeMap<String, Head>, StoreError> {
    let mut chains: Vec<&str> = entries.iter().map(|entry| entry.chain.as_str()).collect();
    chains.sort_unstable();
    chains.dedup();
    let text = "SELECT chain, sequence, hash FROM audit_heads WHERE chain IN ({})";
    let heads: Vec<NamedHead> = Statement::over_list(HEADS, text, chains).all(connection).await?;
    Ok(heads.into_iter().map(|named| (named.chain, named.head)).collect())
}

/// The requests under which an entry with these details is to be found.
pub(crate) fn requests_of(details: &BTreeMap<String, String>) -> Vec<String> {
    REQUEST_DETAILS.iter().filter_map(|name| details.get(*name)).cloned().collect()
}

impl Entry {
    fn of(entry: &AuditEntry) -> Result<Self, StoreError> {
        Ok(Self {
            chain: entry.tenant.as_ref().map(Tenant::to_string).unwrap_or_default(),
            at: entry.at,
            event: entry.event.as_str(),
            actor: entry.actor.to_string(),
            device: entry.device.map(|id| id.to_string()).unwrap_or_default(),
            certificate: entry.certificate.map(|id| id.to_string()).unwrap_or_default(),
            details: serde_json::to_string(&entry.details)
                .map_err(|error| StoreError::corrupt(TABLE, "details", &error.to_string()))?,
            requests: requests_of(&entry.details),
        })
    }

    fn chained(&self, sequence: u64) -> ChainedEntry<'_> {
        ChainedEntry {
            chain: &self.chain,
            sequence,
            at_millis: self.at.millis(),
            event: self.event,
            actor: &self.actor,
            device: &self.device,
            certificate: &self.certificate,
            details: &self.details,
        }
    }
}

impl Linked {
    fn row(self) -> [Value; COLUMNS.len()] {
        let Self { entry, sequence, hash } = self;
        [
            entry.chain.into(),
            sequence.into(),
            entry.at.into(),
            entry.event.into(),
            entry.actor.into(),
            entry.device.into(),
            entry.certificate.into(),
            entry.details.into(),
            hex::encode(hash).into(),
        ]
    }
}
