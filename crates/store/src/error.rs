//! What can go wrong between a use case and its record.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use thiserror::Error;

/// Whatever kept a database from being opened.
type BoxedError = Box<dyn std::error::Error + Send + Sync>;

/// PostgreSQL's codes for a transaction that lost against another: serialization failure, deadlock.
const RACED: [&str; 2] = ["40001", "40P01"];

/// Beginnings of PostgreSQL's codes for a server that is not there for us now: connection lost, a transaction
/// or a session that took too long, a standby, no room or no more connections, and shut down or starting.
const AWAY: [&str; 8] = ["08", "25006", "25P03", "25P04", "53", "57014", "57P", "58030"];

/// SQLite's primary codes for a file that cannot be used now: busy, read-only, failing or full disk.
const UNUSABLE: [u32; 5] = [5, 8, 10, 13, 14];

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

    /// Whether the database does not answer or has no room, so that the same may be asked again later; and not
    /// that anything is wrong with what was asked, or with what is stored.
    #[must_use]
    pub fn is_outage(&self) -> bool {
        match self {
            Self::Open { .. } | Self::Closed => true,
            Self::Statement { source, .. } => is_outage(source),
            Self::Commit(source) => is_outage(source),
            Self::Locked(_)
            | Self::Corrupt { .. }
            | Self::Migration(_)
            | Self::Raced { .. }
            | Self::Panicked => false,
        }
    }

    /// The database was busy with others, or silent, for so long that a change was withdrawn before it began.
    pub(crate) fn late() -> Self {
        let late = io::Error::new(io::ErrorKind::TimedOut, "the turn to write has not come in time");
        Self::Commit(Arc::new(sqlx::Error::Io(late)))
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

fn is_outage(error: &sqlx::Error) -> bool {
    if let sqlx::Error::Database(error) = error {
        // SQLite's codes are numbers with the primary one in the lowest byte, and shorter than PostgreSQL's.
        return error.code().is_some_and(|code| match code.parse::<u32>() {
            Ok(number) if code.len() < 5 => UNUSABLE.contains(&(number & 0xff)),
            _ => AWAY.iter().any(|away| code.starts_with(away)),
        });
    }
    if let sqlx::Error::Decode(error) = error {
        // What the writer's own statements failed of.
        return error.downcast_ref().is_some_and(StoreError::is_outage);
    }
    // A protocol is broken by a server that is cut off in the middle, or by what stands in for one.
    matches!(
        error,
        sqlx::Error::Io(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
    )
}
