//! What is said to PostgreSQL and not to every other database.

pub(crate) mod adoption;
pub(crate) mod binding;
pub(crate) mod columns;
pub(crate) mod epochs;
pub(crate) mod journal;
pub(crate) mod presence;
pub(crate) mod settings;
mod time;
