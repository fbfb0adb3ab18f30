//! A few connections that only read.

use std::time::Duration;

use sqlx::pool::{PoolConnection, PoolOptions};
use sqlx::postgres::PgConnection;
use sqlx::{PgPool, Postgres, Sqlite, SqlitePool, Transaction};
use tokio::runtime::Handle;
use tokio::time::timeout;

use crate::connection::Connection;
use crate::error::StoreError;
use crate::url::{Place, StoreUrl};
use crate::{postgres, sqlite};

/// How many reads run side by side.
const READERS: u32 = 4;

const ROLLBACK: &str = "ROLLBACK";

/// How long a read waits for a connection to a server.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long the end of a read that was given up may take, before its connection is given up too.
const END: Duration = Duration::from_secs(5);

/// The pool.
pub(crate) enum Readers {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

/// A read transaction; ends by itself when dropped.
pub(crate) enum ReadTransaction {
    Sqlite(Transaction<'static, Sqlite>),
    Postgres(RemoteRead),
}

/// A read transaction at a server, which may have fallen silent. Unlike sqlx's, it does not keep its
/// place in the pool for as long as the server says nothing.
pub(crate) struct RemoteRead(Option<PoolConnection<Postgres>>);

impl Readers {
    /// Opens the database, which must exist.
    pub(crate) async fn open(url: &StoreUrl) -> Result<Self, StoreError> {
        let opened = match url.place() {
            Place::Sqlite(path) => PoolOptions::new()
                .max_connections(READERS)
                .test_before_acquire(false)
                .connect_with(sqlite::settings::reading(path))
                .await
                .map(Self::Sqlite),
            Place::Postgres(options) => PoolOptions::new()
                .max_connections(READERS)
                .acquire_timeout(PATIENCE)
                .connect_with(postgres::settings::reading(options))
                .await
                .map(Self::Postgres),
        };
        opened.map_err(|source| StoreError::open(url, source))
    }

    /// A transaction, once a connection is free.
    pub(crate) async fn begin(&self) -> Result<ReadTransaction, StoreError> {
        let begun = match self {
            Self::Sqlite(pool) => pool.begin().await.map(ReadTransaction::Sqlite),
            Self::Postgres(pool) => RemoteRead::begin(pool).await.map(ReadTransaction::Postgres),
        };
        begun.map_err(failed)
    }

    /// Waits for running reads and closes the connections.
    /// How many connections there are, and how many of them are idle.
    pub(crate) fn numbers(&self) -> (u32, u32) {
        let (all, idle) = match self {
            Self::Sqlite(pool) => (pool.size(), pool.num_idle()),
            Self::Postgres(pool) => (pool.size(), pool.num_idle()),
        };
        (all, u32::try_from(idle).unwrap_or(u32::MAX))
    }

    pub(crate) async fn close(&self) {
        match self {
            Self::Sqlite(pool) => pool.close().await,
            Self::Postgres(pool) => pool.close().await,
        }
    }
}

impl ReadTransaction {
    /// What to read through.
    pub(crate) fn connection(&mut self) -> Result<Connection<'_>, StoreError> {
        match self {
            Self::Sqlite(inner) => Ok(Connection::Sqlite(inner)),
            Self::Postgres(inner) => inner.connection().map(Connection::Postgres).map_err(failed),
        }
    }

    /// Ends it.
    pub(crate) async fn end(self) -> Result<(), StoreError> {
        let ended = match self {
            Self::Sqlite(inner) => inner.rollback().await,
            Self::Postgres(inner) => inner.end().await,
        };
        ended.map_err(failed)
    }
}

impl RemoteRead {
    async fn begin(pool: &PgPool) -> Result<Self, sqlx::Error> {
        let mut begun = Self(Some(pool.acquire().await?));
        postgres::settings::control(begun.connection()?, postgres::settings::BEGIN_READING).await?;
        Ok(begun)
    }

    fn connection(&mut self) -> Result<&mut PgConnection, sqlx::Error> {
        // It is there until the end, which takes the transaction itself.
        self.0.as_deref_mut().ok_or(sqlx::Error::PoolClosed)
    }

    async fn end(mut self) -> Result<(), sqlx::Error> {
        postgres::settings::control(self.connection()?, ROLLBACK).await?;
        drop(self.0.take());
        Ok(())
    }
}

/// One that was given up: its connection goes back to the pool if the server still answers.
impl Drop for RemoteRead {
    fn drop(&mut self) {
        let Some(mut connection) = self.0.take() else { return };
        let Ok(runtime) = Handle::try_current() else {
            drop(connection.detach());
            return;
        };
        runtime.spawn(async move {
            let ended = timeout(END, postgres::settings::control(&mut connection, ROLLBACK)).await;
            if !matches!(ended, Ok(Ok(()))) {
                // Closed at once, without a farewell that nobody would answer.
                drop(connection.detach());
            }
        });
    }
}

/// The server said nothing for too long.
pub(crate) fn silent() -> StoreError {
    let said = "the server has not answered in time";
    failed(sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, said)))
}

const fn failed(source: sqlx::Error) -> StoreError {
    StoreError::Statement { table: "(read transaction)", source }
}
