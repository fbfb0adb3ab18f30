//! The installation of a configuration, opened by a command that changes it.

use std::sync::Arc;

use anyhow::Context as _;
use countersign_authority::{Authority, OpenWith};
use countersign_core::time::SystemClock;
use countersign_store::Store;

use super::failure::Failure;
use crate::config::Resolved;
use crate::serve::authority_config;

/// Opens the installation, does something with it and closes it.
pub(super) async fn with_installation<T>(
    config: &Resolved,
    work: impl AsyncFnOnce(&Authority) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let authority = open(config).await?;
    let done = work(&authority).await;
    let closed = authority.close().await.context("close the database");
    let done = done?;
    closed?;
    Ok(done)
}

async fn open(config: &Resolved) -> Result<Arc<Authority>, Failure> {
    if let Some(file) = config.database.path() {
        // Opening it for writing would make one.
        fs_err::metadata(file).context("find the database")?;
    }
    let opened = Store::open(&config.database).await.context("open the database");
    let store = opened.map_err(|error| {
        Failure::from(error).hint("stop the server first: one process at a time writes an SQLite database")
    })?;
    store.migrate().await.context("bring the database up to date")?;
    let known = store.read(|r| Box::pin(async move { r.installation().await })).await;
    if known.context("look for the installation")?.is_none() {
        let error = anyhow::anyhow!("the database holds no installation");
        return Err(Failure::from(error).hint("`countersign serve` makes one at its first start"));
    }
    let clock = Arc::new(SystemClock);
    let authority = Authority::open_with(store, clock, authority_config(config), OpenWith::default()).await;
    Ok(authority.context("open the installation")?)
}
