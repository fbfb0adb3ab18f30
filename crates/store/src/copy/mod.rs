//! Moving the records from an SQLite file to a PostgreSQL server.

mod cells;
mod error;
mod run;
mod source;
mod target;

pub use error::CopyError;
pub use run::{CopiedTable, CopyProgress, CopyReport, copy};
