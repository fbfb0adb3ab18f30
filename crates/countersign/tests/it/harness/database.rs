//! Where an installation keeps its records.

use countersign_testkit::{PostgresDatabase, PostgresServer};

/// A kind of database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Database {
    /// A file in the data directory.
    Sqlite,
    /// One of the test's own, on the server of this test run.
    Postgres,
}

impl Database {
    /// The one that a copy of the tests in `both.rs` is about, by the path of its module.
    pub(crate) fn of_copy(module: &str) -> Self {
        if module.contains("::on_postgres") { Self::Postgres } else { Self::Sqlite }
    }

    /// A fresh database on the server, if that is where it is.
    pub(crate) fn fresh(self) -> Option<PostgresDatabase> {
        (self == Self::Postgres).then(|| PostgresServer::shared().passing_database())
    }
}
