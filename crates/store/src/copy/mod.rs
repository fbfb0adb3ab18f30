//! Moving the records from an SQLite file to a PostgreSQL server.

pub(crate) mod cells;
mod error;
mod run;
pub(crate) mod source;
pub(crate) mod target;

pub use error::CopyError;
pub use run::{CopiedTable, CopyProgress, CopyReport, copy};
