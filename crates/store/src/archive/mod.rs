//! Every record as a stream of octets that is the same whichever database it comes from or goes to: what
//! a backup holds.

mod contents;
mod error;
mod fill;
mod schema;
mod take;

pub use contents::{ArchiveFacts, ArchivedTable, inspect_archive};
pub use error::ArchiveError;
pub use fill::Restoring;
pub use take::archive;
