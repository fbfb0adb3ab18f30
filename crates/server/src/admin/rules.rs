//! The rules of the doors: GET and POST `/rules`, PUT and DELETE `/rules/:name`, POST `/rules/:name/move`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use countersign_api::ErrorBody;
use countersign_api::wire::rules::{MoveRuleRequest, RuleBody, RuleList, RuleRequest, RulesChanged};
use countersign_authority::publish::Applied;
use countersign_authority::rules::kept::{KeptRule, RuleCheck, RuleEdit, RuleError, RuleUse};
use countersign_authority::{Administer, Authorized, View};
use countersign_core::snapshot::{BlockResponse, RuleAction, RuleSource};
use http::StatusCode;

use super::quarantine::wire_applied;
use crate::failure::{Failure, Outcome};
use crate::fields::Fields;
use crate::request::{Allowed, JsonFields, Segment};
use crate::scopes::{RulesRead, RulesWrite};
use crate::state::ControlPlane;

/// The longest name, expression and body.
const NAME: usize = 120;
pub(crate) const EXPRESSION: usize = 4096;
const BODY: usize = 4096;

/// Names that paths below `/rules` have: a rule that is called so could not be told from them.
const TAKEN: [&str; 4] = ["import", "observed", "revisions", "test"];

/// What a body is unless somebody says otherwise.
const TEXT: &str = "text/plain; charset=utf-8";

/// The rules, those of the configuration first.
#[utoipa::path(get, path = "/api/v1/rules", tag = "rules", operation_id = "listRules",
    responses((status = 200, body = RuleList)), security(("session" = []), ("apiToken" = ["rules:read"])))]
pub(crate) async fn list(
    State(state): State<ControlPlane>,
    Allowed(_by, _): Allowed<View, RulesRead>,
) -> Outcome<Json<RuleList>> {
    let rules = state.authority.kept_rules().await.map_err(|error| Failure::internal(&error))?;
    let configured = rules.configured.iter().map(|rule| wire_rule(rule, true, "configuration"));
    let kept =
        rules.kept.iter().map(|rule| wire_rule(&rule.source, rule.used == RuleUse::Enabled, "database"));
    Ok(Json(RuleList { revision: rules.revision, rules: configured.chain(kept).collect() }))
}

/// Adds a rule, which every door asks at once. All rules together have to be right. Not for whoever is bound to a
/// tenant.
#[utoipa::path(post, path = "/api/v1/rules", tag = "rules", operation_id = "createRule",
    request_body = RuleRequest,
    responses(
        (status = 201, body = RulesChanged),
        (status = 404, body = ErrorBody, description = "There is no rule that `before` names, or this process has no rule language"),
        (status = 409, body = ErrorBody,
            description = "`RULE_TAKEN`: the name is taken; `RULE_CONFIGURED`: `before` is the configuration's; `RULES_CHANGED`: by somebody else meanwhile; `TOO_MANY_RULES`: there are 200"),
    ), security(("session" = []), ("apiToken" = ["rules:write"])))]
pub(crate) async fn create(
    State(state): State<ControlPlane>,
    Allowed(by, _): Allowed<Administer, RulesWrite>,
    JsonFields(mut fields): JsonFields,
) -> Outcome<(StatusCode, Json<RulesChanged>)> {
    by.covers_all()?;
    let before = fields.text("before", NAME);
    let (rule, seen) = read(fields)?;
    let changed = edit(&state, &by, (RuleEdit::Add(rule, before), seen)).await?;
    Ok((StatusCode::CREATED, changed))
}

/// Puts another rule in the place of one. Not for whoever is bound to a tenant.
#[utoipa::path(put, path = "/api/v1/rules/{id}", tag = "rules", operation_id = "replaceRule",
    params(("id" = String, Path, description = "the rule's name")), request_body = RuleRequest,
    responses(
        (status = 200, body = RulesChanged),
        (status = 409, body = ErrorBody, description = "`RULE_CONFIGURED`, `RULE_TAKEN` or `RULES_CHANGED`"),
    ), security(("session" = []), ("apiToken" = ["rules:write"])))]
pub(crate) async fn replace(
    State(state): State<ControlPlane>,
    Allowed(by, _): Allowed<Administer, RulesWrite>,
    Segment(name): Segment,
    JsonFields(fields): JsonFields,
) -> Outcome<Json<RulesChanged>> {
    by.covers_all()?;
    let (rule, seen) = read(fields)?;
    edit(&state, &by, (RuleEdit::Replace(name, rule), seen)).await
}

/// Removes a rule. Not for whoever is bound to a tenant.
#[utoipa::path(delete, path = "/api/v1/rules/{id}", tag = "rules", operation_id = "deleteRule",
    params(("id" = String, Path, description = "the rule's name")),
    responses(
        (status = 200, body = RulesChanged),
        (status = 409, body = ErrorBody, description = "`RULE_CONFIGURED`: it is removed there"),
    ), security(("session" = []), ("apiToken" = ["rules:write"])))]
pub(crate) async fn remove(
    State(state): State<ControlPlane>,
    Allowed(by, _): Allowed<Administer, RulesWrite>,
    Segment(name): Segment,
) -> Outcome<Json<RulesChanged>> {
    by.covers_all()?;
    edit(&state, &by, (RuleEdit::Remove(name), None)).await
}

