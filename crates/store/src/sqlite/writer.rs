//! The one task that writes, committing changes in groups.
//!
//! A commit costs one fsync however many changes are in it, so everything that has queued up while
//! the last group was being committed goes into the next. Each change has a savepoint of its own:
//! one that errs or panics is undone alone. Callers hear back after the commit.

use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::FutureExt as _;
use sqlx::sqlite::SqliteConnection;
use sqlx::{ConnectOptions as _, Connection as _};
use tokio::sync::{mpsc, oneshot};

use super::lock::WriterLock;
use super::settings;
use crate::connection::Connection;
use crate::error::StoreError;
use crate::job::{Answer, Job, Message, Outcome, Verdict};
use crate::transaction::Writing;

/// How many changes are committed together at most.
const GROUP: usize = 512;

/// The writer: its connection and the lock that makes it the only one.
pub(crate) struct Writer {
    path: PathBuf,
    connection: Option<SqliteConnection>,
    // Declared last: let go after the connection.
    lock: WriterLock,
}

impl Writer {
    /// Takes the lock and opens the database.
    pub(crate) async fn open(path: &Path) -> Result<Self, StoreError> {
        let lock = WriterLock::take(path)?;
        let connection = settings::writing(path)
            .connect()
            .await
            .map_err(|source| StoreError::Open { path: path.to_owned(), source: Box::new(source) })?;
        Ok(Self { path: path.to_owned(), connection: Some(connection), lock })
    }

    /// Runs until every sender is gone or a close is asked for.
    pub(crate) async fn run(mut self, mut queue: mpsc::Receiver<Message>) {
        let mut messages = Vec::with_capacity(GROUP);
        let mut closing = Vec::new();
        while queue.recv_many(&mut messages, GROUP).await > 0 {
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
        let Self { connection, lock, path: _ } = self;
        if let Some(connection) = connection
            && let Err(error) = connection.close().await
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

    async fn run_group(&mut self, jobs: Vec<Box<dyn Job>>) {
        if jobs.is_empty() {
            return;
        }
        let mut answers = Vec::with_capacity(jobs.len());
        let committed = match self.commit_group(jobs, &mut answers).await {
            Ok(()) => Ok(()),
            Err(error) => {
                tracing::error!(%error, changes = answers.len(), "group of changes not committed");
                // Whatever state it is in, it is left behind: the next group opens another.
                self.connection = None;
                Err(Arc::new(error))
            }
        };
        for answer in answers {
            answer(committed.clone());
        }
    }

    /// Every job in its savepoint, then the commit. An error means that nothing at all was kept;
    /// a job that was not run by then still gets its answer.
    async fn commit_group(
        &mut self,
        jobs: Vec<Box<dyn Job>>,
        answers: &mut Vec<Answer>,
    ) -> Result<(), sqlx::Error> {
        let mut jobs = jobs.into_iter();
        let result = self.run_jobs(&mut jobs, answers).await;
        answers.extend(jobs.map(Job::refuse));
        result
    }

    async fn run_jobs(
        &mut self,
        jobs: &mut (impl Iterator<Item = Box<dyn Job>> + Send),
        answers: &mut Vec<Answer>,
    ) -> Result<(), sqlx::Error> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            lost @ None => lost.insert(settings::writing(&self.path).connect().await?),
        };
        control(connection, "BEGIN IMMEDIATE").await?;
        for job in jobs {
            control(connection, "SAVEPOINT job").await?;
            let verdict = run_job(connection, job, answers).await;
            if verdict == Verdict::RollBack {
                control(connection, "ROLLBACK TO job").await?;
            }
            control(connection, "RELEASE job").await?;
        }
        control(connection, "COMMIT").await
    }
}

/// Runs one job; a panic in it is caught, reported and rolled back like an error.
async fn run_job(connection: &mut SqliteConnection, job: Box<dyn Job>, answers: &mut Vec<Answer>) -> Verdict {
    let mut writing = Writing::new(Connection::Sqlite(connection));
    let guarded = AssertUnwindSafe(async { job.run(&mut writing).await }).catch_unwind();
    match guarded.await {
        Ok(Outcome { verdict, answer }) => {
            answers.push(answer);
            verdict
        }
        Err(_payload) => {
            tracing::error!("a change panicked and was rolled back");
            Verdict::RollBack
        }
    }
}

/// Runs a statement that steers the transaction.
async fn control(connection: &mut SqliteConnection, text: &'static str) -> Result<(), sqlx::Error> {
    sqlx::query(text).execute(connection).await.map(|_done| ())
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
