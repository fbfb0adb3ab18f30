//! The databases we speak to, as enums: another one is a variant in each, an arm in the macros and its
//! dialect.

use sqlx::postgres::{PgConnection, PgRow};
use sqlx::sqlite::{SqliteConnection, SqliteRow};

/// A connection inside a transaction.
pub(crate) enum Connection<'c> {
    Sqlite(&'c mut SqliteConnection),
    Postgres(&'c mut PgConnection),
}

/// A row of any of them.
pub(crate) enum RawRow {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

/// Runs the same code on whichever connection it is; `$row` makes a [`RawRow`] of one of its rows.
macro_rules! on_connection {
    ($connection:expr, |$inner:ident, $row:ident| $body:expr) => {
        match $connection {
            $crate::connection::Connection::Sqlite($inner) => {
                let $row = $crate::connection::RawRow::Sqlite;
                $body
            }
            $crate::connection::Connection::Postgres($inner) => {
                let $row = $crate::connection::RawRow::Postgres;
                $body
            }
        }
    };
}

pub(crate) use on_connection;
