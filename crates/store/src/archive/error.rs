//! Why records were not archived, or not restored.

use std::io;

use thiserror::Error;

use crate::copy::CopyError;
use crate::error::StoreError;

/// An archive that was not made, or not restored: then the database is as it was.
#[derive(Debug, Error)]
pub enum ArchiveError {
    /// The archive could not be read to its end, or not be written.
    #[error("cannot read or write the archive")]
    Stream(#[from] io::Error),
    /// It is not what this program writes.
    #[error("the archive is not as it is written here: {0}")]
    Format(String),
    /// It was made by another version.
    #[error("the archive has {0:?}, which this version does not know: it was made by a newer one")]
    Newer(String),
    /// There is nothing to archive.
    #[error("the database holds no installation")]
    NoInstallation,
    /// The database was not written by this version.
    #[error("the database is not at this version ({0}): run countersign migrate on it first")]
    Version(String),
    /// The database that is to be filled has records.
    #[error("the database is not empty: {table} has {rows} rows")]
    NotEmpty {
        /// A table with rows.
        table: String,
        /// How many.
        rows: u64,
    },
    /// The database failed, or a record does not fit.
    #[error("cannot use the database")]
    Store(#[from] StoreError),
    /// A table could not be read or written.
    #[error("cannot copy the records")]
    Records(#[from] CopyError),
}
