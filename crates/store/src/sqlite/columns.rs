//! How columns of SQLite are read. The error is what to say of the value that does not fit.

use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

pub(crate) fn integer(row: &SqliteRow, column: &str) -> Result<Option<i64>, String> {
    row.try_get(column).map_err(|error| error.to_string())
}

pub(crate) fn text(row: &SqliteRow, column: &str) -> Result<Option<String>, String> {
    row.try_get(column).map_err(|error| error.to_string())
}

pub(crate) fn bytes(row: &SqliteRow, column: &str) -> Result<Option<Vec<u8>>, String> {
    row.try_get(column).map_err(|error| error.to_string())
}

/// A time in microseconds since 1970.
pub(crate) fn micros(row: &SqliteRow, column: &str) -> Result<Option<i64>, String> {
    integer(row, column)?.map(|millis| millis.checked_mul(1000).ok_or_else(|| millis.to_string())).transpose()
}
