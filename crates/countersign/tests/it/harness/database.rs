//! Where an installation keeps its records.

use std::sync::Arc;

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

    /// The same for servers that share it.
    pub(super) fn records(self) -> Option<Arc<Records>> {
        self.fresh().map(|database| Arc::new(Records::Shared(database)))
    }
}

/// The database that servers write to.
pub(super) enum Records {
    /// One of the test's own on the shared server, gone with this.
    Shared(PostgresDatabase),
    /// Another one, by its URL.
    At(String),
}

impl Records {
    /// Its URL.
    pub(super) fn url(&self) -> String {
        match self {
            Self::Shared(database) => database.url(),
            Self::At(url) => url.clone(),
        }
    }
}
