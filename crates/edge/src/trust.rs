//! What a door goes by at this moment: the snapshot, and its rules compiled.

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use countersign_core::snapshot::TrustSnapshot;
use thiserror::Error;
use tracing::error;

use crate::door::DoorError;
use crate::rules::{RuleError, RuleSet};

/// A snapshot and its compiled rules.
#[derive(Debug)]
pub(crate) struct Trust {
    pub(crate) snapshot: Arc<TrustSnapshot>,
    pub(crate) rules: Arc<RuleSet>,
}

/// What a door goes by; every request and packet reads it anew.
#[derive(Debug)]
pub(crate) struct Current(ArcSwap<Trust>);

impl Current {
    /// # Errors
    /// Fails closed: rules that do not compile are no rules, and a door without its rules does not
    /// open.
    pub(crate) fn new(snapshot: Arc<TrustSnapshot>) -> Result<Self, DoorError> {
        match RuleSet::compile(&snapshot.rules, &snapshot.lists) {
            Ok(rules) => Ok(Self(ArcSwap::from_pointee(Trust { snapshot, rules: Arc::new(rules) }))),
            Err(errors) => Err(DoorError::Rules(RuleFaults(errors))),
        }
    }

    pub(crate) fn load(&self) -> Guard<Arc<Trust>> {
        self.0.load()
    }

    /// The same, to be held for longer.
    pub(crate) fn load_full(&self) -> Arc<Trust> {
        self.0.load_full()
    }

    /// Goes by `snapshot` from now on. Rules are compiled when they have changed; a set that does
    /// not compile keeps the old one and says so.
    pub(crate) fn replace(&self, snapshot: Arc<TrustSnapshot>) {
        let old = self.0.load();
        let is_unchanged = snapshot.rules == old.snapshot.rules && snapshot.lists == old.snapshot.lists;
        let rules = if is_unchanged {
            Arc::clone(&old.rules)
        } else {
            match RuleSet::compile(&snapshot.rules, &snapshot.lists) {
                Ok(rules) => Arc::new(rules),
                Err(errors) => {
                    for error in errors {
                        error!(%error, "new rules refused, old ones kept");
                    }
                    Arc::clone(&old.rules)
                }
            }
        };
        self.0.store(Arc::new(Trust { snapshot, rules }));
    }
}

/// The faults of a rule set, one a line.
#[derive(Debug, Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct RuleFaults(Vec<RuleError>);
