//! Making an archive, beside whoever writes the database: everything is read in one view.

use std::io::Write;

use countersign_core::time::Timestamp;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt as _, TryStreamExt as _};
use sqlx::{AssertSqlSafe, ConnectOptions as _};

use super::contents::{ArchiveFacts, ArchivedTable, Cell};
use super::error::ArchiveError;
use super::schema::Schema;
use crate::connection::RawRow;
use crate::copy::CopyProgress;
use crate::copy::cells::{Table, quoted};
use crate::copy::target::columns_of;
use crate::error::StoreError;
use crate::link::Link;
use crate::row::{FromRow, Number, Row};
use crate::statement::sql;
use crate::transaction::Reading;
use crate::url::{Place, StoreUrl};
use crate::{postgres, sqlite};

/// How many rows go by between two words of progress.
const WORD_AFTER: u64 = 1000;

/// A migration that was applied.
struct Applied(String);

impl FromRow for Applied {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        row.text("name").map(Self)
    }
}

/// Writes every record of a database, as it is at one moment, while others may go on writing it. `now` is
/// the present moment, and the archive's.
///
/// # Errors
/// [`ArchiveError`]; what was written until then is of no use.
pub async fn archive(
    from: &StoreUrl,
    to: &mut (impl Write + Send),
    now: Timestamp,
    mut progress: impl FnMut(CopyProgress<'_>) + Send,
) -> Result<ArchiveFacts, ArchiveError> {
    let mut link = view(from).await.map_err(|source| StoreError::open(from, source))?;
    let schema = Schema::present().await?;
    same_version(&mut link, &schema).await?;
    let installation = Reading::new(link.connection()).installation().await?;
    let installation = installation.ok_or(ArchiveError::NoInstallation)?;
    let mut tables = Vec::with_capacity(schema.tables.len());
    for table in &schema.tables {
        let columns = table.columns.iter().map(|column| column.name.clone()).collect();
        tables.push(ArchivedTable {
            name: table.name.clone(),
            columns,
            rows: count(&mut link, table).await?,
        });
    }
    let migrations = schema.migrations.iter().map(|name| (*name).to_owned()).collect();
    let facts = ArchiveFacts::new(now, installation.trust_domain.to_string(), migrations, tables);
    facts.write(to)?;
    let (mut done, total) = (0, facts.rows());
    for table in schema.tables {
        let table = in_database(&mut link, table).await?;
        progress(CopyProgress { table: &table.name, done, total });
        let mut rows = rows(&mut link, &table);
        while let Some(row) = rows.try_next().await.map_err(table.failed())? {
            for value in table.values(&row)? {
                Cell::from(value).write(to)?;
            }
            done += 1;
            if done % WORD_AFTER == 0 {
                progress(CopyProgress { table: &table.name, done, total });
            }
        }
    }
    link.close().await.map_err(|source| StoreError::open(from, source))?;
    Ok(facts)
}

/// A connection in a transaction that reads, and sees one moment from its first statement on.
async fn view(from: &StoreUrl) -> Result<Link, sqlx::Error> {
    match from.place() {
        Place::Sqlite(path) => {
            let mut connection = sqlite::settings::reading(path).connect().await?;
            sqlx::query("BEGIN").execute(&mut connection).await?;
            Ok(Link::Sqlite(connection))
        }
        Place::Postgres(options) => {
            let mut connection = postgres::settings::reading(options).connect().await?;
            postgres::settings::control(&mut connection, postgres::settings::BEGIN_READING).await?;
            Ok(Link::Postgres(connection))
        }
    }
}

async fn same_version(link: &mut Link, schema: &Schema) -> Result<(), ArchiveError> {
    let applied: Vec<Applied> =
        sql("schema_migrations", "SELECT name FROM schema_migrations ORDER BY version")
            .all(&mut link.connection())
            .await?;
    let mut here = schema.migrations.iter();
    for Applied(name) in &applied {
        if here.next().is_none_or(|known| known != name) {
            return Err(ArchiveError::Version(format!("it has {name}, which is not known here")));
        }
    }
    match here.next() {
        None => Ok(()),
        Some(missing) => Err(ArchiveError::Version(format!("it lacks {missing}"))),
    }
}

async fn count(link: &mut Link, table: &Table) -> Result<u64, ArchiveError> {
    let text = format!("SELECT count(*) AS number FROM {}", quoted(&table.name));
    let Number(count) = crate::statement::sql_of("(every table)", text.into(), Vec::new())
        .one(&mut link.connection())
        .await?;
    Ok(count)
}

/// The table with the kinds that its columns have in this database.
async fn in_database(link: &mut Link, table: Table) -> Result<Table, ArchiveError> {
    let Link::Postgres(connection) = link else { return Ok(table) };
    let there = columns_of(connection, &table.name).await.map_err(table.failed())?;
    let mut columns = Vec::with_capacity(table.columns.len());
    for column in &table.columns {
        let known = there.iter().find(|known| known.name == column.name);
        let missing = || ArchiveError::Version(format!("it has no {}.{}", table.name, column.name));
        columns.push(known.cloned().ok_or_else(missing)?);
    }
    Ok(Table { columns, ..table })
}

fn rows<'l>(link: &'l mut Link, table: &Table) -> BoxStream<'l, Result<RawRow, sqlx::Error>> {
    let text = AssertSqlSafe(format!("SELECT {} FROM {}", table.column_list(), quoted(&table.name)));
    match link {
        Link::Sqlite(inner) => sqlx::query(text).fetch(inner).map_ok(RawRow::Sqlite).boxed(),
        Link::Postgres(inner) => sqlx::query(text).fetch(inner).map_ok(RawRow::Postgres).boxed(),
    }
}
