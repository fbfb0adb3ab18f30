//! Copies of the audit that are sent elsewhere as it is written: to each place in the order of the log, every
//! entry at least once.
//!
//! How far a place has it is kept in the database, and moves once what was sent has arrived: whoever crashes in
//! between sends it again. Of several authorities one sends at a time.

use std::time::Duration;

use countersign_core::time::Timestamp;
use countersign_store::{AuditFilter, AuditStreamRow, LinkedRecord, LogPart, StoreError, StreamFailure};
use parking_lot::Mutex;

use crate::alerts::{TAKEN, pause};
use crate::audit_export::Line;
use crate::authority::Authority;
use crate::authorized::{Authorized, View};
use crate::devices::LookError;

/// How many entries are sent at once at most.
const AT_ONCE: u32 = 500;

/// For how long nothing must arrive before somebody hears of it.
const LATE: Duration = Duration::from_secs(300);

/// The longest problem that is kept, in characters.
const PROBLEM: usize = 300;

/// The streams of the configuration.
pub(crate) type Streams = Mutex<Vec<WantedStream>>;

/// A copy that is to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedStream {
    /// What it is called; how far it is, is kept under this name.
    pub name: String,
    /// Which entries are the first.
    pub from: StreamStart,
}

/// Where a new stream begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamStart {
    /// With the first entry on record.
    Beginning,
    /// With what is written from now on.
    Now,
}

/// Entries that are to arrive together, in the order of the log.
#[derive(Clone, Debug)]
pub struct StreamBatch {
    taken: AuditStreamRow,
    last: u64,
    /// The entries; never empty.
    pub entries: Vec<StreamedEntry>,
}

/// An entry on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamedEntry {
    /// When it was written.
    pub at: Timestamp,
    /// What it is about.
    pub event: &'static str,
    /// All of it, as an export has it: one line of JSON.
    pub json: String,
}

impl StreamBatch {
    /// What it is called: the same entries have the same name, whoever sends them.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}-{}-{}", self.taken.name, self.taken.position, self.last)
    }
}

/// How a stream is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamStatus {
    /// Where it is.
    pub row: AuditStreamRow,
    /// How many entries have not arrived.
    pub behind: u64,
    /// When the first of them was written.
    pub oldest: Option<Timestamp>,
}

impl StreamStatus {
    /// Why nothing arrives, and since when, once that has lasted.
    pub(crate) fn overdue(&self, now: Timestamp) -> Option<&StreamFailure> {
        self.row.failure.as_ref().filter(|failure| now.since(failure.since) >= LATE)
    }
}

impl From<LinkedRecord> for StreamedEntry {
    fn from(linked: LinkedRecord) -> Self {
        let (at, event) = (linked.record.at, linked.record.event.as_str());
        Self { at, event, json: Line::from(linked).json() }
    }
}

impl Authority {
    /// Says what is to be sent from now on, and begins what has not begun.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn stream_audit_to(&self, wanted: Vec<WantedStream>) -> Result<(), StoreError> {
        let (new, now) = (wanted.clone(), self.now());
        self.store
            .write(move |w| {
                Box::pin(async move {
                    for stream in new {
                        let position = match stream.from {
                            StreamStart::Beginning => 0,
                            StreamStart::Now => w.last_audit_id().await?,
                        };
                        w.begin_audit_stream(&stream.name, position, now).await?;
                    }
                    Ok::<_, StoreError>(())
                })
            })
            .await?;
        *self.streams.lock() = wanted;
        Ok(())
    }

    /// What is to be sent now. Nobody else gets it for a minute; `None` when there is nothing, or somebody else
    /// has it, or it is not time to try again.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn audit_to_send(&self, stream: &str) -> Result<Option<StreamBatch>, StoreError> {
        let (now, name) = (self.now(), stream.to_owned());
        let named = name.clone();
        let is_due = self
            .store
            .read(move |r| {
                Box::pin(async move {
                    let last = r.last_audit_id().await?;
                    let row = r.audit_stream(&named).await?;
                    Ok::<_, StoreError>(row.is_some_and(|row| row.due_at <= now && row.position < last))
                })
            })
            .await?;
        if !is_due {
            return Ok(None);
        }
        let taken: Result<Option<AuditStreamRow>, StoreError> = self
            .store
            .write(move |w| Box::pin(async move { w.take_audit_stream(&name, (now, now + TAKEN)).await }))
            .await;
        let Some(taken) = taken? else { return Ok(None) };
        let part = LogPart { after: taken.position, last: i64::MAX.unsigned_abs() };
        let filter = AuditFilter { limit: AT_ONCE, ..AuditFilter::default() };
        let page: Vec<LinkedRecord> =
            self.store.read(move |r| Box::pin(async move { r.audit_log(&filter, part).await })).await?;
        let Some(last) = page.last().map(|last| last.record.id) else { return Ok(None) };
        Ok(Some(StreamBatch { taken, last, entries: page.into_iter().map(StreamedEntry::from).collect() }))
    }

    /// A batch has arrived: what comes next is due.
    ///
    /// # Errors
    /// [`StoreError`]: then it is sent once more.
    pub async fn audit_arrived(&self, batch: StreamBatch) -> Result<(), StoreError> {
        let now = self.now();
        let moved: Result<bool, StoreError> = self
            .store
            .write(move |w| Box::pin(async move { w.move_audit_stream(&batch.taken, batch.last, now).await }))
            .await;
        moved.map(drop)
    }

    /// A batch has not arrived: it is sent again, more and more seldom, until it does.
    ///
    /// # Errors
    /// [`StoreError`]: then it is sent again in a minute.
    pub async fn audit_not_arrived(&self, batch: StreamBatch, problem: &str) -> Result<(), StoreError> {
        let now = self.now();
        let before = batch.taken.failure.as_ref().map_or((0, now), |before| (before.attempts, before.since));
        let failure = StreamFailure {
            attempts: before.0.saturating_add(1),
            since: before.1,
            problem: problem.chars().take(PROBLEM).collect(),
        };
        let again = now + pause(before.0);
        let put_off: Result<bool, StoreError> = self
            .store
            .write(move |w| {
                Box::pin(async move { w.put_off_audit_stream(&batch.taken, &failure, again).await })
            })
            .await;
        put_off.map(drop)
    }

    /// How the streams of this authority's configuration are doing. Not for whoever is bound to a tenant.
    ///
    /// # Errors
    /// See [`LookError`].
    pub async fn audit_streams(&self, by: &Authorized<View>) -> Result<Vec<StreamStatus>, LookError> {
        by.covers_all()?;
        Ok(self.stream_statuses().await?)
    }

    /// The same, for whoever counts and looks.
    pub(crate) async fn stream_statuses(&self) -> Result<Vec<StreamStatus>, StoreError> {
        let wanted = self.streams.lock().clone();
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        self.store
            .read(move |r| {
                Box::pin(async move {
                    let last = r.last_audit_id().await?;
                    let rows = r.audit_streams().await?;
                    let rows = rows.into_iter().filter(|row| wanted.iter().any(|one| one.name == row.name));
                    let mut statuses = Vec::new();
                    for row in rows {
                        let part = LogPart { after: row.position, last };
                        let filter = AuditFilter { limit: 1, ..AuditFilter::default() };
                        let first = r.audit_log(&filter, part).await?.into_iter().next();
                        let behind = last.saturating_sub(row.position);
                        statuses.push(StreamStatus {
                            row,
                            behind,
                            oldest: first.map(|first| first.record.at),
                        });
                    }
                    Ok::<_, StoreError>(statuses)
                })
            })
            .await
    }
}
