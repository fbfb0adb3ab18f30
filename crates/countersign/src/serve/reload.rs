//! SIGHUP: the configuration is read again, and what may change while doors are open does.
//!
//! Everything is validated first, by the code that reads the configuration at start. One fault anywhere
//! keeps everything as it is and says every fault.

use std::sync::Arc;

use anyhow::Context as _;
use countersign_authority::Authority;
use countersign_edge::rules::{DeviceCas, RuleSet};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::config::{ConfigError, Loaded, Resolved};

/// Reads the configuration again, as it was read at start: same flags, same environment, same file.
pub(super) type ReadAgain = dyn Fn() -> Result<Loaded, ConfigError> + Send + Sync;

/// Listens for SIGHUP from now on: before this, the signal ends the process.
pub(super) fn listen() -> anyhow::Result<Signal> {
    signal(SignalKind::hangup()).context("listen for SIGHUP")
}

/// Reloads at every SIGHUP, for ever.
pub(super) async fn reload_when_told(authority: Arc<Authority>, read: Arc<ReadAgain>, mut told: Signal) {
    while told.recv().await.is_some() {
        match read() {
            Err(error) => tracing::error!(%error, "configuration not reloaded, the old one stays in force"),
            Ok(loaded) => reload(&authority, loaded).await,
        }
    }
}

async fn reload(authority: &Authority, loaded: Loaded) {
    for notice in &loaded.notices {
        tracing::warn!(notice, "configuration notice");
    }
    let Resolved { rules, lists, .. } = loaded.resolved;
    let (count, of_lists) = (rules.len(), lists.len());
    match authority.change_rules(rules, lists).await {
        Ok(Some(applied)) => {
            tracing::info!(
                rules = count,
                lists = of_lists,
                edges = applied.applied,
                "configuration reloaded, rules in force"
            );
            warn_of_doubts(authority);
        }
        Ok(None) => tracing::info!(rules = count, "configuration reloaded, rules unchanged"),
        Err(error) => tracing::error!(%error, "rules not changed, the old ones stay in force"),
    }
}

/// What only who knows the CAs can doubt about the rules in force.
pub(super) fn warn_of_doubts(authority: &Authority) {
    let snapshot = authority.snapshot();
    if snapshot.device_issuers.len() < 2 {
        return;
    }
    let Ok(rules) = RuleSet::compile(&snapshot.rules, &snapshot.lists) else { return };
    let known = rules.lints(DeviceCas::One);
    for lint in rules.lints(DeviceCas::Several).iter().filter(|lint| !known.contains(lint)) {
        tracing::warn!(%lint, "rule in doubt");
    }
}
