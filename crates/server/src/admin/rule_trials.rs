//! Rules before they are in force: POST `/rules/test` and POST `/rules/import`.

use std::net::{IpAddr, Ipv4Addr};

use axum::Json;
use axum::extract::State;
use countersign_api::ErrorBody;
use countersign_api::wire::rules::{
    RuleBlock, RuleImport, RuleImportRequest, RuleLeftOut, RuleTest, RuleTestRequest, TestedPart, TestedRule,
};
use countersign_authority::rules::kept::{KeptRule, RuleEdit, RuleUse};
use countersign_authority::{Administer, View};
use countersign_core::snapshot::{BlockResponse, RuleAction, RuleSource, Standing, TrustSnapshot};

use super::rules::{EXPRESSION, change, wire_rule};
use crate::failure::{Failure, Outcome};
use crate::request::{Allowed, JsonFields};
use crate::rule_bench::{RuleBench, Trial, TriedRequest, TriedRule};
use crate::scopes::{RulesRead, RulesWrite};
use crate::state::ControlPlane;

/// What the tried rule is called among the others.
pub(crate) const TRIED: &str = "the rule you try";

/// How a certificate may stand where rules are tried.
pub(crate) const STANDINGS: [(&str, &str, Standing); 5] = [
    ("valid", "in good standing", Standing::Valid),
    ("revoked", "revoked", Standing::Revoked),
    ("quarantined", "of a quarantined device", Standing::Quarantined),
    ("expired", "expired", Standing::Expired),
    ("foreign", "of somebody else’s CA", Standing::Foreign),
];

/// The standing that a word means.
pub(crate) fn standing(word: &str) -> Option<Standing> {
    STANDINGS.iter().find(|(one, ..)| *one == word).map(|(.., standing)| *standing)
}

/// Nothing came of trying.
pub(crate) enum Untried {
    /// The expression is no rule: its faults, each with a caret under the place.
    Wrong(Vec<String>),
    /// The request or the certificates cannot be read, in a sentence.
    Unfit(String),
}

/// Works an expression out, as a blocking rule before those in force, and says what is doubtful about it.
pub(crate) fn attempt(
    bench: &dyn RuleBench,
    snapshot: &TrustSnapshot,
    expression: &str,
    on: &TriedRequest,
) -> Result<(Trial, Vec<String>), Untried> {
    let mut rules = Vec::new();
    if !expression.is_empty() {
        let action = RuleAction::Block(BlockResponse { status: 403, body: None });
        rules.push(RuleSource { name: TRIED.to_owned(), expression: expression.to_owned(), action });
    }
    let doubts = bench.check(&rules, &snapshot.lists).map_err(Untried::Wrong)?;
    rules.extend(snapshot.rules.iter().cloned());
    let trial = bench.attempt(&rules, &snapshot.lists, on).map_err(Untried::Unfit)?;
    Ok((trial, doubts))
}

/// Rules, and whether a door asks each: one that matches ends the evaluation, unless it only writes down.
pub(crate) fn asked(rules: &[TriedRule]) -> impl Iterator<Item = (&TriedRule, bool)> {
    let mut is_over = false;
    rules.iter().map(move |rule| {
        let is_asked = !is_over;
        is_over |= rule.matches && rule.action != "log";
        (rule, is_asked)
    })
}

/// Says what the doors would do with a request, by the rules in force and one that is tried before them. Nothing
/// changes.
#[utoipa::path(post, path = "/api/v1/rules/test", tag = "rules", operation_id = "testRules",
    request_body = RuleTestRequest,
    responses(
        (status = 200, body = RuleTest),
        (status = 404, body = ErrorBody, description = "This process has no rule language"),
    ), security(("session" = []), ("apiToken" = ["rules:read"])))]
