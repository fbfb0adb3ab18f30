//! Filling an empty database from an archive, in one transaction together with whatever else belongs to
//! it.

use std::io::Read;

use countersign_core::time::Timestamp;
use futures_util::future::BoxFuture;
use sqlx::{AssertSqlSafe, Postgres, Sqlite};
use uuid::Uuid;

use super::contents::{ArchiveFacts, Cell, expect_end};
use super::error::ArchiveError;
use super::schema::Schema;
use crate::copy::cells::{Column, Kind, Table, quoted};
use crate::copy::target::{columns_of, continue_numbers};
use crate::copy::{CopyError, CopyProgress};
use crate::error::StoreError;
use crate::link::Link;
use crate::records::audit_verification::AuditReport;
use crate::records::journal::Journal;
use crate::row::Number;
use crate::sqlite::lock::WriterLock;
use crate::statement::{Bind as _, sql_of};
use crate::transaction::Writing;
use crate::url::{Place, StoreUrl};
use crate::value::Value;
use crate::{migrations, postgres};

/// About how many values are sent at once.
const VALUES: usize = 4000;

/// A database that is being filled, by this process alone. Nothing is there before [`Self::commit`], and
/// nothing is left when it is dropped, or the process dies.
pub struct Restoring {
    link: Link,
    journal: Journal,
    // Declared last: let go after the connection.
    _lock: Option<WriterLock>,
}

impl Restoring {
    /// Opens the database, which is made if it is a file that is not there.
    ///
    /// # Errors
    /// [`StoreError::Locked`] when a server has it open; [`StoreError::Open`].
    pub async fn begin(to: &StoreUrl) -> Result<Self, ArchiveError> {
        let lock = match to.place() {
            Place::Sqlite(path) => Some(WriterLock::take(path)?),
            Place::Postgres(_) => None,
        };
        postgres::adoption::prepare(to).await?;
        let failed = |source| StoreError::open(to, source);
        let mut link = Link::open(to).await.map_err(failed)?;
        link.begin().await.map_err(failed)?;
        link.take_time().await.map_err(failed)?;
        Ok(Self { link, journal: Journal::default(), _lock: lock })
    }

