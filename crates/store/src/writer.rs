//! The one task that writes, committing changes in groups.
//!
//! A commit costs one fsync however many changes are in it, so everything that has queued up while
//! the last group was being committed goes into the next. Each change has a savepoint of its own:
//! one that errs or panics is undone alone. Callers hear back after the commit.

use std::io;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::error::StoreError;
use crate::job::{Haste, Job, Message, Verdict};
use crate::link::Link;
use crate::meter::StoreMeter;
use crate::notices::Notices;
use crate::records::journal::Journal;
use crate::sqlite::lock::WriterLock;
use crate::transaction::Writing;
use crate::url::{Place, StoreUrl};

#[cfg(test)]
mod silence;

/// How long a server may take to open another connection for the next group.
const OPENING: Duration = Duration::from_secs(10);

/// The writer: its connection and, on SQLite, the lock that makes it the only one. On PostgreSQL the
/// writers of several processes take turns, group by group.
pub(crate) struct Writer {
    url: StoreUrl,
    patience: Option<Duration>,
    link: Option<Link>,
    meter: Arc<StoreMeter>,
    notices: Notices,
    // Declared last: let go after the connection.
    lock: Option<WriterLock>,
}

impl Writer {
    /// What it counts.
    pub(crate) fn meter(&self) -> Arc<StoreMeter> {
        Arc::clone(&self.meter)
    }

    /// Takes the lock and opens the database, which may be silent for as long as `patience`.
    pub(crate) async fn open(
        url: &StoreUrl,
        patience: Option<Duration>,
        notices: Notices,
    ) -> Result<Self, StoreError> {
        let lock = match url.place() {
            Place::Sqlite(path) => Some(WriterLock::take(path)?),
            Place::Postgres(_) => None,
        };
        let link = within(patience, Link::open(url)).await.map_err(|source| StoreError::open(url, source))?;
        let (url, meter) = (url.clone(), Arc::default());
        Ok(Self { url, patience, link: Some(link), meter, notices, lock })
    }

    /// Runs until every sender is gone or a close is asked for.
    pub(crate) async fn run(mut self, mut queue: mpsc::Receiver<Message>) {
        let size = self.url.place().group_size();
        let mut messages = Vec::with_capacity(size);
        let mut closing = Vec::new();
        while queue.recv_many(&mut messages, size).await > 0 {
            let mut jobs = Vec::with_capacity(messages.len());
            for message in messages.drain(..) {
                match message {
                    Message::Change(job) => jobs.push(job),
                    Message::Close(done) => closing.push(done),
                }
            }
            self.run_group(jobs).await;
            if !closing.is_empty() {
                // What is queued is still received and run; nothing new is accepted.
                queue.close();
            }
        }
        self.close(closing).await;
    }

    async fn close(self, closing: Vec<oneshot::Sender<()>>) {
        let Self { link, lock, patience, url: _, meter: _, notices: _ } = self;
        if let Some(link) = link
            && let Err(error) = within(patience, link.close()).await
        {
            tracing::warn!(%error, "database did not close cleanly");
        }
        drop(lock);
        for done in closing {
            if done.send(()).is_err() {
                tracing::debug!("nobody waited for the database to close");
            }
        }
    }

    async fn run_group(&mut self, mut jobs: Vec<Box<dyn Job>>) {
        if jobs.is_empty() {
            return;
        }
        let began = Instant::now();
        let committed = match self.commit_group(&mut jobs).await {
            Ok(entries) => {
                self.meter.committed(jobs.len(), began.elapsed(), &entries);
                Ok(())
            }
            Err(error) => {
                self.meter.failed(jobs.len());
                tracing::error!(%error, changes = jobs.len(), "group of changes not committed");
                // Whatever state it is in, it is left behind: the next group opens another.
                self.link = None;
                Err(Arc::new(error))
            }
        };
        for job in jobs {
            job.answer(committed.clone());
        }
    }

    /// Every job in its savepoint, then their audit entries and the commit: the events of those entries. An
    /// error means that nothing at all was kept.
    async fn commit_group(&mut self, jobs: &mut [Box<dyn Job>]) -> Result<Vec<&'static str>, sqlx::Error> {
        let (patience, notices) = (self.patience, self.notices.clone());
        let link = self.begin().await?;
        let mut journal = Journal::default();
        for job in jobs {
            if !job.begin() {
                continue;
            }
            let entries = journal.len();
            within(patience, link.control("SAVEPOINT job")).await?;
            let verdict = match job.haste() {
                Haste::Usual => within(patience, run_job(link, &mut **job, &mut journal)).await?,
                Haste::None => {
                    link.take_time().await?;
                    run_job(link, &mut **job, &mut journal).await?
                }
            };
            if within(patience, settle(link, &mut **job, verdict)).await? == Verdict::RollBack {
                journal.truncate(entries);
            }
        }
        let events = journal.events();
        let told = notices.is_heard().then(|| journal.notices());
        within(patience, write_down(link, &mut journal)).await?;
        within(patience, link.control("COMMIT")).await?;
        notices.tell(told.unwrap_or_default());
        Ok(events)
    }

    /// A connection in a transaction: the one there is, or another when that one is lost, which shows
    /// before anything was done with it.
    async fn begin(&mut self) -> Result<&mut Link, sqlx::Error> {
        let patience = self.patience;
        if let Some(mut link) = self.link.take() {
            match within(patience, link.begin()).await {
                Ok(()) => return Ok(self.link.insert(link)),
                Err(error) => tracing::warn!(%error, "transaction not begun, opening another connection"),
            }
        }
        let mut fresh = within(patience.map(|most| most.min(OPENING)), Link::open(&self.url)).await?;
        within(patience, fresh.begin()).await?;
        Ok(self.link.insert(fresh))
    }
}

