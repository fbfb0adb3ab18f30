//! The tables of a version, as they are made in memory by its migrations: what an archive of it holds,
//! whichever database it comes from.

use sqlx::ConnectOptions as _;
use sqlx::sqlite::SqliteConnectOptions;

use super::contents::{ArchiveFacts, ArchivedTable};
use super::error::ArchiveError;
use crate::connection::Connection;
use crate::copy::CopyError;
use crate::copy::cells::{Column, Kind, Table};
use crate::copy::source::{names, tables_of};
use crate::error::StoreError;
use crate::migrations;
use crate::records::journal::Journal;
use crate::transaction::Writing;

/// The record of the schema itself, which a database has from its own migration.
const MIGRATIONS: &str = "schema_migrations";

/// What a database marks by itself as revocations come in: there every CRL is signed anew.
const CRL_WANTED: &str = "crl_wanted";

/// The tables of a version that hold records.
pub(super) struct Schema {
    /// The migrations that make it.
    pub(super) migrations: Vec<&'static str>,
    /// Each after those that it refers to; the kinds of columns are SQLite's.
    pub(super) tables: Vec<Table>,
}

impl Schema {
    /// Of this version.
    pub(super) async fn present() -> Result<Self, ArchiveError> {
        Self::after(migrations::names().count()).await
    }

    /// Of the version that an archive says it is of. Fails closed: with other migrations, tables or
    /// columns than those there were, it is not restored.
    pub(super) async fn of(facts: &ArchiveFacts) -> Result<Self, ArchiveError> {
        let known: Vec<&str> = migrations::names().collect();
        for (place, name) in facts.migrations.iter().enumerate() {
            if known.get(place) != Some(&name.as_str()) {
                return Err(ArchiveError::Newer(name.clone()));
            }
        }
        let schema = Self::after(facts.migrations.len()).await?;
        let is_same = |(there, here): (&ArchivedTable, &Table)| {
            let columns = here.columns.iter().map(|column| &column.name);
            there.name == here.name && there.columns.iter().eq(columns)
        };
        if facts.tables.len() == schema.tables.len() && facts.tables.iter().zip(&schema.tables).all(is_same) {
            Ok(schema)
        } else {
            Err(ArchiveError::Format("its tables are not those of its version".to_owned()))
        }
    }

    pub(super) async fn after(count: usize) -> Result<Self, ArchiveError> {
        let in_memory = |source| StoreError::open("a database in memory", source);
        let options = SqliteConnectOptions::new().in_memory(true).disable_statement_logging();
        let mut connection = options.connect().await.map_err(in_memory)?;
        let mut journal = Journal::default();
        let mut writing = Writing::new(Connection::Sqlite(&mut connection), &mut journal);
        migrations::apply_first(&mut writing, count).await?;
        let failed = |source| CopyError::Table { table: "the list of tables".to_owned(), source };
        let mut tables = Vec::new();
        for (name, columns) in tables_of(&mut connection).await.map_err(failed)? {
            if name == MIGRATIONS || name == CRL_WANTED {
                continue;
            }
            let types = "SELECT type FROM pragma_table_info($1)";
            let types = names(&mut connection, types, Some(&name)).await.map_err(failed)?;
            let columns = columns.into_iter().zip(types);
            let columns = columns.map(|(name, kind)| Column { name, kind: kind_of(&kind) }).collect();
            tables.push(Table { name, columns });
        }
        Ok(Self { migrations: migrations::names().take(count).collect(), tables })
    }
}

/// Tables are STRICT, so these are all there are.
fn kind_of(declared: &str) -> Kind {
    match declared {
        "INTEGER" => Kind::Integer,
        "BLOB" => Kind::Bytes,
        _ => Kind::Text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_version_there_was_can_be_made() {
        for count in 1..=migrations::names().count() {
            let schema = Schema::after(count).await.unwrap();
            assert!(schema.tables.iter().any(|table| table.name == "installation"), "{count}");
            let names: Vec<_> = schema.tables.iter().map(|table| table.name.as_str()).collect();
            let place = |name| names.iter().position(|known| *known == name);
            assert!(place("tenants") < place("sites"), "{names:?}");
        }
    }
}
