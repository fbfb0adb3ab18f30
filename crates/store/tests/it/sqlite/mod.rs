//! What is said of SQLite alone.

pub(crate) mod database;
mod one_process;
