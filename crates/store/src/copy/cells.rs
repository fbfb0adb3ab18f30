//! Rows as lists of values, the same whichever database they come from.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use countersign_core::time::Timestamp;
use uuid::Uuid;

use super::error::CopyError;
use crate::connection::RawRow;
use crate::value::Value;
use crate::{postgres, sqlite};

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Integer,
    Text,
    Bytes,
    Time,
    Uuid,
}

/// A column to copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) kind: Kind,
}

/// A table to copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Table {
    pub(crate) name: String,
    pub(crate) columns: Vec<Column>,
}

impl Table {
    /// The names of the columns, quoted, as SQL lists them.
    pub(crate) fn column_list(&self) -> String {
        self.columns.iter().map(|column| quoted(&column.name)).collect::<Vec<_>>().join(", ")
    }

    /// The values of a row. Fails closed on one that does not fit its column.
    pub(crate) fn values(&self, row: &RawRow) -> Result<Vec<Value>, CopyError> {
        let value = |column: &Column| {
            value_of(row, &column.name, column.kind).map_err(|found| self.corrupt(column, found))
        };
        self.columns.iter().map(value).collect()
    }

    /// The error of a value that does not fit its column.
    pub(crate) fn corrupt(&self, column: &Column, found: String) -> CopyError {
        CopyError::Corrupt { table: self.name.clone(), column: column.name.clone(), found }
    }

    /// The error of a statement on it.
    pub(crate) fn failed(&self) -> impl Fn(sqlx::Error) -> CopyError {
        let table = self.name.clone();
        move |source| CopyError::Table { table: table.clone(), source }
    }
}

/// The rows of a table in whatever order: how many, and a sum over their values, which two tables with
/// the same rows have in common.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) rows: u64,
    sum: u64,
}

impl Tally {
    pub(crate) fn add(&mut self, values: &[Value]) {
        let mut hasher = DefaultHasher::new();
        values.hash(&mut hasher);
        self.rows += 1;
        self.sum = self.sum.wrapping_add(hasher.finish());
    }
}

/// A name as SQL takes it literally.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn value_of(row: &RawRow, column: &str, kind: Kind) -> Result<Value, String> {
    Ok(match kind {
        Kind::Integer => Value::Integer(match row {
            RawRow::Sqlite(row) => sqlite::columns::integer(row, column)?,
            RawRow::Postgres(row) => postgres::columns::integer(row, column)?,
        }),
        Kind::Bytes => Value::Bytes(match row {
            RawRow::Sqlite(row) => sqlite::columns::bytes(row, column)?,
            RawRow::Postgres(row) => postgres::columns::bytes(row, column)?,
        }),
        Kind::Text => Value::Text(text(row, column)?.map(postgres::binding::storable)),
        Kind::Uuid => Value::Uuid(match text(row, column)? {
            Some(text) => Some(Uuid::try_parse(&text).map_err(|_not_one| text)?),
            None => None,
        }),
        Kind::Time => Value::Time(time(row, column)?),
    })
}

fn text(row: &RawRow, column: &str) -> Result<Option<String>, String> {
    match row {
        RawRow::Sqlite(row) => sqlite::columns::text(row, column),
        RawRow::Postgres(row) => postgres::columns::text(row, column),
    }
}

fn time(row: &RawRow, column: &str) -> Result<Option<Timestamp>, String> {
    let micros = match row {
        RawRow::Sqlite(row) => sqlite::columns::micros(row, column)?,
        RawRow::Postgres(row) => postgres::columns::micros(row, column)?,
    };
    let exact = |micros: i64| {
        let at = Timestamp::from_millis(micros.div_euclid(1000));
        if at.millis() * 1000 == micros { Ok(at) } else { Err(micros.to_string()) }
    };
    micros.map(exact).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tally_knows_rows_and_values_and_not_their_order() {
        let rows = [[Value::Integer(Some(1)), Value::Text(None)], [Value::Integer(None), Value::Bytes(None)]];
        let tally = |order: &[usize]| {
            let mut tally = Tally::default();
            order.iter().for_each(|index| tally.add(&rows[*index]));
            tally
        };
        assert_eq!(tally(&[0, 1]), tally(&[1, 0]));
        assert_ne!(tally(&[0, 1]), tally(&[0, 0]));
        assert_ne!(tally(&[0]), tally(&[0, 0]));
    }

    #[test]
    fn a_quote_in_a_name_ends_nothing() {
        assert_eq!(quoted("a\" b"), "\"a\"\" b\"");
    }
}
