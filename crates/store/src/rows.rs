//! Many rows of one table, written in few statements.

use std::borrow::Cow;

use crate::connection::Connection;
use crate::error::StoreError;
use crate::statement::sql_of;
use crate::value::Value;

/// How many rows one statement writes at most. They come in powers of two, so that few different
/// statements have to be prepared.
const MOST: usize = 64;

/// New rows of a table, each with a value for every one of `N` columns.
pub(crate) struct Rows<const N: usize> {
    table: &'static str,
    columns: &'static [&'static str; N],
    rows: Vec<[Value; N]>,
}

impl<const N: usize> Rows<N> {
    /// No rows yet.
    pub(crate) const fn of(table: &'static str, columns: &'static [&'static str; N]) -> Self {
        Self { table, columns, rows: Vec::new() }
    }

    /// One more.
    pub(crate) fn add(&mut self, row: [Value; N]) {
        self.rows.push(row);
    }

    /// Writes them, in their order, and says how many it wrote. `otherwise` is what the statement ends
    /// with: its `ON CONFLICT` clause, or nothing.
    pub(crate) async fn insert(
        self,
        connection: &mut Connection<'_>,
        otherwise: &'static str,
    ) -> Result<u64, StoreError> {
        let columns = self.columns.join(", ");
        let place: fn(usize) -> String = match connection {
            // Looking up the name of a parameter takes SQLite the longer the more there are.
            Connection::Sqlite(_) => |_number| "?".to_owned(),
            Connection::Postgres(_) => |number| format!("${number}"),
        };
        let mut rows = self.rows.into_iter();
        let mut written = 0;
        while let Some(power) = rows.len().checked_ilog2() {
            let count = MOST.min(1 << power);
            let places = places(count, N, place).join(", ");
            let text = format!("INSERT INTO {} ({columns}) VALUES {places} {otherwise}", self.table);
            let values = rows.by_ref().take(count).flatten().collect();
            written += sql_of(self.table, Cow::Owned(text), values).run(connection).await?;
        }
        Ok(written)
    }
}

/// `($1, $2)`, `($3, $4)`, …
fn places(count: usize, width: usize, place: fn(usize) -> String) -> Vec<String> {
    let row = |number: usize| {
        let places: Vec<String> = (1..=width).map(|nth| place(number * width + nth)).collect();
        format!("({})", places.join(", "))
    };
    (0..count).map(row).collect()
}
