//! How SQLite is opened.

use std::path::Path;
use std::time::Duration;

use sqlx::ConnectOptions as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};

/// How long a statement waits for another process's lock (a backup, a checkpoint).
const BUSY: Duration = Duration::from_secs(5);

/// What the writer keeps of the file at most, in KiB with a minus sign: a change of a whole fleet stays in
/// memory until its commit instead of being written and read again.
const WRITER_CACHE: &str = "-131072";

/// After so many pages of 4 KiB the log is carried over into the file. A page that many changes touch, as
/// those of indexes over random values, is then carried over once for all of them.
const CHECKPOINT_AFTER: &str = "8192";

/// How many rows of an answer wait for whoever asked: with few, the thread of the connection and the task
/// that reads wake each other for every handful.
const ROWS_AHEAD: usize = 1024;

/// Begins a transaction that writes: SQLite has one such at a time.
pub(crate) const BEGIN: &str = "BEGIN IMMEDIATE";

/// For the one connection that writes: nothing is acknowledged before it is on disk.
pub(crate) fn writing(path: &Path) -> SqliteConnectOptions {
    common(path)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .pragma("cache_size", WRITER_CACHE)
        .pragma("wal_autocheckpoint", CHECKPOINT_AFTER)
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
        .row_buffer_size(ROWS_AHEAD)
        .pragma("trusted_schema", "OFF")
        .pragma("temp_store", "MEMORY")
        .disable_statement_logging()
}
