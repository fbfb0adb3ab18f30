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
