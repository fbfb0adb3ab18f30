//! The rules of the doors: those that the configuration holds, and behind them those that people keep here; which are in
//! force, and changing them.

pub mod kept;

use std::sync::Arc;

use countersign_core::audit::{Actor, AuditEntry, AuditEvent};
use countersign_core::snapshot::{RuleList, RuleSource, TrustSnapshot};
use countersign_store::{KeptRule, RuleUse, StoreError};
use parking_lot::RwLock;

use crate::authority::{Authority, AuthorityConfig};
use crate::publish::Applied;

/// How much of what is wrong with a configuration is written down.
const MOST_SAID: usize = 2000;

/// Rules and lists as they go into every snapshot.
pub(crate) struct RulesInForce(RwLock<Rules>);

#[derive(Clone)]
struct Rules {
    configured: Arc<[RuleSource]>,
    lists: Arc<[RuleList]>,
    kept: Arc<[RuleSource]>,
    /// All of them, in order.
    all: Arc<[RuleSource]>,
}

impl Rules {
    fn new(configured: Arc<[RuleSource]>, lists: Arc<[RuleList]>, kept: Arc<[RuleSource]>) -> Self {
        let all = configured.iter().chain(kept.iter()).cloned().collect();
        Self { configured, lists, kept, all }
    }
}

impl RulesInForce {
    pub(crate) fn new(config: &AuthorityConfig) -> Self {
        let (rules, lists) = (config.rules.clone().into(), config.lists.clone().into());
        Self(RwLock::new(Rules::new(rules, lists, Arc::from([]))))
    }

    pub(crate) fn put_into(&self, snapshot: &mut TrustSnapshot) {
        let Rules { all, lists, .. } = self.0.read().clone();
        snapshot.rules = all;
        snapshot.lists = lists;
    }

    /// Those of the configuration.
    fn configured(&self) -> (Arc<[RuleSource]>, Arc<[RuleList]>) {
        let now = self.0.read();
        (Arc::clone(&now.configured), Arc::clone(&now.lists))
    }

    fn configure(&self, rules: Vec<RuleSource>, lists: Vec<RuleList>) {
        let mut now = self.0.write();
        *now = Rules::new(rules.into(), lists.into(), Arc::clone(&now.kept));
    }

    /// Puts those that are kept here behind those of the configuration.
    pub(crate) fn keep(&self, rules: Vec<KeptRule>) {
        let used = rules.into_iter().filter(|rule| rule.used == RuleUse::Enabled).map(|rule| rule.source);
        let mut now = self.0.write();
        *now = Rules::new(Arc::clone(&now.configured), Arc::clone(&now.lists), used.collect());
    }

    fn are(&self, rules: &[RuleSource], lists: &[RuleList]) -> bool {
        let now = self.0.read();
        *now.configured == *rules && *now.lists == *lists
    }
}

impl Authority {
    /// Gives the doors of this process, and the edges attached to it, other rules and lists, which the
    /// caller found to be right. `None`: they are the ones in force already.
    ///
    /// # Errors
    /// When the store fails; the rules are then the old ones.
    pub async fn change_rules(
        &self,
        rules: Vec<RuleSource>,
        lists: Vec<RuleList>,
    ) -> Result<Option<Applied>, StoreError> {
        self.store_rules(rules, lists, None).await
    }

    /// Puts what a configuration that was read again has for the authority in force: its rules and lists, which
    /// the caller found to be right. That it was read again is written down with them or not at all; `kept` are
    /// the keys of what only a restart puts in force. `None`: the rules are the ones in force already.
    ///
    /// # Errors
    /// When the store fails; then nothing has changed and nothing is written down.
    pub async fn reload_configuration(
        &self,
        rules: Vec<RuleSource>,
        lists: Vec<RuleList>,
        kept: &[&str],
    ) -> Result<Option<Applied>, StoreError> {
        let mut entry = AuditEntry::new(None, self.now(), AuditEvent::ConfigurationReloaded, Actor::Operator);
        if !kept.is_empty() {
            entry = entry.detail("needs_restart", kept.join(" "));
        }
        self.store_rules(rules, lists, Some(entry)).await
    }

    async fn store_rules(
        &self,
        rules: Vec<RuleSource>,
        lists: Vec<RuleList>,
        reloaded: Option<AuditEntry>,
    ) -> Result<Option<Applied>, StoreError> {
        if self.rules.are(&rules, &lists) {
            if let Some(entry) = reloaded {
                self.note(entry).await?;
            }
            return Ok(None);
        }
        let entry = AuditEntry::new(None, self.now(), AuditEvent::RulesChanged, Actor::Operator)
            .detail("rules", rules.len())
            .detail("lists", lists.len());
        // The epoch makes edges take the new snapshot for newer than the old one.
        self.store
            .write(move |w| {
                Box::pin(async move {
                    w.rules_changed().await?;
                    for entry in reloaded.iter().chain([&entry]) {
                        w.append_audit(entry).await?;
                    }
                    Ok::<_, StoreError>(())
                })
            })
            .await?;
        self.rules.configure(rules, lists);
        self.publish_changes().await.map(Some)
    }

    /// Writes down that a configuration was refused, and the old one stays.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn note_configuration_refused(&self, why: &str) -> Result<(), StoreError> {
        let why: String = why.chars().take(MOST_SAID).collect();
        let entry = AuditEntry::new(None, self.now(), AuditEvent::ConfigurationRefused, Actor::Operator)
            .detail("error", why);
        self.note(entry).await
    }

    /// Writes down that the doors have a certificate from a public CA.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn note_certificate_acquired(&self, hosts: &[String], serial: &str) -> Result<(), StoreError> {
        let entry = AuditEntry::new(None, self.now(), AuditEvent::DoorCertificateIssued, Actor::System)
            .detail("by", "acme".to_owned())
            .detail("hosts", hosts.join(" "))
            .detail("serial", serial.to_owned());
        self.note(entry).await
    }

    pub(crate) async fn note(&self, entry: AuditEntry) -> Result<(), StoreError> {
        self.store.write(move |w| Box::pin(async move { w.append_audit(&entry).await })).await
    }
}
