//! `serve`: authority, admin API and HTTP door in one process.

mod door;
pub(crate) mod files;
mod reports;
mod run;

pub(crate) use run::run;
