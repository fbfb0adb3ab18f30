//! The PostgreSQL database that is filled, in one transaction that nobody else writes in.

use futures_util::stream::BoxStream;
use futures_util::{StreamExt as _, TryStreamExt as _};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Postgres, Row as _};

use super::cells::{Column, Kind, Table, quoted};
use crate::connection::Connection;
use crate::postgres;
use crate::statement::Bind as _;
use crate::transaction::Reading;
use crate::value::Value;

/// The opened database, in its transaction.
pub(super) struct Target {
    connection: PgConnection,
}

impl Target {
    /// Opens the database and waits for the turn to write it.
    pub(super) async fn open(options: &PgConnectOptions) -> Result<Self, sqlx::Error> {
        let mut connection = postgres::settings::writing(options).await?;
        postgres::settings::begin(&mut connection).await?;
        Ok(Self { connection })
    }

    /// The records as use cases read them.
    pub(super) const fn reading(&mut self) -> Reading<'_> {
        Reading::new(Connection::Postgres(&mut self.connection))
    }

    /// The names of our tables, but for the one that follows another by itself.
    pub(super) async fn tables(&mut self) -> Result<Vec<String>, sqlx::Error> {
        let ours = "SELECT c.relname::text FROM pg_class c
                    WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND (c.relnamespace = 'countersign'::regnamespace
                        OR c.oid = 'public.devices'::regclass) AND c.relname <> 'device_lookup'
                    ORDER BY c.relname";
        sqlx::query_scalar(ours).fetch_all(&mut self.connection).await
    }

    /// The columns of a table; none when there is no such table.
    pub(super) async fn columns(&mut self, table: &str) -> Result<Vec<Column>, sqlx::Error> {
        columns_of(&mut self.connection, table).await
    }

    /// How many rows a table has.
    pub(super) async fn count(&mut self, table: &str) -> Result<u64, sqlx::Error> {
        let text = format!("SELECT count(*) FROM {}", quoted(table));
        let count: i64 = sqlx::query_scalar(AssertSqlSafe(text)).fetch_one(&mut self.connection).await?;
        Ok(count.unsigned_abs())
    }

    /// Writes rows, which are emptied.
    pub(super) async fn insert(
        &mut self,
        table: &Table,
        rows: &mut Vec<Vec<Value>>,
    ) -> Result<(), sqlx::Error> {
        if rows.is_empty() {
            return Ok(());
        }
        let width = table.columns.len();
        let row = |number: usize| {
            let places = (1..=width).map(|place| format!("${}", number * width + place));
            format!("({})", places.collect::<Vec<_>>().join(", "))
        };
        let places: Vec<String> = (0..rows.len()).map(row).collect();
        let text = format!(
            "INSERT INTO {} ({}) VALUES {}",
            quoted(&table.name),
            table.column_list(),
            places.join(", ")
        );
        let query = sqlx::query(AssertSqlSafe(text));
        let query = rows.drain(..).flatten().fold(query, Postgres::bind);
        query.execute(&mut self.connection).await.map(|_done| ())
    }

    /// The rows of a table, one after the other.
    pub(super) fn rows(&mut self, table: &Table) -> BoxStream<'_, Result<PgRow, sqlx::Error>> {
        let text = format!("SELECT {} FROM {}", table.column_list(), quoted(&table.name));
        sqlx::query(AssertSqlSafe(text)).fetch(&mut self.connection).boxed()
    }

    /// Lets numbers that the database gives out itself begin after those that are there.
    pub(super) async fn continue_numbers(&mut self, table: &Table) -> Result<(), sqlx::Error> {
        continue_numbers(&mut self.connection, table).await
    }

    /// Makes it all so.
    pub(super) async fn commit(mut self) -> Result<(), sqlx::Error> {
        postgres::settings::control(&mut self.connection, "COMMIT").await
    }
}

/// The columns of a table; none when there is no such table.
pub(crate) async fn columns_of(
    connection: &mut PgConnection,
    table: &str,
) -> Result<Vec<Column>, sqlx::Error> {
    let columns = "SELECT a.attname::text, t.typname::text
                   FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
                   WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped";
    let column = |row: PgRow| async move {
        let kind = match row.try_get::<&str, _>(1)? {
            "int2" | "int4" | "int8" => Kind::Integer,
            "bytea" => Kind::Bytes,
            "timestamp" | "timestamptz" => Kind::Time,
            "uuid" => Kind::Uuid,
            _ => Kind::Text,
        };
        Ok(Column { name: row.try_get(0)?, kind })
    };
    sqlx::query(columns).bind(quoted(table)).fetch(connection).and_then(column).try_collect().await
}

/// Lets numbers that the database gives out itself begin after those that are there.
pub(crate) async fn continue_numbers(
    connection: &mut PgConnection,
    table: &Table,
) -> Result<(), sqlx::Error> {
    let numbered = "SELECT attname::text FROM pg_attribute
                    WHERE attrelid = to_regclass($1) AND attidentity <> ''";
    let numbered: Vec<String> =
        sqlx::query_scalar(numbered).bind(quoted(&table.name)).fetch_all(&mut *connection).await?;
    for column in numbered {
        let (name, quoted_column) = (quoted(&table.name), quoted(&column));
        let next = format!(
            "SELECT setval(pg_get_serial_sequence($1, $2), coalesce(max({quoted_column}), 0) + 1, false)
             FROM {name}"
        );
        sqlx::query(AssertSqlSafe(next)).bind(name).bind(column).execute(&mut *connection).await?;
    }
    Ok(())
}
