//! The SQLite file that is copied: locked, so that nobody writes it meanwhile, and read in one view.

use std::path::Path;

use futures_util::stream::BoxStream;
use futures_util::{StreamExt as _, TryStreamExt as _};
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Row as _};

use super::cells::quoted;
use crate::connection::Connection;
use crate::error::StoreError;
use crate::sqlite;
use crate::sqlite::lock::WriterLock;
use crate::transaction::Reading;

/// SQL: the names of all tables but SQLite's own and those that follow devices by themselves.
const TABLES: &str = "SELECT name FROM sqlite_master WHERE type = 'table' AND substr(name, 1, 7) <> 'sqlite_'
                      AND substr(name, 1, 13) <> 'device_search' ORDER BY name";

/// The opened file.
pub(super) struct Source {
    connection: SqliteConnection,
    // Declared last: let go after the connection.
    _lock: WriterLock,
}

impl Source {
    /// Opens an existing file, unless somebody has it open for writing.
    pub(super) async fn open(path: &Path) -> Result<Self, StoreError> {
        fs_err::metadata(path).map_err(|source| StoreError::open(path.display(), source))?;
        let lock = WriterLock::take(path)?;
        let mut connection = sqlite::settings::reading(path)
            .connect()
            .await
            .map_err(|source| StoreError::open(path.display(), source))?;
        sqlx::query("BEGIN")
            .execute(&mut connection)
            .await
            .map_err(|source| StoreError::open(path.display(), source))?;
        Ok(Self { connection, _lock: lock })
    }

    /// The records as use cases read them.
    pub(super) const fn reading(&mut self) -> Reading<'_> {
        Reading::new(Connection::Sqlite(&mut self.connection))
    }

    /// Every table with its columns, each after those that it refers to.
    pub(super) async fn tables(&mut self) -> Result<Vec<(String, Vec<String>)>, sqlx::Error> {
        tables_of(&mut self.connection).await
    }

    /// How many rows a table has.
    pub(super) async fn count(&mut self, table: &str) -> Result<u64, sqlx::Error> {
        let text = format!("SELECT count(*) FROM {}", quoted(table));
        let count: i64 = sqlx::query_scalar(AssertSqlSafe(text)).fetch_one(&mut self.connection).await?;
        Ok(count.unsigned_abs())
    }

    /// The rows of a table, one after the other.
    pub(super) fn rows(
        &mut self,
        table: &str,
        columns: &str,
    ) -> BoxStream<'_, Result<SqliteRow, sqlx::Error>> {
        let text = format!("SELECT {columns} FROM {}", quoted(table));
        sqlx::query(AssertSqlSafe(text)).fetch(&mut self.connection).boxed()
    }
}

/// Every table with its columns, each after those that it refers to.
pub(crate) async fn tables_of(
    connection: &mut SqliteConnection,
) -> Result<Vec<(String, Vec<String>)>, sqlx::Error> {
    let mut waiting = names(connection, TABLES, None).await?;
    let mut ordered: Vec<(String, Vec<String>)> = Vec::with_capacity(waiting.len());
    while !waiting.is_empty() {
        let mut later = Vec::new();
        let before = ordered.len();
        for table in waiting {
            let references = "SELECT \"table\" FROM pragma_foreign_key_list($1)";
            let references = names(connection, references, Some(&table)).await?;
            let is_there = |name: &String| ordered.iter().any(|(known, _columns)| known == name);
            if references.iter().all(|name| *name == table || is_there(name)) {
                let columns = "SELECT name FROM pragma_table_info($1)";
                let columns = names(connection, columns, Some(&table)).await?;
                ordered.push((table, columns));
            } else {
                later.push(table);
            }
        }
        if ordered.len() == before {
            return Err(sqlx::Error::Protocol(format!("tables refer to each other: {later:?}")));
        }
        waiting = later;
    }
    Ok(ordered)
}

/// The answers to a question that has one column; the question may be about something.
pub(crate) async fn names(
    connection: &mut SqliteConnection,
    question: &'static str,
    of: Option<&str>,
) -> Result<Vec<String>, sqlx::Error> {
    let query = sqlx::query(question);
    let query = match of {
        Some(table) => query.bind(table.to_owned()),
        None => query,
    };
    query.fetch(connection).and_then(|row| async move { row.try_get(0) }).try_collect().await
}
