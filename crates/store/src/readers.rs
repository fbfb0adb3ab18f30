//! A few connections that only read.

use std::time::Duration;

use sqlx::pool::PoolOptions;
use sqlx::{PgPool, Postgres, Sqlite, SqlitePool, Transaction};

use crate::connection::Connection;
use crate::error::StoreError;
use crate::url::{Place, StoreUrl};
use crate::{postgres, sqlite};

/// How many reads run side by side.
const READERS: u32 = 4;

/// How long a read waits for a connection to a server.
const PATIENCE: Duration = Duration::from_secs(10);

/// The pool.
pub(crate) enum Readers {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

/// A read transaction; ends by itself when dropped.
pub(crate) enum ReadTransaction {
    Sqlite(Transaction<'static, Sqlite>),
    Postgres(Transaction<'static, Postgres>),
}

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
            Self::Postgres(pool) => {
                pool.begin_with(postgres::settings::BEGIN_READING).await.map(ReadTransaction::Postgres)
            }
        };
        begun.map_err(failed)
    }

    /// Waits for running reads and closes the connections.
    pub(crate) async fn close(&self) {
        match self {
            Self::Sqlite(pool) => pool.close().await,
            Self::Postgres(pool) => pool.close().await,
        }
    }
}

impl ReadTransaction {
    /// What to read through.
    pub(crate) fn connection(&mut self) -> Connection<'_> {
        match self {
            Self::Sqlite(inner) => Connection::Sqlite(inner),
            Self::Postgres(inner) => Connection::Postgres(inner),
        }
    }

    /// Ends it.
    pub(crate) async fn end(self) -> Result<(), StoreError> {
        let ended = match self {
            Self::Sqlite(inner) => inner.rollback().await,
            Self::Postgres(inner) => inner.rollback().await,
        };
        ended.map_err(failed)
    }
}

const fn failed(source: sqlx::Error) -> StoreError {
    StoreError::Statement { table: "(read transaction)", source }
}
