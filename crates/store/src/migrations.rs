//! The embedded migrations and the small runner that applies them in one transaction.

use futures_util::future::BoxFuture;

use crate::connection::Connection;
use crate::error::StoreError;
use crate::postgres;
use crate::row::{FromRow, Number, Row};
use crate::statement::{run_script, sql};
use crate::store::Migrated;
use crate::transaction::Writing;

/// A migration in the dialect of each database.
struct Migration {
    name: &'static str,
    sqlite: &'static str,
    postgres: &'static str,
}

/// A migration by the name of its two files.
macro_rules! migration {
    ($name:literal) => {
        Migration {
            name: $name,
            sqlite: include_str!(concat!("../migrations/sqlite/", $name, ".sql")),
            postgres: include_str!(concat!("../migrations/postgres/", $name, ".sql")),
        }
    };
}

/// How the name of a migration ends after which an older version goes on, and may be started again: it takes
/// nothing away and gives every new column a value.
const ADDITIVE: &str = ".additive";

/// In order; the place in the list plus one is the version. Only ever appended to.
const MIGRATIONS: &[Migration] = &[
    migration!("0001_platform"),
    migration!("0002_devices"),
    migration!("0003_audit"),
    migration!("0004_commands"),
    migration!("0005_people"),
    migration!("0006_fleet"),
    migration!("0007_audit_anchors"),
    migration!("0008_issuers"),
    migration!("0009_crl_shards"),
    migration!("0010_ca_rotation"),
    migration!("0011_upstream"),
    migration!("0012_service_keys"),
    migration!("0013_ca_requests"),
    migration!("0014_monitors"),
    migration!("0015_restorations"),
    migration!("0016_foreign_trusts"),
    migration!("0017_fewer_indexes"),
    migration!("0018_edges"),
    migration!("0019_messages"),
    migration!("0020_changes_of_status"),
    migration!("0022_shadows_and_jobs"),
    migration!("0023_telemetry_by_day"),
    migration!("0025_alerts"),
    migration!("0030_provisioning_tokens"),
    migration!("0031_audit_streams"),
    migration!("0027_second_factors"),
    migration!("0028_oidc"),
    migration!("0032_audit_cuts"),
    migration!("0033_kept_rules"),
    migration!("0035_passkeys"),
    migration!("0036_device_lists"),
    migration!("0037_heartbeats_in_place.additive"),
    migration!("0038_door_work.additive"),
    migration!("0039_device_networks.additive"),
];

const TABLE: &str = "schema_migrations";

/// PostgreSQL's code for a lock that was not had in time.
const LOCK_NOT_AVAILABLE: &str = "55P03";

struct Applied {
    version: usize,
    name: String,
}

impl FromRow for Applied {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self { version: row.number("version")?, name: row.text("name")? })
    }
}

/// The names of all migrations, in order.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    MIGRATIONS.iter().map(|migration| migration.name)
}

/// Applies what is missing. Fails closed: a database that has migrations unknown to this version, or
/// others than this version's, is left alone, but for additive ones of a newer version.
pub(crate) fn apply<'w>(writing: &'w mut Writing<'_>) -> BoxFuture<'w, Result<Migrated, StoreError>> {
    apply_first(writing, MIGRATIONS.len())
}

/// The same up to a version. Fails closed: a database that has more is left alone.
pub(crate) fn apply_first<'w>(
    writing: &'w mut Writing<'_>,
    count: usize,
) -> BoxFuture<'w, Result<Migrated, StoreError>> {
    Box::pin(async move {
        let known = applied_before(writing).await?;
        if known > count {
            let said = format!("it is at version {known} already, which is later than version {count}");
            return Err(StoreError::Migration(said));
        }
        if known < count
            && let Connection::Postgres(inner) = &mut writing.connection
        {
            postgres::settings::take_little_time_for_locks(inner)
                .await
                .map_err(|error| failed("", &error))?;
        }
        let mut applied = Vec::new();
        for (version, migration) in (1_u64..).zip(MIGRATIONS).take(count).skip(known) {
            let name = migration.name;
            let script = match writing.connection {
                Connection::Sqlite(_) => migration.sqlite,
                Connection::Postgres(_) => migration.postgres,
            };
            run_script(&mut writing.connection, script).await.map_err(|error| failed(name, &error))?;
            sql(TABLE, "INSERT INTO schema_migrations (version, name) VALUES ($1, $2)")
                .bind(version)
                .bind(name)
                .run(&mut writing.connection)
                .await?;
            applied.push(name);
        }
        let version = u32::try_from(count).unwrap_or(u32::MAX);
        Ok(Migrated { applied, version })
    })
}

