//! The connection that writes: opened, steered and closed the same way on every database.

use sqlx::postgres::PgConnection;
use sqlx::sqlite::SqliteConnection;
use sqlx::{ConnectOptions as _, Connection as _};

use crate::connection::Connection;
use crate::url::{Place, StoreUrl};
use crate::{postgres, sqlite};

/// A connection of its own, with what its database needs so that a commit is durable.
pub(crate) enum Link {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

impl Link {
    /// Opens a connection that may write.
    pub(crate) async fn open(url: &StoreUrl) -> Result<Self, sqlx::Error> {
        match url.place() {
            Place::Sqlite(path) => sqlite::settings::writing(path).connect().await.map(Self::Sqlite),
            Place::Postgres(options) => {
                postgres::settings::writing_in_haste(options).await.map(Self::Postgres)
            }
        }
    }

    /// Begins a transaction that no other writer of this database is in at the same time, whichever
    /// process it belongs to.
    pub(crate) async fn begin(&mut self) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite(inner) => run(inner, sqlite::settings::BEGIN).await,
            Self::Postgres(inner) => postgres::settings::begin(inner).await,
        }
    }

    /// Runs a statement that steers the transaction.
    pub(crate) async fn control(&mut self, text: &'static str) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite(inner) => run(inner, text).await,
            Self::Postgres(inner) => postgres::settings::control(inner, text).await,
        }
    }

    /// Lifts, for this transaction, the limit on how long a statement may take.
    pub(crate) async fn take_time(&mut self) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite(_) => Ok(()),
            Self::Postgres(inner) => postgres::settings::take_time(inner).await,
        }
    }

    /// What a change writes through.
    pub(crate) const fn connection(&mut self) -> Connection<'_> {
        match self {
            Self::Sqlite(inner) => Connection::Sqlite(inner),
            Self::Postgres(inner) => Connection::Postgres(inner),
        }
    }

    /// Closes it in order.
    pub(crate) async fn close(self) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite(inner) => inner.close().await,
            Self::Postgres(inner) => inner.close().await,
        }
    }
}

async fn run(connection: &mut SqliteConnection, text: &'static str) -> Result<(), sqlx::Error> {
    sqlx::query(text).execute(connection).await.map(|_done| ())
}
