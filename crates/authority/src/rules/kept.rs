//! The rules that people keep here: changed one by one, each change checked with all the others before it is in force.

use std::sync::Arc;

use countersign_core::audit::{AuditEntry, AuditEvent};
use countersign_core::snapshot::{RuleList, RuleSource};
use countersign_store::StoreError;
pub use countersign_store::{KeptRule, RuleRevisionRow, RuleUse};
use thiserror::Error;

use crate::authority::Authority;
use crate::authorized::{Administer, Authorized, Forbidden, View};
use crate::devices::LookError;
use crate::publish::Applied;

/// How many rules can be kept here.
pub const MOST_RULES: usize = 200;

/// How many revisions are kept besides the present one.
const REVISIONS: u64 = 100;

/// Who knows the language of rules: what is wrong with these together.
pub type RuleCheck = Arc<dyn Fn(&[RuleSource], &[RuleList]) -> Result<(), Vec<String>> + Send + Sync>;

/// What is to become of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RuleEdit {
    /// A rule more, before another one or at the end.
    Add(KeptRule, Option<String>),
    /// These more, at the end.
    AddAll(Vec<KeptRule>),
    /// Another rule in the place of the one with this name.
    Replace(String, KeptRule),
    /// One less.
    Remove(String),
    /// The same one, before another one or at the end.
    Move(String, Option<String>),
    /// The list of an earlier revision.
    Restore(u64),
}

