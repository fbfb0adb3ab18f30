//! What is said to SQLite and not to every other database.

mod lock;
pub(crate) mod migrations;
pub(crate) mod presence;
mod readers;
mod settings;
mod writer;

pub(crate) use readers::Readers;
pub(crate) use writer::Writer;
