//! SIGHUP: the configuration is read again, and what may change while doors are open does.
//!
//! Everything is validated first, by the code that reads the configuration at start and opens the doors. One
//! fault anywhere keeps everything as it is and says every fault. What only a restart can change is said by
//! its key. The operator's certificates are read again besides whenever their files change. The access log is
//! opened anew in any case.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use countersign_authority::Authority;
use countersign_edge::AccessLog;
use countersign_edge::rules::{DeviceCas, RuleSet};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval};

use crate::config::{ConfigError, Loaded, Resolved, settle};
use crate::doors::{Changes, Doors, Stamps};

/// How often the files of certificates are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// Reads the configuration again, as it was read at start: same flags, same environment, same file.
pub(crate) type ReadAgain = dyn Fn() -> Result<Loaded, ConfigError> + Send + Sync;

/// Listens for SIGHUP from now on: before this, the signal ends the process.
pub(crate) fn listen() -> anyhow::Result<Signal> {
    signal(SignalKind::hangup()).context("listen for SIGHUP")
}

/// What is reloaded, and from what.
pub(crate) struct Reloading {
    running: Resolved,
    read: Arc<ReadAgain>,
    changes: Changes,
    access_log: Option<AccessLog>,
    seen: Stamps,
    /// Whose rules those of the configuration are; an edge has its own authority's.
    authority: Option<Arc<Authority>>,
}

impl Reloading {
    /// Of these doors, which were opened as `running` wants them.
    pub(crate) fn of(
        running: Resolved,
        doors: &Doors,
        read: Arc<ReadAgain>,
        authority: Option<Arc<Authority>>,
    ) -> Self {
        let seen = Stamps::of(&running);
        Self { changes: doors.changes(), access_log: doors.access_log(), running, read, seen, authority }
    }

    /// Reloads at every SIGHUP, and certificates whenever their files change, for ever.
    pub(crate) async fn run(mut self, mut told: Signal) {
        let mut ticks = interval(LOOK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                signal = told.recv() => match signal {
                    Some(()) => self.reload().await,
                    None => return,
                },
                _tick = ticks.tick() => self.look_at_certificates(),
            }
        }
    }

    async fn reload(&mut self) {
        if let Some(log) = &self.access_log {
            tracing::info!("access log opened anew");
            log.reopen();
        }
        if let Err(error) = self.change().await {
            let error = format!("{error:#}");
            tracing::error!(error, "configuration not reloaded, the old one stays in force");
            if let Some(authority) = &self.authority
                && let Err(unwritten) = authority.note_configuration_refused(&error).await
            {
                tracing::error!(error = %unwritten, "refused configuration not written down");
            }
        }
    }

    async fn change(&mut self) -> anyhow::Result<()> {
        let Loaded { resolved, notices } = (self.read)()?;
        // Before they are read: what is written meanwhile is seen at the next look.
        let (settled, kept) = settle(resolved, &self.running);
        let seen = Stamps::of(&settled);
        let prepared = self.changes.prepare(&settled)?;
        for notice in &notices {
            tracing::warn!(notice, "configuration notice");
        }
        for key in &kept {
            tracing::warn!(key, "setting changed that only a restart puts in force, the old value stays");
        }
        let is_new = settled != self.running;
        match &self.authority {
            Some(authority) => {
                if is_new {
                    let written = authority.note_configuration_reloaded(&kept).await;
                    written.context("write the reload down")?;
                }
                change_rules(authority, &settled).await?;
            }
            None => tracing::info!("configuration reloaded"),
        }
        prepared.publish();
        (self.running, self.seen) = (settled, seen);
        Ok(())
    }

    /// Reads the operator's certificates again if their files have changed. What cannot be used is said
    /// once, and leaves what is shown.
    fn look_at_certificates(&mut self) {
        let now = Stamps::of(&self.running);
        if now == self.seen {
            return;
        }
        self.seen = now;
        match self.changes.show_certificates(&self.running) {
            Ok(()) => tracing::info!("certificates of the doors changed, read again"),
            Err(error) => {
                let error = format!("{error:#}");
                tracing::error!(
                    error,
                    "certificates of the doors changed and cannot be used, the old ones stay"
                );
            }
        }
    }
}

async fn change_rules(authority: &Authority, config: &Resolved) -> anyhow::Result<()> {
    let (count, of_lists) = (config.rules.len(), config.lists.len());
    let changed = authority.change_rules(config.rules.clone(), config.lists.clone()).await;
    match changed.context("change the rules")? {
        Some(applied) => {
            tracing::info!(
                rules = count,
                lists = of_lists,
                edges = applied.applied,
                "configuration reloaded, rules in force"
            );
            warn_of_doubts(authority);
        }
        None => tracing::info!(rules = count, "configuration reloaded, rules unchanged"),
    }
    Ok(())
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
