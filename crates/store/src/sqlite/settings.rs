//! How SQLite is opened.

use std::path::Path;
use std::time::Duration;

use sqlx::ConnectOptions as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};

/// How long a statement waits for another process's lock (a backup, a checkpoint).
const BUSY: Duration = Duration::from_secs(5);

/// Begins a transaction that writes: SQLite has one such at a time.
pub(crate) const BEGIN: &str = "BEGIN IMMEDIATE";

/// For the one connection that writes: nothing is acknowledged before it is on disk.
pub(crate) fn writing(path: &Path) -> SqliteConnectOptions {
    common(path)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .pragma("cache_size", "-32768")
}

/// For the connections that read: they cannot write, whatever they are told.
pub(crate) fn reading(path: &Path) -> SqliteConnectOptions {
    common(path).pragma("query_only", "ON")
}

fn common(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .foreign_keys(true)
        .busy_timeout(BUSY)
        .statement_cache_capacity(256)
        .pragma("trusted_schema", "OFF")
        .pragma("temp_store", "MEMORY")
        .disable_statement_logging()
}
