//! Rules that people keep in the database, in revisions of the whole list.

use countersign_core::snapshot::{BlockResponse, RuleAction, RuleSource, SnapshotVersion};
use countersign_core::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::LIST_LIMIT;
use super::spelled::spelled_enum;
use crate::error::StoreError;
use crate::row::{FromRow, Row};
use crate::statement::sql;
use crate::transaction::{Reading, Writing};

const TABLE: &str = "rule_revisions";

spelled_enum! {
    /// Whether doors ask a rule.
    RuleUse {
        /// They do.
        Enabled => "enabled",
        /// They do not; it is kept, and has to be right all the same.
        Disabled => "disabled",
    }
}

/// A rule that somebody keeps here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptRule {
    /// The rule.
    pub source: RuleSource,
    /// Whether doors ask it.
    pub used: RuleUse,
}

/// The list after a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleRevisionRow {
    /// Its number, from 1.
    pub revision: u64,
    /// The rules, in order.
    pub rules: Vec<KeptRule>,
    /// When it was changed.
    pub changed_at: Timestamp,
    /// Who did.
    pub changed_by: String,
}

/// A rule as it is stored.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Stored {
    name: String,
    expression: String,
    action: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    body: Option<(String, String)>,
    used: String,
}

impl Stored {
    fn of(rule: &KeptRule) -> Self {
        let (action, status, body) = match &rule.source.action {
            RuleAction::Block(response) => ("block", Some(response.status), response.body.clone()),
            RuleAction::Log => ("log", None, None),
            RuleAction::Skip => ("skip", None, None),
        };
        Self {
            name: rule.source.name.clone(),
            expression: rule.source.expression.clone(),
            action: action.to_owned(),
            status,
            body,
            used: rule.used.as_str().to_owned(),
        }
    }

    /// Fails closed: `None` for what nobody wrote here.
    fn read(self) -> Option<KeptRule> {
        let action = match (self.action.as_str(), self.status) {
            ("block", Some(status)) => RuleAction::Block(BlockResponse { status, body: self.body }),
            ("log", None) => RuleAction::Log,
            ("skip", None) => RuleAction::Skip,
            _ => return None,
        };
        let source = RuleSource { name: self.name, expression: self.expression, action };
        Some(KeptRule { source, used: self.used.parse().ok()? })
    }
}

impl FromRow for RuleRevisionRow {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        let text = row.text("rules")?;
        let read = || -> Option<Vec<KeptRule>> {
            serde_json::from_str::<Vec<Stored>>(&text).ok()?.into_iter().map(Stored::read).collect()
        };
        Ok(Self {
            revision: row.number("revision")?,
            rules: read().ok_or_else(|| row.corrupt("rules", &text))?,
            changed_at: row.time("changed_at")?,
            changed_by: row.text("changed_by")?,
        })
    }
}

impl Reading<'_> {
    /// The list as it is now; `None`: nobody ever kept a rule here.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn kept_rules(&mut self) -> Result<Option<RuleRevisionRow>, StoreError> {
        Ok(self.rule_revisions(1).await?.pop())
    }

    /// Its last revisions, the newest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn rule_revisions(&mut self, limit: u32) -> Result<Vec<RuleRevisionRow>, StoreError> {
        sql(TABLE, "SELECT * FROM rule_revisions ORDER BY revision DESC LIMIT $1")
            .bind(limit.clamp(1, LIST_LIMIT))
            .all(&mut self.connection)
            .await
    }

    /// The list as it was at a revision; `None`: there was none, or it is not kept any more.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn rule_revision(&mut self, revision: u64) -> Result<Option<RuleRevisionRow>, StoreError> {
        sql(TABLE, "SELECT * FROM rule_revisions WHERE revision = $1")
            .bind(revision)
            .optional(&mut self.connection)
            .await
    }

    /// The list if it changed after `epoch`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn kept_rules_if_changed_since(
        &mut self,
        epoch: u64,
    ) -> Result<Option<Vec<KeptRule>>, StoreError> {
        let changed: Option<RuleRevisionRow> =
            sql(TABLE, "SELECT * FROM rule_revisions WHERE trust_epoch > $1 ORDER BY revision DESC LIMIT 1")
                .bind(epoch)
                .optional(&mut self.connection)
                .await?;
        Ok(changed.map(|row| row.rules))
    }
}

impl Writing<'_> {
    /// Keeps the list, and the `kept` revisions before it, from the epoch on that it raises.
    ///
    /// # Errors
    /// [`StoreError`], also when there is such a revision already.
    pub async fn keep_rules(
        &mut self,
        row: &RuleRevisionRow,
        kept: u64,
    ) -> Result<SnapshotVersion, StoreError> {
        let version = self.raise_epoch().await?;
        let stored: Vec<Stored> = row.rules.iter().map(Stored::of).collect();
        let text = serde_json::to_string(&stored)
            .map_err(|error| StoreError::corrupt(TABLE, "rules", &error.to_string()))?;
        sql(
            TABLE,
            "INSERT INTO rule_revisions (revision, rules, changed_at, changed_by, trust_epoch)
             VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(row.revision)
        .bind(text)
        .bind(row.changed_at)
        .bind(row.changed_by.as_str())
        .bind(version.epoch)
        .run(&mut self.connection)
        .await?;
        sql(TABLE, "DELETE FROM rule_revisions WHERE revision < $1")
            .bind(row.revision.saturating_sub(kept))
            .run(&mut self.connection)
            .await?;
        Ok(version)
    }
}
