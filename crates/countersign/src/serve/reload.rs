//! SIGHUP: the configuration is read again, and what may change while doors are open does.
//!
//! Everything is validated first, by the code that reads the configuration at start. One fault anywhere
//! keeps everything as it is and says every fault. The access log is opened anew in any case.

use std::sync::Arc;

use anyhow::Context as _;
use countersign_authority::Authority;
use countersign_edge::AccessLog;
use countersign_edge::rules::{DeviceCas, RuleSet};
use countersign_tls::{ServerCredential, ServerCredentials};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::config::{ConfigError, DoorCertificate, Loaded, Resolved};
use crate::doors::{self, Doors};

/// Reads the configuration again, as it was read at start: same flags, same environment, same file.
pub(super) type ReadAgain = dyn Fn() -> Result<Loaded, ConfigError> + Send + Sync;

/// Listens for SIGHUP from now on: before this, the signal ends the process.
pub(super) fn listen() -> anyhow::Result<Signal> {
    signal(SignalKind::hangup()).context("listen for SIGHUP")
}

/// What is read or opened anew besides the configuration.
pub(super) struct Reopened {
    access_log: Option<AccessLog>,
    /// What the doors show, when that is the operator's own.
    credentials: Option<Arc<ServerCredentials>>,
}

impl Reopened {
    /// That of these doors, which were opened as this configuration wants them.
    pub(super) fn of(config: &Resolved, doors: &Doors) -> Self {
        let is_own = matches!(config.http_door.certificate, DoorCertificate::Files { .. });
        Self { access_log: doors.access_log(), credentials: is_own.then(|| doors.credentials()) }
    }

    fn log_anew(&self) {
        if let Some(log) = &self.access_log {
            tracing::info!("access log opened anew");
            log.reopen();
        }
    }

    /// The doors' certificate as it is in its files now; nothing of it is in force yet.
    fn certificate(&self, config: &Resolved) -> anyhow::Result<Option<Renewed<'_>>> {
        match (&self.credentials, &config.http_door.certificate) {
            (Some(shown), DoorCertificate::Files { chain, key }) => {
                Ok(Some(Renewed { shown, credential: doors::from_files(chain, key)? }))
            }
            (Some(_), DoorCertificate::Issued) | (None, _) => Ok(None),
        }
    }
}

/// A certificate that is right and is not shown yet.
struct Renewed<'a> {
    shown: &'a ServerCredentials,
    credential: ServerCredential,
}

/// Reloads at every SIGHUP, for ever.
pub(super) async fn reload_when_told(
    authority: Arc<Authority>,
    read: Arc<ReadAgain>,
    mut told: Signal,
    reopened: Reopened,
) {
    while told.recv().await.is_some() {
        reopened.log_anew();
        let loaded = match read() {
            Err(error) => {
                tracing::error!(%error, "configuration not reloaded, the old one stays in force");
                continue;
            }
            Ok(loaded) => loaded,
        };
        match reopened.certificate(&loaded.resolved) {
            Err(error) => {
                let error = format!("{error:#}");
                tracing::error!(error, "configuration not reloaded, the old one stays in force");
            }
            Ok(certificate) => {
                reload(&authority, loaded).await;
                if let Some(Renewed { shown, credential }) = certificate {
                    shown.replace_default(credential);
                    tracing::info!("door certificate read again");
                }
            }
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
