//! `countersign audit anchor`: signs the ends of all audit chains, and hands the anchor out.

use std::path::Path;

use anyhow::Context as _;
use countersign_authority::anchors::{SignedAnchor, anchor_at_rest};
use countersign_core::time::{Clock as _, SystemClock};
use countersign_store::{Store, StoreError};
use http::{Method, StatusCode};

use super::arguments::AuditAnchorArguments;
use super::failure::Failure;
use super::output::{note, print};
use super::run::{block_on, loaded};
use super::server_call::{Call, admin_address, ask};
use crate::config::Resolved;
use crate::serve::files::write_private;

/// Anchors in the database itself, or, with a token, through the running server.
pub(super) fn run(arguments: AuditAnchorArguments) -> Result<(), Failure> {
    let config = loaded(arguments.config)?.resolved;
    let anchor = match &arguments.token_file {
        Some(path) => block_on(through_the_server(&config, path))?,
        None => block_on(in_the_database(&config))?,
    };
    let Some(path) = &arguments.output else { return Ok(print(&anchor.to_file())?) };
    write_private(path, anchor.to_file().as_bytes())?;
    let statement = anchor.statement();
    note(&format!(
        "anchor {} of {} entries in {} chains is in {}; keep it where this server cannot reach",
        statement.number,
        statement.entries(),
        statement.heads.len(),
        path.display()
    ));
    Ok(())
}

async fn in_the_database(config: &Resolved) -> Result<SignedAnchor, Failure> {
    // Opening would make an empty database where there is none.
    drop(Store::open_for_reading(&config.database).await.context("open the database")?);
    let opened = Store::open(&config.database).await;
    let is_locked = matches!(opened, Err(StoreError::Locked(_)));
    let store = opened.context("open the database").map_err(|error| {
        let failure = Failure::from(error);
        if is_locked {
            failure.hint("a server is running on it: name a file with a token of an operator, --token-file")
        } else {
            failure
        }
    })?;
    let source = &config.key_encryption_key;
    let anchor = anchor_at_rest(&store, source, SystemClock.now()).await.context("anchor the audit");
    store.close().await;
    Ok(anchor?)
}

async fn through_the_server(config: &Resolved, token: &Path) -> Result<SignedAnchor, Failure> {
    let token = fs_err::read_to_string(token).context("read the token")?;
    let call = Call { method: Method::POST, path: "/api/v1/audit/anchors", token: Some(token.trim()) };
    let (status, body) = ask(admin_address(config)?, call).await?;
    if status != StatusCode::CREATED {
        return Err(anyhow::anyhow!("the server answered {status}: {}", body.trim_end()).into());
    }
    Ok(SignedAnchor::from_file(&body).context("read the server's answer")?)
}
