//! A few connections that only read.

use std::path::Path;

use sqlx::pool::PoolOptions;
use sqlx::{Sqlite, SqlitePool, Transaction};

use super::settings;
use crate::connection::Connection;
use crate::error::StoreError;

/// How many reads run side by side.
const READERS: u32 = 4;

/// The pool.
pub(crate) struct Readers {
    pool: SqlitePool,
}

/// A read transaction; ends by itself when dropped.
pub(crate) struct ReadTransaction {
    inner: Transaction<'static, Sqlite>,
}

impl Readers {
    /// Opens the database, which must exist.
    pub(crate) async fn open(path: &Path) -> Result<Self, StoreError> {
        let pool = PoolOptions::new()
            .max_connections(READERS)
            .test_before_acquire(false)
            .connect_with(settings::reading(path))
            .await
            .map_err(|source| StoreError::Open { path: path.to_owned(), source: Box::new(source) })?;
        Ok(Self { pool })
    }

    /// A transaction, once a connection is free.
    pub(crate) async fn begin(&self) -> Result<ReadTransaction, StoreError> {
        let inner = self.pool.begin().await.map_err(failed)?;
        Ok(ReadTransaction { inner })
    }

    /// Waits for running reads and closes the connections.
    pub(crate) async fn close(&self) {
        self.pool.close().await;
    }
}

impl ReadTransaction {
    /// What to read through.
    pub(crate) fn connection(&mut self) -> Connection<'_> {
        Connection::Sqlite(&mut self.inner)
    }

    /// Ends it.
    pub(crate) async fn end(self) -> Result<(), StoreError> {
        self.inner.rollback().await.map_err(failed)
    }
}

const fn failed(source: sqlx::Error) -> StoreError {
    StoreError::Statement { table: "(read transaction)", source }
}