/// Moves a rule before another one, or to the end. Not for whoever is bound to a tenant.
#[utoipa::path(post, path = "/api/v1/rules/{id}/move", tag = "rules", operation_id = "moveRule",
    params(("id" = String, Path, description = "the rule's name")), request_body = MoveRuleRequest,
    responses(
        (status = 200, body = RulesChanged),
        (status = 409, body = ErrorBody, description = "`RULE_CONFIGURED`: it is the configuration's"),
    ), security(("session" = []), ("apiToken" = ["rules:write"])))]
pub(crate) async fn relocate(
    State(state): State<ControlPlane>,
    Allowed(by, _): Allowed<Administer, RulesWrite>,
    Segment(name): Segment,
    JsonFields(mut fields): JsonFields,
) -> Outcome<Json<RulesChanged>> {
    by.covers_all()?;
    let before = fields.text("before", NAME);
    fields.refuse_unknown();
    fields.finish()?;
    edit(&state, &by, (RuleEdit::Move(name, before), None)).await
}

/// A rule of a request, and the revision that its author saw.
fn read(mut fields: Fields) -> Outcome<(KeptRule, Option<u64>)> {
    let seen = fields.number("revision", 0..=i64::MAX).and_then(|seen| u64::try_from(seen).ok());
    let status = fields.number("status", 400..=599).and_then(|status| u16::try_from(status).ok());
    let used = match fields.boolean("enabled") {
        Some(false) => RuleUse::Disabled,
        Some(true) | None => RuleUse::Enabled,
    };
    Ok((rule(fields, status, used)?, seen))
}

/// A rule of a request or a form.
pub(crate) fn rule(mut fields: Fields, status: Option<u16>, used: RuleUse) -> Outcome<KeptRule> {
    let name = fields.required_text("name", NAME);
    if TAKEN.contains(&name.as_str()) {
        fields.problem("name", "is a word of the API");
    }
    let expression = fields.required_block("expression", EXPRESSION);
    let body = fields.block("body", BODY);
    let media = fields.text("contentType", NAME).unwrap_or_else(|| TEXT.to_owned());
    let response = BlockResponse { status: status.unwrap_or(403), body: body.map(|body| (body, media)) };
    let action = fields.read("action", |text| match text {
        "block" => Ok(None),
        "log" => Ok(Some(RuleAction::Log)),
        "skip" => Ok(Some(RuleAction::Skip)),
        _ => Err("must be block, log or skip"),
    });
    fields.refuse_unknown();
    fields.finish()?;
    let action = action.flatten().unwrap_or(RuleAction::Block(response));
    Ok(KeptRule { source: RuleSource { name, expression, action }, used })
}

pub(super) async fn edit(
    state: &ControlPlane,
    by: &Authorized<Administer>,
    edit: (RuleEdit, Option<u64>),
) -> Outcome<Json<RulesChanged>> {
    let (revision, applied) = change(state, by, edit).await?;
    Ok(Json(RulesChanged { revision, applied_edges: wire_applied(applied) }))
}

/// Changes the rules, once all of them together are right.
///
/// # Errors
/// Fails closed: nothing is changed where nobody knows the language.
pub(crate) async fn change(
    state: &ControlPlane,
    by: &Authorized<Administer>,
    edit: (RuleEdit, Option<u64>),
) -> Outcome<(u64, Applied)> {
    let bench = state.shared_rule_bench().ok_or_else(|| Failure::not_found("rule language"))?;
    let check: RuleCheck = Arc::new(move |rules, lists| bench.check(rules, lists).map(drop));
    Ok(state.authority.edit_rules(by, edit, check).await?)
}

impl From<RuleError> for Failure {
    fn from(error: RuleError) -> Self {
        let conflict = |code, said| Self::new(StatusCode::CONFLICT, code, said);
        match error {
            RuleError::Forbidden(forbidden) => forbidden.into(),
            RuleError::Unknown(_) => Self::not_found("rule"),
            RuleError::Configured(_) => {
                conflict("RULE_CONFIGURED", "The rule is in the configuration, and is changed there")
            }
            RuleError::Taken(_) => conflict("RULE_TAKEN", "There is a rule of this name"),
            RuleError::TooMany => conflict("TOO_MANY_RULES", "There are as many rules as there can be"),
            RuleError::Changed => conflict("RULES_CHANGED", "Somebody changed the rules meanwhile"),
            RuleError::Wrong(faults) => Self::invalid_field("expression", faults.join("\n")),
            RuleError::Store(error) => Self::internal(&error),
        }
    }
}

pub(super) fn wire_rule(rule: &RuleSource, enabled: bool, source: &str) -> RuleBody {
    let (action, response) = match &rule.action {
        RuleAction::Block(response) => ("block", Some(response)),
        RuleAction::Log => ("log", None),
        RuleAction::Skip => ("skip", None),
    };
    let (body, content_type) = response.and_then(|response| response.body.clone()).unzip();
    RuleBody {
        name: rule.name.clone(),
        expression: rule.expression.clone(),
        action: action.to_owned(),
        status: response.map(|response| response.status),
        body,
        content_type,
        enabled,
        source: source.to_owned(),
    }
}