/// A migration that was not applied. Nothing of it stays, and a start may try again.
fn failed(name: &str, error: &sqlx::Error) -> StoreError {
    let code = error.as_database_error().and_then(|error| error.code());
    let why = match code {
        Some(code) if code == LOCK_NOT_AVAILABLE => {
            ": somebody else's transaction holds a table for too long; end it, or try again (pg_stat_activity)"
        }
        _ => "",
    };
    StoreError::Migration(format!("{name}: {error}{why}"))
}

/// Makes the record of migrations where there is none. Whoever runs on a database that was migrated by another
/// role needs no right to make tables.
async fn make_record(writing: &mut Writing<'_>) -> Result<(), StoreError> {
    let question = match writing.connection {
        Connection::Sqlite(_) => {
            "SELECT count(*) AS number FROM sqlite_schema WHERE name = 'schema_migrations'"
        }
        Connection::Postgres(_) => {
            "SELECT count(*) AS number FROM pg_class WHERE oid = to_regclass('countersign.schema_migrations')"
        }
    };
    if sql(TABLE, question).one::<Number>(&mut writing.connection).await?.0 > 0 {
        return Ok(());
    }
    let create = "CREATE TABLE schema_migrations (version INTEGER PRIMARY KEY, name TEXT NOT NULL)";
    sql(TABLE, create).run(&mut writing.connection).await.map(drop)
}

/// How many of our migrations the database has; they must be the first ones, by name. Behind all of ours there may
/// be additive ones of a newer version.
async fn applied_before(writing: &mut Writing<'_>) -> Result<usize, StoreError> {
    make_record(writing).await?;
    let applied: Vec<Applied> = sql(TABLE, "SELECT version, name FROM schema_migrations ORDER BY version")
        .all(&mut writing.connection)
        .await?;
    for (place, row) in applied.iter().enumerate() {
        let is_right = match MIGRATIONS.get(place) {
            Some(known) => row.name == known.name,
            None => row.name.ends_with(ADDITIVE),
        };
        if row.version != place + 1 || !is_right {
            return Err(StoreError::Migration(format!(
                "it has {:?}, which this version does not know: it was made by another version",
                row.name
            )));
        }
    }
    if let Some(newest) = applied.get(MIGRATIONS.len()..).and_then(<[Applied]>::last) {
        tracing::warn!(
            newest = newest.name,
            "a newer version brought the database up to date; going on beside it"
        );
    }
    Ok(applied.len().min(MIGRATIONS.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Those from before the first release, after which nobody of an earlier version can go on.
    const BREAKING: [&str; 5] = [
        "0002_devices",
        "0008_issuers",
        "0009_crl_shards",
        "0020_changes_of_status",
        "0023_telemetry_by_day",
    ];

    /// What an older version beside this one may stumble over.
    const TAKEN_AWAY: [&str; 7] = [
        "DROP TABLE",
        "DROP COLUMN",
        "DROP CONSTRAINT",
        "DROP DEFAULT",
        "SET NOT NULL",
        "RENAME TO",
        "RENAME COLUMN",
    ];

    /// Whether an older version may go on beside this: nothing is taken away, and a new column that must have a
    /// value has one by itself.
    fn is_additive(script: &str) -> bool {
        let added = script.split("ADD COLUMN").skip(1).filter_map(|rest| rest.split([',', ';']).next());
        let gives_all = |column: &str| !column.contains("NOT NULL") || column.contains("DEFAULT");
        !TAKEN_AWAY.iter().any(|taken| script.contains(taken)) && added.into_iter().all(gives_all)
    }

    #[test]
    fn versions_go_on_beside_each_other() {
        let breaking: Vec<_> =
            MIGRATIONS.iter().filter(|one| !is_additive(one.postgres)).map(|one| one.name).collect();
        assert_eq!(breaking, BREAKING, "what breaks an older version is named in the changelog and here");
        let lying = MIGRATIONS.iter().find(|one| one.name.ends_with(ADDITIVE) && !is_additive(one.postgres));
        assert_eq!(lying.map(|one| one.name), None);
    }
}
