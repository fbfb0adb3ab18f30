//! Why records were not copied.

use thiserror::Error;

use crate::error::StoreError;

/// A copy that did not happen; the target is as it was.
#[derive(Debug, Error)]
pub enum CopyError {
    /// Another direction than the one there is.
    #[error("can only copy from sqlite: to postgresql:, not from {from} to {to}")]
    Direction {
        /// The source.
        from: String,
        /// The target.
        to: String,
    },
    /// A database could not be opened, or the target not brought to this version.
    #[error("cannot prepare the copy")]
    Open(#[source] StoreError),
    /// The source was not written by this version.
    #[error("the source is not at this version ({0}): run countersign migrate on it first")]
    Version(String),
    /// The target has records.
    #[error("the target is not empty: {table} has {rows} rows")]
    NotEmpty {
        /// A table with rows.
        table: String,
        /// How many.
        rows: u64,
    },
    /// The source's audit log is not as it was written: a copy would hide where it was changed.
    #[error("the source's audit log is broken: chain {chain:?}, entry {sequence}")]
    AuditBroken {
        /// The tenant's slug; empty: the platform's own.
        chain: String,
        /// The first entry that is not as it was written.
        sequence: u64,
    },
    /// A record could not be read or written.
    #[error("cannot copy {table}")]
    Table {
        /// Which table.
        table: String,
        /// Why.
        #[source]
        source: sqlx::Error,
    },
    /// A stored value is not what the column may hold.
    #[error("corrupt value in {table}.{column}: {found}")]
    Corrupt {
        /// The table.
        table: String,
        /// The column.
        column: String,
        /// What was found.
        found: String,
    },
    /// What was read back is not what was written.
    #[error("{0} did not arrive as it was")]
    Different(String),
}