    /// Makes the tables of the archive's version, fills them, and brings them to this version.
    ///
    /// # Errors
    /// [`ArchiveError`]; then this is to be dropped. [`ArchiveError::NotEmpty`] unless no table has a row.
    pub async fn fill(
        &mut self,
        from: &mut (impl Read + Send),
        mut progress: impl FnMut(CopyProgress<'_>) + Send,
    ) -> Result<ArchiveFacts, ArchiveError> {
        let facts = ArchiveFacts::read(from)?;
        let schema = Schema::of(&facts).await?;
        self.migrate(schema.migrations.len()).await?;
        for table in &schema.tables {
            let rows = self.count(table).await?;
            if rows > 0 {
                return Err(ArchiveError::NotEmpty { table: table.name.clone(), rows });
            }
        }
        let (mut done, total) = (0, facts.rows());
        for (archived, table) in facts.tables.iter().zip(schema.tables) {
            let table = self.in_database(table).await?;
            let at_once = (VALUES / table.columns.len().max(1)).max(1);
            let mut waiting = Vec::with_capacity(at_once);
            progress(CopyProgress { table: &table.name, done, total });
            for _row in 0..archived.rows {
                waiting.push(read_row(from, &table)?);
                if waiting.len() == at_once {
                    self.insert(&table, &mut waiting).await.map_err(table.failed())?;
                    done += at_once as u64;
                    progress(CopyProgress { table: &table.name, done, total });
                }
            }
            done += waiting.len() as u64;
            self.insert(&table, &mut waiting).await.map_err(table.failed())?;
            if let Link::Postgres(connection) = &mut self.link {
                continue_numbers(connection, &table).await.map_err(table.failed())?;
            }
        }
        expect_end(from)?;
        progress(CopyProgress { table: "everything", done, total });
        self.migrate(migrations::names().count()).await?;
        Ok(facts)
    }

    /// Does what belongs to it in the same transaction.
    ///
    /// # Errors
    /// Those of `work`; then this is to be dropped.
    pub async fn change<T, E, F>(&mut self, work: F) -> Result<T, E>
    where
        F: for<'w> FnOnce(&'w mut Writing<'_>) -> BoxFuture<'w, Result<T, E>>,
    {
        work(&mut Writing::new(self.link.connection(), &mut self.journal)).await
    }

    /// Writes the audit entries, recomputes every chain and makes it all so.
    ///
    /// # Errors
    /// [`ArchiveError`]; then nothing is there. [`CopyError::AuditBroken`] when the audit log is not as it
    /// was written.
    pub async fn commit(mut self) -> Result<AuditReport, ArchiveError> {
        self.journal.write(&mut self.link.connection()).await?;
        let mut writing = Writing::new(self.link.connection(), &mut self.journal);
        let report = writing.verify_audit().await?;
        if let Some(broken) = &report.broken {
            let (chain, sequence) = (broken.chain.clone(), broken.sequence);
            return Err(CopyError::AuditBroken { chain, sequence }.into());
        }
        let failed = |source| CopyError::Table { table: "everything".to_owned(), source };
        self.link.control("COMMIT").await.map_err(failed)?;
        self.link.close().await.map_err(failed)?;
        Ok(report)
    }

    async fn migrate(&mut self, count: usize) -> Result<(), StoreError> {
        let mut writing = Writing::new(self.link.connection(), &mut self.journal);
        migrations::apply_first(&mut writing, count).await.map(drop)
    }

    async fn count(&mut self, table: &Table) -> Result<u64, StoreError> {
        let text = format!("SELECT count(*) AS number FROM {}", quoted(&table.name));
        let counted = sql_of("(every table)", text.into(), Vec::new()).one(&mut self.link.connection()).await;
        counted.map(|Number(count)| count)
    }

    /// The table with the kinds that its columns have in this database.
    async fn in_database(&mut self, table: Table) -> Result<Table, ArchiveError> {
        let Link::Postgres(connection) = &mut self.link else { return Ok(table) };
        let there = columns_of(connection, &table.name).await.map_err(table.failed())?;
        let kind = |column: &Column| there.iter().find(|known| known.name == column.name).cloned();
        let columns: Option<Vec<_>> = table.columns.iter().map(kind).collect();
        let missing = || ArchiveError::Version(format!("{} lacks a column", table.name));
        Ok(Table { columns: columns.ok_or_else(missing)?, name: table.name.clone() })
    }

    /// Writes rows, which are emptied.
    async fn insert(&mut self, table: &Table, rows: &mut Vec<Vec<Value>>) -> Result<(), sqlx::Error> {
        if rows.is_empty() {
            return Ok(());
        }
        let width = table.columns.len();
        let row = |number: usize| {
            let places = (1..=width).map(|place| format!("${}", number * width + place));
            format!("({})", places.collect::<Vec<_>>().join(", "))
        };
        let places: Vec<String> = (0..rows.len()).map(row).collect();
        let (name, columns, places) = (quoted(&table.name), table.column_list(), places.join(", "));
        let text = AssertSqlSafe(format!("INSERT INTO {name} ({columns}) VALUES {places}"));
        let values = rows.drain(..).flatten();
        match &mut self.link {
            Link::Sqlite(inner) => {
                let query = values.fold(sqlx::query(text), Sqlite::bind);
                query.execute(inner).await.map(|_done| ())
            }
            Link::Postgres(inner) => {
                let query = values.fold(sqlx::query(text), Postgres::bind);
                query.execute(inner).await.map(|_done| ())
            }
        }
    }
}

fn read_row(from: &mut impl Read, table: &Table) -> Result<Vec<Value>, ArchiveError> {
    let value = |column: &Column| {
        let unfit = |cell: &Cell| {
            let found = format!("{cell:?}").chars().take(80).collect();
            ArchiveError::from(table.corrupt(column, found))
        };
        let cell = Cell::read(from)?;
        Ok(match (column.kind, cell) {
            (Kind::Integer, Cell::Nothing) => Value::Integer(None),
            (Kind::Integer, Cell::Integer(number)) => Value::Integer(Some(number)),
            (Kind::Text, Cell::Nothing) => Value::Text(None),
            (Kind::Text, Cell::Text(text)) => Value::Text(Some(text)),
            (Kind::Bytes, Cell::Nothing) => Value::Bytes(None),
            (Kind::Bytes, Cell::Bytes(bytes)) => Value::Bytes(Some(bytes)),
            (Kind::Time, Cell::Nothing) => Value::Time(None),
            (Kind::Time, Cell::Integer(millis)) => Value::Time(Some(Timestamp::from_millis(millis))),
            (Kind::Uuid, Cell::Nothing) => Value::Uuid(None),
            (Kind::Uuid, Cell::Text(text)) => match Uuid::try_parse(&text) {
                Ok(uuid) => Value::Uuid(Some(uuid)),
                Err(_not_one) => return Err(unfit(&Cell::Text(text))),
            },
            (_, cell) => return Err(unfit(&cell)),
        })
    };
    table.columns.iter().map(value).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::contents::ArchivedTable;
    use crate::store::Store;

    /// As a version before wrote it: an installation and nothing else.
    async fn archive_of(version: usize) -> Vec<u8> {
        let migrations: Vec<String> = migrations::names().take(version).map(str::to_owned).collect();
        let tables = Schema::after(version).await.unwrap().tables;
        let archived = |table: &Table| ArchivedTable {
            name: table.name.clone(),
            columns: table.columns.iter().map(|column| column.name.clone()).collect(),
            rows: u64::from(table.name == "installation"),
        };
        let tables: Vec<_> = tables.iter().map(archived).collect();
        let has = |table: &ArchivedTable| {
            table.name == "installation" && table.columns.iter().any(|column| column == "second_factor")
        };
        let policy = tables.iter().any(has).then(|| Cell::Text("optional".to_owned()));
        let facts = ArchiveFacts::new(Timestamp::from_secs(1), "acme.example".to_owned(), migrations, tables);
        let mut bytes = Vec::new();
        facts.write(&mut bytes).unwrap();
        let cells = [
            Cell::Integer(1),
            Cell::Text("acme.example".to_owned()),
            Cell::Integer(7),
            Cell::Integer(0),
            Cell::Integer(3),
            Cell::Integer(4),
        ];
        for cell in cells.into_iter().chain(policy) {
            cell.write(&mut bytes).unwrap();
        }
        bytes
    }

    #[tokio::test]
    async fn the_archive_of_an_older_version_is_brought_to_this_one() {
        let folder = tempfile::tempdir().unwrap();
        for version in 1..=migrations::names().count() {
            let url = StoreUrl::sqlite(folder.path().join(format!("{version}.db")));
            let mut restoring = Restoring::begin(&url).await.unwrap();
            let bytes = archive_of(version).await;
            restoring.fill(&mut bytes.as_slice(), |_step| ()).await.unwrap();
            restoring.commit().await.unwrap();
            let store = Store::open(&url).await.unwrap();
            assert!(store.migrate().await.unwrap().applied.is_empty(), "{version}");
            let read = store.read::<_, StoreError, _>(|r| Box::pin(async move { r.installation().await }));
            assert_eq!(read.await.unwrap().unwrap().version.epoch, 4);
            store.close().await;
        }
    }
}
