//! What the rules were and what they would do: GET `/rules/revisions` and `/rules/revisions/:revision`, POST
//! `…/restore`, GET `/rules/observed`.

use axum::Json;
use axum::extract::State;
use countersign_api::ErrorBody;
use countersign_api::wire::rules::{
    ObservedRuleBody, ObservedRuleList, RestoreRulesRequest, RuleList, RuleRevisionBody, RuleRevisionList,
    RulesChanged,
};
use countersign_authority::rules::kept::{RuleEdit, RuleRevisionRow, RuleUse};
use countersign_authority::{Administer, View};

use super::rules::{edit, wire_rule};
use crate::failure::{Failure, Outcome};
use crate::request::{Allowed, JsonFields, Segment, named};
use crate::scopes::{RulesRead, RulesWrite};
use crate::state::ControlPlane;

/// The revisions of the rules in the database, the present one and the 100 before it. Not for whoever is bound to a
/// tenant.
#[utoipa::path(get, path = "/api/v1/rules/revisions", tag = "rules", operation_id = "listRuleRevisions",
    responses((status = 200, body = RuleRevisionList)),
    security(("session" = []), ("apiToken" = ["rules:read"])))]
pub(crate) async fn list(
    State(state): State<ControlPlane>,
    Allowed(by, _): Allowed<View, RulesRead>,
) -> Outcome<Json<RuleRevisionList>> {
    let rows = state.authority.rule_revisions(&by).await?;
    Ok(Json(RuleRevisionList { revisions: rows.into_iter().map(wire_revision).collect() }))
}

fn wire_revision(row: RuleRevisionRow) -> RuleRevisionBody {
    RuleRevisionBody {
        revision: row.revision,
        changed_at: row.changed_at,
        changed_by: row.changed_by,
        names: row.rules.into_iter().map(|rule| rule.source.name).collect(),
    }
}

/// The rules of the database as they were at a revision. Not for whoever is bound to a tenant.
#[utoipa::path(get, path = "/api/v1/rules/revisions/{id}", tag = "rules", operation_id = "getRuleRevision",
    params(("id" = u64, Path, description = "the revision")),
    responses((status = 200, body = RuleList)),
    security(("session" = []), ("apiToken" = ["rules:read"])))]
pub(crate) async fn get(
    State(state): State<ControlPlane>,
    Allowed(by, _): Allowed<View, RulesRead>,
    Segment(revision): Segment,
) -> Outcome<Json<RuleList>> {
    by.covers_all()?;
    let found = state.authority.rule_revision(&by, named(&revision, "revision")?).await?;
    let row = found.ok_or_else(|| Failure::not_found("revision"))?;
    let rules = row.rules.iter();
    let rules = rules.map(|rule| wire_rule(&rule.source, rule.used == RuleUse::Enabled, "database"));
    Ok(Json(RuleList { revision: row.revision, rules: rules.collect() }))
}

/// Goes back to the rules of an earlier revision, as a new one; all rules together have to be right. Not for whoever is
/// bound to a tenant.
#[utoipa::path(post, path = "/api/v1/rules/revisions/{id}/restore", tag = "rules", operation_id = "restoreRules",
    params(("id" = u64, Path, description = "the revision")), request_body = RestoreRulesRequest,
    responses(
        (status = 200, body = RulesChanged),
        (status = 409, body = ErrorBody,
            description = "`RULE_TAKEN`: the configuration has a name of it now; `RULES_CHANGED`: by somebody else meanwhile"),
    ), security(("session" = []), ("apiToken" = ["rules:write"])))]
pub(crate) async fn restore(
    State(state): State<ControlPlane>,
    Allowed(by, _): Allowed<Administer, RulesWrite>,
    Segment(revision): Segment,
    JsonFields(mut fields): JsonFields,
) -> Outcome<Json<RulesChanged>> {
    by.covers_all()?;
    let seen = fields.number("revision", 0..=i64::MAX).and_then(|seen| u64::try_from(seen).ok());
    fields.refuse_unknown();
    fields.finish()?;
    edit(&state, &by, (RuleEdit::Restore(named(&revision, "revision")?), seen)).await
}

/// How many devices each rule would have blocked in the last seven days where rules are observed. Whoever is bound to a
/// tenant hears of its devices alone; which they are, `/rollout/blocked?code=RULE_BLOCKED` lists.
#[utoipa::path(get, path = "/api/v1/rules/observed", tag = "rules", operation_id = "listObservedRules",
    responses((status = 200, body = ObservedRuleList)),
    security(("session" = []), ("apiToken" = ["rules:read"])))]
pub(crate) async fn observed(
    State(state): State<ControlPlane>,
    Allowed(by, _): Allowed<View, RulesRead>,
) -> Outcome<Json<ObservedRuleList>> {
    let (since, found) =
        state.authority.observed_rules(&by).await.map_err(|error| Failure::internal(&error))?;
    let wire = |row: countersign_authority::rollout::ObservedRule| ObservedRuleBody {
        rule: row.rule,
        devices: row.devices,
        last_at: row.at,
    };
    Ok(Json(ObservedRuleList { since, rules: found.into_iter().map(wire).collect() }))
}
