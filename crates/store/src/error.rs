//! What can go wrong between a use case and its record.

use std::path::PathBuf;
use std::sync::Arc;

use thiserror::Error;

/// Whatever kept a database from being opened.
type BoxedError = Box<dyn std::error::Error + Send + Sync>;

/// PostgreSQL's codes for a transaction that lost against another: serialization failure, deadlock.
const RACED: [&str; 2] = ["40001", "40P01"];

/// A storage operation that did not happen; nothing of it is on record.
#[derive(Debug, Error)]
pub enum StoreError {
    /// Another process has the SQLite database open for writing.
    #[error("the database is open in another process, which holds {}", .0.display())]
    Locked(PathBuf),
    /// The database or its lock file could not be opened.
    #[error("cannot open {database}")]
    Open {
        /// Which one, without its password.
        database: String,
        /// Why.
        #[source]
        source: BoxedError,
    },
    /// A statement failed.
    #[error("statement on {table} failed")]
    Statement {
        /// The table it was about.
        table: &'static str,
        /// Why.
        #[source]
        source: sqlx::Error,
    },
    /// A stored value is not what the column may hold. Fails closed: it is never replaced by a default.
    #[error("corrupt value in {table}.{column}: {value:?}")]
    Corrupt {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
        /// What was found, cut to a readable length.
        value: String,
    },
    /// The schema could not be brought up to date.
    #[error("cannot migrate the database: {0}")]
    Migration(String),
    /// The group of changes that this one belonged to could not be committed.
    #[error("the changes could not be committed")]
    Commit(#[source] Arc<sqlx::Error>),
    /// What the use case counted on was changed by another one meanwhile; this one was rolled back.
    #[error("{what} {which} was changed meanwhile")]
    Raced {
        /// What kind of thing.
        what: &'static str,
        /// Which.
        which: String,
    },
    /// The use case panicked; its changes were rolled back.
    #[error("a change panicked and was rolled back")]
    Panicked,
    /// The store was closed, or was opened for reading only.
    #[error("the store is not open for writing")]
    Closed,
}

impl StoreError {
    /// A change by somebody else got in between.
    pub fn raced(what: &'static str, which: impl std::fmt::Display) -> Self {
        Self::Raced { what, which: which.to_string() }
    }

    pub(crate) fn open(database: impl std::fmt::Display, source: impl Into<BoxedError>) -> Self {
        Self::Open { database: database.to_string(), source: source.into() }
    }

    /// The error of a statement on a table.
    pub(crate) fn of_statement(table: &'static str, source: sqlx::Error) -> Self {
        let code = source.as_database_error().and_then(|error| error.code());
        if code.is_some_and(|code| RACED.contains(&code.as_ref())) {
            return Self::raced("a record in", table);
        }
        Self::Statement { table, source }
    }

    pub(crate) fn corrupt(table: &'static str, column: &'static str, value: &str) -> Self {
        Self::Corrupt { table, column, value: value.chars().take(80).collect() }
    }
}