pub(crate) async fn test(
    State(state): State<ControlPlane>,
    Allowed(_by, _): Allowed<View, RulesRead>,
    JsonFields(mut fields): JsonFields,
) -> Outcome<Json<RuleTest>> {
    let expression = fields.block("expression", EXPRESSION).unwrap_or_default();
    let on = TriedRequest {
        request: fields.required_block("request", 16 << 10),
        source: fields.parsed("source").unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        chain: fields.block("certificate", 64 << 10).unwrap_or_default(),
        standing: fields.read("standing", |word| standing(word).ok_or("is none of the words")),
    };
    fields.refuse_unknown();
    fields.finish()?;
    let bench = state.rule_bench().ok_or_else(|| Failure::not_found("rule language"))?;
    match attempt(bench, &state.authority.snapshot(), expression.trim(), &on) {
        Ok((trial, doubts)) => Ok(Json(wire_trial(trial, doubts))),
        Err(Untried::Wrong(faults)) => Err(Failure::invalid_field("expression", faults.join("\n"))),
        Err(Untried::Unfit(problem)) => Err(Failure::invalid_field("request", problem)),
    }
}

fn wire_trial(trial: Trial, doubts: Vec<String>) -> RuleTest {
    let part = |(depth, text, value): &(usize, String, String)| TestedPart {
        depth: *depth,
        text: text.clone(),
        value: value.clone(),
    };
    let rules = asked(&trial.rules).map(|(rule, is_asked)| TestedRule {
        name: rule.name.clone(),
        action: rule.action.to_owned(),
        asked: is_asked,
        matches: rule.matches,
        parts: rule.parts.iter().map(part).collect(),
    });
    let rules = rules.collect();
    let blocked = trial.blocked.map(|(rule, status)| RuleBlock { rule, status });
    RuleTest { blocked, logged: trial.logged, doubts, rules }
}

/// Says Cloudflare's custom rules as rules of ours, as far as they can be said here, and keeps them at the end if
/// that is wanted. Not for whoever is bound to a tenant.
#[utoipa::path(post, path = "/api/v1/rules/import", tag = "rules", operation_id = "importRules",
    request_body = RuleImportRequest,
    responses(
        (status = 200, body = RuleImport),
        (status = 404, body = ErrorBody, description = "This process has no rule language"),
        (status = 409, body = ErrorBody, description = "`RULE_TAKEN`, `RULES_CHANGED` or `TOO_MANY_RULES`: none is kept"),
    ), security(("session" = []), ("apiToken" = ["rules:write"])))]
pub(crate) async fn import(
    State(state): State<ControlPlane>,
    Allowed(by, _): Allowed<Administer, RulesWrite>,
    JsonFields(mut fields): JsonFields,
) -> Outcome<Json<RuleImport>> {
    by.covers_all()?;
    let ruleset = fields.take("ruleset");
    if ruleset.is_none() {
        fields.problem("ruleset", "is required");
    }
    let keep = fields.boolean("keep") == Some(true);
    let seen = fields.number("revision", 0..=i64::MAX).and_then(|seen| u64::try_from(seen).ok());
    fields.refuse_unknown();
    fields.finish()?;
    let bench = state.rule_bench().ok_or_else(|| Failure::not_found("rule language"))?;
    let json = ruleset.unwrap_or_default().to_string();
    let imported = bench.import(json.as_bytes(), &state.authority.snapshot().lists);
    let imported = imported.map_err(|problem| Failure::invalid_field("ruleset", problem))?;
    let rules = imported.rules.iter().map(|(rule, is_used)| wire_rule(rule, *is_used, "database")).collect();
    let left_out = imported.left_out.into_iter().map(|(name, why)| RuleLeftOut { name, why }).collect();
    let kept: Vec<KeptRule> = imported
        .rules
        .into_iter()
        .map(|(source, is_used)| {
            let used = if is_used { RuleUse::Enabled } else { RuleUse::Disabled };
            KeptRule { source, used }
        })
        .collect();
    let revision = if keep && !kept.is_empty() {
        Some(change(&state, &by, (RuleEdit::AddAll(kept), seen)).await?.0)
    } else {
        None
    };
    Ok(Json(RuleImport { rules, left_out, revision }))
}
