//! The rules of the doors, which the configuration holds: those in force, and changing them.

use std::sync::Arc;

use countersign_core::audit::{Actor, AuditEntry, AuditEvent};
use countersign_core::snapshot::{RuleList, RuleSource, TrustSnapshot};
use countersign_store::StoreError;
use parking_lot::RwLock;

use crate::authority::{Authority, AuthorityConfig};
use crate::publish::Applied;

/// How much of what is wrong with a configuration is written down.
const MOST_SAID: usize = 2000;

/// Rules and lists as they go into every snapshot.
pub(crate) struct RulesInForce(RwLock<Rules>);

#[derive(Clone)]
struct Rules {
    rules: Arc<[RuleSource]>,
    lists: Arc<[RuleList]>,
}

impl RulesInForce {
    pub(crate) fn new(config: &AuthorityConfig) -> Self {
        Self(RwLock::new(Rules { rules: config.rules.clone().into(), lists: config.lists.clone().into() }))
    }

    pub(crate) fn put_into(&self, snapshot: &mut TrustSnapshot) {
        let Rules { rules, lists } = self.0.read().clone();
        snapshot.rules = rules;
        snapshot.lists = lists;
    }

    fn are(&self, rules: &[RuleSource], lists: &[RuleList]) -> bool {
        let now = self.0.read();
        *now.rules == *rules && *now.lists == *lists
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
        *self.rules.0.write() = Rules { rules: rules.into(), lists: lists.into() };
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
