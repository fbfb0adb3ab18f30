//! `countersign migrate`.

use anyhow::Context as _;
use countersign_store::{Migrated, Store};

use super::arguments::MigrateArguments;
use super::failure::Failure;
use super::output::print;
use super::run::{block_on, loaded};
use crate::serve::files::{close_database, make_private_directory};

/// Brings the database to this version, making it if there is none.
pub(super) fn run(arguments: MigrateArguments) -> Result<(), Failure> {
    let config = loaded(arguments.config)?.resolved;
    make_private_directory(&config.data_dir)?;
    if let Some(database) = config.database.path() {
        close_database(database)?;
    }
    block_on(async {
        let opened = Store::open(&config.database).await.context("open the database");
        let store = opened.map_err(|error| {
            Failure::from(error).hint("a running server migrates by itself; stop it before you run this")
        })?;
        let migrated = store.migrate().await.context("migrate the database")?;
        store.close().await;
        Ok(print(&text(&migrated))?)
    })
}

fn text(migrated: &Migrated) -> String {
    let version = migrated.version;
    if migrated.applied.is_empty() {
        return format!("The database is up to date (version {version}).\n");
    }
    let applied: String = migrated.applied.iter().map(|name| format!("applied {name}\n")).collect();
    format!("{applied}The database is at version {version}.\n")
}
