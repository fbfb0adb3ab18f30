//! The copy itself: every table, read back and compared before anything is committed.

use futures_util::TryStreamExt as _;

use super::cells::{Table, Tally};
use super::error::CopyError;
use super::source::Source;
use super::target::Target;
use crate::connection::RawRow;
use crate::error::StoreError;
use crate::records::audit_verification::{AuditReport, ChainReport};
use crate::store::Store;
use crate::url::{Place, StoreUrl};

/// About how many values are sent at once.
const VALUES: usize = 4000;

/// The record of the schema itself, which the target has from its own migration.
const MIGRATIONS: &str = "schema_migrations";

/// What the target marks by itself as revocations come in: there every CRL is signed anew.
const CRL_WANTED: &str = "crl_wanted";

/// How far a copy is.
#[derive(Clone, Copy, Debug)]
pub struct CopyProgress<'a> {
    /// The table that is being copied.
    pub table: &'a str,
    /// How many rows of all tables have been written.
    pub done: u64,
    /// How many there are.
    pub total: u64,
}

/// What was copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyReport {
    /// Every table.
    pub tables: Vec<CopiedTable>,
    /// The audit chains, recomputed in the target.
    pub chains: Vec<ChainReport>,
}

/// A table that was copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopiedTable {
    /// Its name.
    pub name: String,
    /// How many rows it has.
    pub rows: u64,
}

/// Copies every record of an SQLite database into an empty PostgreSQL database, which is migrated first.
/// All of it in one transaction: every table is read back and compared, and every audit chain recomputed,
/// before it is committed. The source is not changed, and nobody may have it open for writing.
///
/// # Errors
/// [`CopyError`]; then the target has no records, as before.
pub async fn copy(
    from: &StoreUrl,
    to: &StoreUrl,
    mut progress: impl FnMut(CopyProgress<'_>) + Send,
) -> Result<CopyReport, CopyError> {
    let (Place::Sqlite(path), Place::Postgres(options)) = (from.place(), to.place()) else {
        return Err(CopyError::Direction { from: from.to_string(), to: to.to_string() });
    };
    let mut source = Source::open(path).await.map_err(CopyError::Open)?;
    migrate(to).await.map_err(CopyError::Open)?;
    let mut target =
        Target::open(options).await.map_err(|source| CopyError::Open(StoreError::open(to, source)))?;

    let tables = matched(&mut source, &mut target).await?;
    let before = intact(source.reading().verify_audit().await)?;
    let mut total = 0;
    for table in &tables {
        total += source.count(&table.name).await.map_err(table.failed())?;
    }
    let mut copied = Vec::with_capacity(tables.len());
    let mut done = 0;
    for table in &tables {
        let mut report = |rows| progress(CopyProgress { table: &table.name, done: done + rows, total });
        let rows = copy_table(&mut source, &mut target, table, &mut report).await?;
        done += rows;
        copied.push(CopiedTable { name: table.name.clone(), rows });
    }
    let after = intact(target.reading().verify_audit().await)?;
    if before != after {
        return Err(CopyError::Different("the audit log".to_owned()));
    }
    let committed = target.commit().await;
    committed.map_err(|source| CopyError::Table { table: "everything".to_owned(), source })?;
    Ok(CopyReport { tables: copied, chains: after.chains })
}

async fn migrate(to: &StoreUrl) -> Result<(), StoreError> {
    let store = Store::open(to).await?;
    let migrated = store.migrate().await;
    store.close().await;
    migrated.map(|_migrated| ())
}

/// The tables of the source, which must be those of the target, and the target's must be empty.
async fn matched(source: &mut Source, target: &mut Target) -> Result<Vec<Table>, CopyError> {
    let failed = |source| CopyError::Table { table: "the list of tables".to_owned(), source };
    let in_source = source.tables().await.map_err(failed)?;
    let in_target = target.tables().await.map_err(failed)?;
    for name in in_target.iter().filter(|name| *name != MIGRATIONS) {
        if !in_source.iter().any(|(there, _columns)| there == name) {
            return Err(CopyError::Version(format!("it has no table {name}")));
        }
        let rows = target.count(name).await.map_err(failed)?;
        if rows > 0 {
            return Err(CopyError::NotEmpty { table: name.clone(), rows });
        }
    }
    let mut tables = Vec::with_capacity(in_source.len());
    for (name, columns) in in_source {
        let known =
            if in_target.contains(&name) { target.columns(&name).await.map_err(failed)? } else { Vec::new() };
        let mut matched = Vec::with_capacity(columns.len());
        for column in columns {
            let Some(known) = known.iter().find(|known| known.name == column) else {
                return Err(CopyError::Version(format!("{name}.{column} is not known")));
            };
            matched.push(known.clone());
        }
        tables.push(Table { name, columns: matched });
    }
    same_migrations(source, target, &tables).await?;
    tables.retain(|table| table.name != MIGRATIONS && table.name != CRL_WANTED);
    Ok(tables)
}

/// Fails closed unless both were brought to the same version.
async fn same_migrations(
    source: &mut Source,
    target: &mut Target,
    tables: &[Table],
) -> Result<(), CopyError> {
    let Some(migrations) = tables.iter().find(|table| table.name == MIGRATIONS) else {
        return Err(CopyError::Version("it was never migrated".to_owned()));
    };
    let mut there = Tally::default();
    let mut rows = source.rows(&migrations.name, &migrations.column_list());
    while let Some(row) = rows.try_next().await.map_err(migrations.failed())? {
        there.add(&migrations.values(&RawRow::Sqlite(row))?);
    }
    if there == tally(target, migrations).await? {
        Ok(())
    } else {
        Err(CopyError::Version("other migrations were applied to it".to_owned()))
    }
}

async fn copy_table(
    source: &mut Source,
    target: &mut Target,
    table: &Table,
    report: &mut (impl FnMut(u64) + Send),
) -> Result<u64, CopyError> {
    let at_once = (VALUES / table.columns.len().max(1)).max(1);
    let mut sent = Tally::default();
    let mut waiting = Vec::with_capacity(at_once);
    report(0);
    let mut rows = source.rows(&table.name, &table.column_list());
    while let Some(row) = rows.try_next().await.map_err(table.failed())? {
        let values = table.values(&RawRow::Sqlite(row))?;
        sent.add(&values);
        waiting.push(values);
        if waiting.len() == at_once {
            target.insert(table, &mut waiting).await.map_err(table.failed())?;
            report(sent.rows);
        }
    }
    target.insert(table, &mut waiting).await.map_err(table.failed())?;
    target.continue_numbers(table).await.map_err(table.failed())?;
    if tally(target, table).await? != sent {
        return Err(CopyError::Different(table.name.clone()));
    }
    report(sent.rows);
    Ok(sent.rows)
}

/// What the target has of a table.
async fn tally(target: &mut Target, table: &Table) -> Result<Tally, CopyError> {
    let mut tally = Tally::default();
    let mut rows = target.rows(table);
    while let Some(row) = rows.try_next().await.map_err(table.failed())? {
        tally.add(&table.values(&RawRow::Postgres(row))?);
    }
    Ok(tally)
}

fn intact(verified: Result<AuditReport, StoreError>) -> Result<AuditReport, CopyError> {
    let report = verified.map_err(CopyError::Open)?;
    match &report.broken {
        Some(broken) => {
            Err(CopyError::AuditBroken { chain: broken.chain.clone(), sequence: broken.sequence })
        }
        None => Ok(report),
    }
}