/// Rules were not changed.
#[derive(Debug, Error)]
pub enum RuleError {
    /// The caller may not.
    #[error("not allowed")]
    Forbidden(#[from] Forbidden),
    /// There is no rule of this name here.
    #[error("there is no rule {0:?} here")]
    Unknown(String),
    /// The rule is the configuration's.
    #[error("the rule {0:?} is in the configuration, and is changed there")]
    Configured(String),
    /// There is one of this name.
    #[error("there is a rule {0:?} already")]
    Taken(String),
    /// There are too many.
    #[error("there are {MOST_RULES} rules here already")]
    TooMany,
    /// Together with the others it is not right.
    #[error("the rules are not right: {}", .0.join("; "))]
    Wrong(Vec<String>),
    /// Somebody changed the rules since the caller saw them.
    #[error("somebody changed the rules meanwhile")]
    Changed,
    /// The store failed.
    #[error("cannot use the store")]
    Store(#[from] StoreError),
}

/// The rules as they are.
#[derive(Clone, Debug)]
pub struct KeptRules {
    /// Which revision it is; 0: nobody ever kept a rule here.
    pub revision: u64,
    /// Those of the configuration, which come first.
    pub configured: Arc<[RuleSource]>,
    /// Those that are kept here, in order.
    pub kept: Vec<KeptRule>,
}

impl Authority {
    /// The rules, those of the configuration and those that are kept here.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn kept_rules(&self) -> Result<KeptRules, StoreError> {
        let row = self.store.read(|r| Box::pin(async move { r.kept_rules().await })).await?;
        let (revision, kept) = row.map_or((0, Vec::new()), |row: RuleRevisionRow| (row.revision, row.rules));
        Ok(KeptRules { revision, configured: self.rules.configured().0, kept })
    }

    /// The revisions that are on record, the newest first. Not for whoever is bound to a tenant.
    ///
    /// # Errors
    /// See [`LookError`].
    pub async fn rule_revisions(&self, by: &Authorized<View>) -> Result<Vec<RuleRevisionRow>, LookError> {
        by.covers_all()?;
        let limit = u32::try_from(REVISIONS).unwrap_or(u32::MAX).saturating_add(1);
        Ok(self.store.read(move |r| Box::pin(async move { r.rule_revisions(limit).await })).await?)
    }

    /// One of them; `None`: there was none, or it is not kept any more. Not for whoever is bound to a tenant.
    ///
    /// # Errors
    /// See [`LookError`].
    pub async fn rule_revision(
        &self,
        by: &Authorized<View>,
        revision: u64,
    ) -> Result<Option<RuleRevisionRow>, LookError> {
        by.covers_all()?;
        Ok(self.store.read(move |r| Box::pin(async move { r.rule_revision(revision).await })).await?)
    }

    /// Changes the rules that are kept here. `seen` is the revision that the caller saw, if it has to be that one
    /// still. Not for whoever is bound to a tenant.
    ///
    /// # Errors
    /// See [`RuleError`]. Fails closed: nothing changes unless all rules together are right.
    pub async fn edit_rules(
        &self,
        by: &Authorized<Administer>,
        (edit, seen): (RuleEdit, Option<u64>),
        check: RuleCheck,
    ) -> Result<(u64, Applied), RuleError> {
        by.covers_all()?;
        let (now, actor) = (self.now(), by.actor());
        let changed_by = actor.to_string();
        let (configured, lists) = self.rules.configured();
        let revision = self
            .store
            .write(move |w| {
                Box::pin(async move {
                    let before = w.kept_rules().await?;
                    let (last, mut rules) = before.map_or((0, Vec::new()), |row| (row.revision, row.rules));
                    if seen.is_some_and(|seen| seen != last) {
                        return Err(RuleError::Changed);
                    }
                    let former = match &edit {
                        RuleEdit::Restore(wanted) => w.rule_revision(*wanted).await?,
                        RuleEdit::Add(..)
                        | RuleEdit::AddAll(_)
                        | RuleEdit::Replace(..)
                        | RuleEdit::Remove(_)
                        | RuleEdit::Move(..) => None,
                    };
                    let (what, name) = apply(edit, former, &mut rules, &configured)?;
                    let kept = rules.iter().map(|rule| &rule.source);
                    let all: Vec<RuleSource> = configured.iter().chain(kept).cloned().collect();
                    check(&all, &lists).map_err(RuleError::Wrong)?;
                    let revision = last + 1;
                    let entry = AuditEntry::new(None, now, AuditEvent::RulesChanged, actor)
                        .detail("revision", revision)
                        .detail("change", what)
                        .detail("rule", name)
                        .detail("rules", all.len());
                    let row = RuleRevisionRow { revision, rules, changed_at: now, changed_by };
                    w.keep_rules(&row, REVISIONS).await?;
                    w.append_audit(&entry).await?;
                    Ok(revision)
                })
            })
            .await?;
        Ok((revision, self.publish_changes().await?))
    }
}

/// Changes the list; what was done to which rule.
fn apply(
    edit: RuleEdit,
    former: Option<RuleRevisionRow>,
    rules: &mut Vec<KeptRule>,
    configured: &[RuleSource],
) -> Result<(&'static str, String), RuleError> {
    let is_configured = |name: &str| configured.iter().any(|rule| rule.name == name);
    let find = |rules: &[KeptRule], name: &str| match rules.iter().position(|rule| rule.source.name == name) {
        Some(place) => Ok(place),
        None if is_configured(name) => Err(RuleError::Configured(name.to_owned())),
        None => Err(RuleError::Unknown(name.to_owned())),
    };
    let free = |rules: &[KeptRule], name: &str| {
        let is_taken = is_configured(name) || rules.iter().any(|rule| rule.source.name == name);
        if is_taken { Err(RuleError::Taken(name.to_owned())) } else { Ok(()) }
    };
    let place = |rules: &[KeptRule], before: Option<String>| match before {
        Some(before) => find(rules, &before),
        None => Ok(rules.len()),
    };
    Ok(match edit {
        RuleEdit::Add(rule, before) => {
            free(rules, &rule.source.name)?;
            let (place, name) = (place(rules, before)?, rule.source.name.clone());
            rules.insert(place, rule);
            at_most(rules)?;
            ("added", name)
        }
        RuleEdit::AddAll(more) => {
            let name = format!("{} rules", more.len());
            for rule in more {
                free(rules, &rule.source.name)?;
                rules.push(rule);
            }
            at_most(rules)?;
            ("added", name)
        }
        RuleEdit::Restore(revision) => {
            let name = format!("revision {revision}");
            let restored = former.ok_or_else(|| RuleError::Unknown(name.clone()))?.rules;
            let taken = restored.iter().map(|rule| &rule.source.name).find(|name| is_configured(name));
            if let Some(taken) = taken {
                return Err(RuleError::Taken(taken.clone()));
            }
            *rules = restored;
            ("restored", name)
        }
        RuleEdit::Replace(name, rule) => {
            let place = find(rules, &name)?;
            if rule.source.name != name {
                free(rules, &rule.source.name)?;
            }
            if let Some(old) = rules.get_mut(place) {
                *old = rule;
            }
            ("changed", name)
        }
        RuleEdit::Remove(name) => {
            let place = find(rules, &name)?;
            rules.remove(place);
            ("removed", name)
        }
        RuleEdit::Move(name, before) => {
            let from = find(rules, &name)?;
            let rule = rules.remove(from);
            let place = place(rules, before)?;
            rules.insert(place, rule);
            ("moved", name)
        }
    })
}

const fn at_most(rules: &[KeptRule]) -> Result<(), RuleError> {
    if rules.len() > MOST_RULES { Err(RuleError::TooMany) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use countersign_core::snapshot::RuleAction;

    use super::*;

    fn source(name: &str) -> RuleSource {
        RuleSource { name: name.to_owned(), expression: "true".to_owned(), action: RuleAction::Log }
    }

    fn rule(name: &str) -> KeptRule {
        KeptRule { source: source(name), used: RuleUse::Enabled }
    }

    #[test]
    fn an_earlier_list_comes_back_unless_the_configuration_has_a_name_of_it() {
        let mut rules = vec![rule("new")];
        let row = |names: &[&str]| RuleRevisionRow {
            revision: 3,
            rules: names.iter().map(|name| rule(name)).collect(),
            changed_at: countersign_core::time::Timestamp::from_secs(1),
            changed_by: "somebody".to_owned(),
        };
        let taken = apply(RuleEdit::Restore(3), Some(row(&["a", "own"])), &mut rules, &[source("own")]);
        assert!(matches!(taken, Err(RuleError::Taken(name)) if name == "own"));
        assert_eq!(rules, [rule("new")]);
        apply(RuleEdit::Restore(3), Some(row(&["a", "b"])), &mut rules, &[source("own")]).unwrap();
        assert_eq!(rules, [rule("a"), rule("b")]);
        let many = (0..=MOST_RULES).map(|number| rule(&number.to_string())).collect();
        assert!(matches!(apply(RuleEdit::AddAll(many), None, &mut rules, &[]), Err(RuleError::TooMany)));
    }

    #[test]
    fn rules_are_added_moved_replaced_and_removed_in_their_order() {
        let mut rules = Vec::new();
        let own = [source("own")];
        let mut edit = |edit| apply(edit, None, &mut rules, &own).map(|_done| ());
        edit(RuleEdit::Add(rule("a"), None)).unwrap();
        edit(RuleEdit::Add(rule("b"), None)).unwrap();
        edit(RuleEdit::Add(rule("c"), Some("a".to_owned()))).unwrap();
        edit(RuleEdit::Move("a".to_owned(), None)).unwrap();
        edit(RuleEdit::Replace("b".to_owned(), rule("d"))).unwrap();
        for (wrong, said) in [
            (RuleEdit::Add(rule("d"), None), "already"),
            (RuleEdit::Add(rule("own"), None), "already"),
            (RuleEdit::Add(rule("e"), Some("own".to_owned())), "in the configuration"),
            (RuleEdit::Replace("d".to_owned(), rule("c")), "already"),
            (RuleEdit::Remove("own".to_owned()), "in the configuration"),
            (RuleEdit::Remove("b".to_owned()), "no rule"),
            (RuleEdit::AddAll(vec![rule("a"), rule("e")]), "already"),
            (RuleEdit::Restore(7), "no rule"),
        ] {
            let error = edit(wrong.clone()).unwrap_err().to_string();
            assert!(error.contains(said), "{wrong:?}: {error}");
        }
        edit(RuleEdit::Remove("c".to_owned())).unwrap();
        let names: Vec<&str> = rules.iter().map(|rule| rule.source.name.as_str()).collect();
        assert_eq!(names, ["d", "a"]);
    }
}
