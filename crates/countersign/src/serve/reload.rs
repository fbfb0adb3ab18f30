//! SIGHUP: the configuration is read again, and what may change while doors are open does.
//!
//! Everything is validated first, by the code that reads the configuration at start and opens the doors. One
//! fault anywhere keeps everything as it is and says every fault. What only a restart can change is said by
//! its key. The operator's certificates are read again besides whenever their files change. The access log is
//! opened anew in any case.

use std::sync::Arc;

use anyhow::Context as _;
use countersign_authority::Authority;
use countersign_core::snapshot::{RuleList, RuleSource};
use countersign_edge::rules::{DeviceCas, RuleSet};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;

use super::nearby::Nearby;
use crate::acme::Acme;
use crate::config::{ConfigError, Loaded, Resolved, settle};
use crate::doors::{Changes, Doors, Stamps};
use crate::ports;

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
    seen: Stamps,
    nearby: Nearby,
    /// What keeps a certificate from a public CA, if anything does.
    acquiring: JoinSet<()>,
    /// Whose rules those of the configuration are; an edge has its own authority's.
    authority: Option<Arc<Authority>>,
}

impl Reloading {
    /// Of these doors, which were opened as `running` wants them.
    ///
    /// # Errors
    /// When what a certificate from a public CA needs cannot be kept.
    pub(crate) fn of(
        running: Resolved,
        doors: &Doors,
        read: Arc<ReadAgain>,
        authority: Option<Arc<Authority>>,
    ) -> anyhow::Result<Self> {
        let (seen, changes) = (Stamps::of(&running), doors.changes());
        let nearby = Nearby::new(seen.files());
        let acme = changes.acme(&running, authority.as_ref())?;
        let acquiring = JoinSet::new();
        let mut reloading = Self { running, read, changes, seen, nearby, acquiring, authority };
        reloading.acquire(acme);
        Ok(reloading)
    }

    /// Reloads at every SIGHUP, and certificates whenever their files change, for ever.
    pub(crate) async fn run(mut self, mut told: Signal) {
        loop {
            tokio::select! {
                signal = told.recv() => match signal {
                    Some(()) => self.reload().await,
                    None => return,
                },
                () = self.nearby.stirred() => self.look_at_certificates(),
            }
        }
    }

    async fn reload(&mut self) {
        self.changes.reopen_log();
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

    /// Keeps a certificate from a public CA from now on, and no other. Where nobody can look whose the names
    /// are, none is obtained.
    fn acquire(&mut self, acme: Option<Acme>) {
        self.acquiring.abort_all();
        let Some(acme) = acme else { return };
        if !acme.needs_redirect() || self.changes.answers_cas() {
            self.acquiring.spawn(acme.keep());
        } else {
            tracing::error!("no certificate by ACME: the redirect is closed, over which the CA would ask");
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
        let acme = self.changes.acme(&settled, self.authority.as_ref())?;
        match &self.authority {
            Some(authority) => change_rules(authority, &settled, (&self.running, &kept)).await?,
            None => tracing::info!("configuration reloaded"),
        }
        prepared.publish();
        self.name_doors(&settled);
        if let Some(authority) = &self.authority
            && settled.monitors != self.running.monitors
        {
            authority.watch(settled.monitors.clone());
        }
        let (old, new) = (self.running.acme.as_ref(), settled.acme.as_ref());
        if old != new || settled.redirect != self.running.redirect {
            if old.map(|acme| &acme.hosts) != new.map(|acme| &acme.hosts) {
                self.changes.forget_acquired();
            }
            self.acquire(acme);
        }
        (self.running, self.seen) = (settled, seen);
        self.nearby.look_around(self.seen.files());
        Ok(())
    }

    /// Says in the ports file which TCP doors there are now.
    fn name_doors(&self, settled: &Resolved) {
        let Some(path) = &settled.ports_file else { return };
        if settled.tcp_doors != self.running.tcp_doors
            && let Err(error) = ports::rewrite_tcp_doors(path, self.changes.tcp_doors())
        {
            tracing::error!(error = format!("{error:#}"), "ports file not written");
        }
    }

    /// Reads the operator's certificates again if their files have changed. What cannot be used is said
    /// once, and leaves what is shown.
    fn look_at_certificates(&mut self) {
        let now = Stamps::of(&self.running);
        if now == self.seen {
            return;
        }
        self.seen = now;
        self.nearby.look_around(self.seen.files());
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

/// Puts the rules in force, and writes down in the same transaction that the configuration was read again, if
/// that brought anything.
async fn change_rules(
    authority: &Authority,
    config: &Resolved,
    (running, kept): (&Resolved, &[&str]),
) -> anyhow::Result<()> {
    let (count, of_lists) = (config.rules.len(), config.lists.len());
    let (rules, lists) = (config.rules.clone(), config.lists.clone());
    check_with_kept(authority, &rules, &lists).await?;
    let changed = if config == running {
        authority.change_rules(rules, lists).await
    } else {
        authority.reload_configuration(rules, lists, kept).await
    };
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

/// Those that are kept in the database come behind these, and may ask these lists.
async fn check_with_kept(
    authority: &Authority,
    rules: &[RuleSource],
    lists: &[RuleList],
) -> anyhow::Result<()> {
    let kept = authority.kept_rules().await.context("read the rules that are kept in the database")?.kept;
    let all: Vec<RuleSource> =
        rules.iter().cloned().chain(kept.into_iter().map(|rule| rule.source)).collect();
    let Err(errors) = RuleSet::compile(&all, lists) else { return Ok(()) };
    let said: Vec<String> = errors.iter().map(|error| error.render()).collect();
    anyhow::bail!("with the rules that are kept in the database: {}", said.join("; "))
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
