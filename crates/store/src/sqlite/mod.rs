//! What is said to SQLite and not to every other database.

pub(crate) mod binding;
pub(crate) mod columns;
pub(crate) mod lock;
pub(crate) mod presence;
pub(crate) mod settings;