/// Waits for an answer of the database, but not for ever. Fails closed: what it does not answer counts as
/// not done, and the caller leaves the connection behind.
async fn within<T>(
    patience: Option<Duration>,
    step: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    let Some(patience) = patience else { return step.await };
    let late = |_elapsed| sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, "the database is silent"));
    tokio::time::timeout(patience, step).await.map_err(late)?
}

/// Runs one job; a panic in it is caught and reported, and undoes it.
async fn run_job(link: &mut Link, job: &mut dyn Job, journal: &mut Journal) -> Result<Verdict, sqlx::Error> {
    let mut writing = Writing::new(link.connection(), journal);
    let guarded = AssertUnwindSafe(async { job.run(&mut writing).await }).catch_unwind();
    Ok(guarded.await.unwrap_or_else(|_payload| {
        tracing::error!("a change panicked and was rolled back");
        Verdict::RollBack
    }))
}

/// Keeps or undoes what a job did, and says which. Where a statement that failed spoils the transaction
/// (PostgreSQL), a job that went on regardless is undone after all, alone, and told so.
async fn settle(link: &mut Link, job: &mut dyn Job, verdict: Verdict) -> Result<Verdict, sqlx::Error> {
    if verdict == Verdict::Keep {
        match link.control("RELEASE SAVEPOINT job").await {
            Ok(()) => return Ok(Verdict::Keep),
            Err(error @ sqlx::Error::Database(_)) => job.undone(Arc::new(error)),
            Err(error) => return Err(error),
        }
    }
    link.control("ROLLBACK TO SAVEPOINT job").await?;
    link.control("RELEASE SAVEPOINT job").await?;
    Ok(Verdict::RollBack)
}

/// Writes the audit entries of the jobs that are kept.
async fn write_down(link: &mut Link, journal: &mut Journal) -> Result<(), sqlx::Error> {
    journal.write(&mut link.connection()).await.map_err(|error| sqlx::Error::Decode(Box::new(error)))
}

#[cfg(test)]
mod tests {
    use futures_util::future::join_all;

    use crate::error::StoreError;
    use crate::row::Number;
    use crate::statement::sql;
    use crate::store::Store;
    use crate::transaction::Writing;
    use crate::url::StoreUrl;

    /// A change that only the commit finds fault with.
    async fn fail_at_commit(writing: &mut Writing<'_>) -> Result<(), StoreError> {
        for text in [
            "PRAGMA defer_foreign_keys = ON",
            "INSERT INTO sessions (token_sha256, user_id, created_at, expires_at) VALUES ('t', 'nobody', 0, 0)",
        ] {
            sql("sessions", text).run(&mut writing.connection).await?;
        }
        Ok(())
    }

    /// A change that ends the transaction under the writer's feet.
    async fn end_transaction(writing: &mut Writing<'_>) -> Result<(), StoreError> {
        sql("sessions", "ROLLBACK").run(&mut writing.connection).await.map(|_| ())
    }

    async fn count_refusals(store: &Store) -> u64 {
        let counted = store.read::<_, StoreError, _>(|reading| {
            let statement = sql("refusals", "SELECT count(*) AS number FROM refusals");
            Box::pin(async move { statement.one::<Number>(&mut reading.connection).await })
        });
        counted.await.unwrap().0
    }

    #[derive(Clone, Copy, PartialEq)]
    enum Kind {
        Good,
        FailsAtCommit,
        EndsTransaction,
    }

    async fn change(store: &Store, number: usize, kind: Kind) -> Result<(), StoreError> {
        store
            .write(move |writing| {
                Box::pin(async move {
                    sql("refusals", "INSERT INTO refusals (id, at, code, facts) VALUES ($1, 0, 'X', '{}')")
                        .bind(format!("{number}"))
                        .run(&mut writing.connection)
                        .await?;
                    match kind {
                        Kind::Good => Ok(()),
                        Kind::FailsAtCommit => fail_at_commit(writing).await,
                        Kind::EndsTransaction => end_transaction(writing).await,
                    }
                })
            })
            .await
    }

    #[tokio::test]
    async fn a_group_that_cannot_be_committed_fails_as_a_whole_and_the_next_one_works() {
        for bad in [Kind::FailsAtCommit, Kind::EndsTransaction] {
            let directory = tempfile::tempdir().unwrap();
            let store = Store::open(&StoreUrl::sqlite(directory.path().join("c.db"))).await.unwrap();
            store.migrate().await.unwrap();
            // On one thread all of them are queued before the writer takes the first.
            let kinds = [Kind::Good, bad, Kind::Good, Kind::Good];
            let group = kinds.iter().enumerate().map(|(number, kind)| change(&store, number, *kind));
            for result in join_all(group).await {
                assert!(matches!(result, Err(StoreError::Commit(_))), "{result:?}");
            }
            assert_eq!(count_refusals(&store).await, 0);
            change(&store, 0, Kind::Good).await.unwrap();
            assert_eq!(count_refusals(&store).await, 1);
        }
    }
}
