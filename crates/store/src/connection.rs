//! The databases we speak to, as an enum: another one is a variant, an arm in the macro and its dialect.

use sqlx::sqlite::{SqliteConnection, SqliteRow};

/// A connection inside a transaction.
pub(crate) enum Connection<'c> {
    Sqlite(&'c mut SqliteConnection),
}

/// A row of any of them.
pub(crate) enum RawRow {
    Sqlite(SqliteRow),
}

/// Runs the same code on whichever connection it is; `$row` makes a [`RawRow`] of one of its rows.
macro_rules! on_connection {
    ($connection:expr, |$inner:ident, $row:ident| $body:expr) => {
        match $connection {
            $crate::connection::Connection::Sqlite($inner) => {
                let $row = $crate::connection::RawRow::Sqlite;
                $body
            }
        }
    };
}

/// Runs the same code on whichever row it is.
macro_rules! on_row {
    ($row:expr, |$inner:ident| $body:expr) => {
        match $row {
            $crate::connection::RawRow::Sqlite($inner) => $body,
        }
    };
}

pub(crate) use {on_connection, on_row};
