//! `countersign rules test`: what the rules say about a request, and why.

use anyhow::Context as _;
use countersign_core::ids::RequestId;
use countersign_core::time::{Clock as _, SystemClock};
use countersign_edge::rules::{Outcome, RuleSet, RuleTrace, TraceNode, Verdict};
use serde_json::{Value, json};

use super::failure::Failure;
use super::output::{note, print, print_json, warn};
use super::rules::from_file;
use super::rules_arguments::RulesTestArguments;
use super::rules_request::{TestCertificate, TestRequest, facts_of};
use super::run::loaded;
use crate::config::Resolved;

/// How wide the column of expressions is at most.
const WIDEST: usize = 100;

/// Works every rule out and shows it.
pub(super) fn run(arguments: &RulesTestArguments) -> Result<(), Failure> {
    let Resolved { rules, lists, .. } = match &arguments.rules {
        Some(file) => from_file(file)?.resolved,
        None => loaded(arguments.config.clone())?.resolved,
    };
    if rules.is_empty() {
        warn("there are no rules: name a file with --rules or --config");
    }
    let set = RuleSet::compile(&rules, &lists).map_err(|errors| {
        let rendered: Vec<String> = errors.iter().map(ToString::to_string).collect();
        Failure::from(anyhow::Error::msg(rendered.join("\n")))
    })?;
    let now = arguments.at.unwrap_or_else(|| SystemClock.now());
    let request = TestRequest::read(&arguments.request, &arguments.headers).map_err(Failure::bad_usage)?;
    let standing = arguments.standing.map(Into::into);
    let certificate = arguments.cert.as_deref().map(|file| TestCertificate::read(file, standing, now));
    let certificate = certificate.transpose().map_err(Failure::bad_usage)?;
    if certificate.is_some() && arguments.standing.is_none() {
        note("The certificate is taken for one of ours by its dates; --standing says otherwise.");
    }
    let at = (arguments.source, arguments.port);
    let facts = facts_of(&request, certificate.as_ref(), (RequestId::random(), now), at);
    let (verdict, traces) = (set.evaluate(&facts), set.trace(&facts));
    if arguments.json {
        print_json(&as_json(&verdict, &traces))?;
    } else {
        print(&text(&verdict, &traces)).context("print the rules")?;
    }
    match verdict.outcome {
        Outcome::Allowed => Ok(()),
        Outcome::Blocked { rule, .. } => Err(Failure::bad_answer(format!("blocked by rule {rule:?}"))),
    }
}

/// Rules with what became of them: whether they are asked at all is decided by those before.
fn asked(traces: &[RuleTrace]) -> impl Iterator<Item = (&RuleTrace, &'static str)> {
    let mut is_over = false;
    traces.iter().map(move |trace| {
        let became = match (is_over, trace.matched) {
            (true, _) => "not asked, an earlier rule ends the evaluation",
            (false, true) => "matches",
            (false, false) => "does not match",
        };
        is_over |= trace.matched && trace.action != "log";
        (trace, became)
    })
}

fn text(verdict: &Verdict<'_>, traces: &[RuleTrace]) -> String {
    let mut text = String::new();
    for (trace, became) in asked(traces) {
        let mut lines = Vec::new();
        lay_out(&trace.root, 1, &mut lines);
        let widths = lines.iter().map(|(expression, _)| expression.chars().count());
        let width = widths.filter(|width| *width <= WIDEST).max().unwrap_or_default();
        text.push_str(&format!("rule {:?} ({}): {became}\n", trace.rule, trace.action));
        text.extend(lines.iter().map(|(expression, value)| format!("{expression:width$}  {value}\n")));
        text.push('\n');
    }
    for rule in &verdict.logged {
        text.push_str(&format!("Logged by rule {rule:?}.\n"));
    }
    match verdict.outcome {
        Outcome::Allowed => text.push_str("Let through.\n"),
        Outcome::Blocked { rule, response } => {
            text.push_str(&format!("Blocked by rule {rule:?} with status {}.\n", response.status));
        }
    }
    text
}

/// A line for every part, indented below the whole, and its value.
fn lay_out<'t>(node: &'t TraceNode, depth: usize, lines: &mut Vec<(String, &'t str)>) {
    lines.push((format!("{}{}", "  ".repeat(depth), node.text), &node.value));
    for part in &node.parts {
        lay_out(part, depth.saturating_add(1), lines);
    }
}

fn as_json(verdict: &Verdict<'_>, traces: &[RuleTrace]) -> Value {
    let rules: Vec<Value> = asked(traces)
        .map(|(trace, became)| {
            json!({ "rule": trace.rule, "action": trace.action, "matched": trace.matched, "became": became,
                "expression": node_as_json(&trace.root) })
        })
        .collect();
    let (outcome, rule, status) = match verdict.outcome {
        Outcome::Allowed => ("allowed", None, None),
        Outcome::Blocked { rule, response } => ("blocked", Some(rule), Some(response.status)),
    };
    json!({ "outcome": outcome, "rule": rule, "status": status, "logged": verdict.logged, "rules": rules })
}

fn node_as_json(node: &TraceNode) -> Value {
    let parts: Vec<Value> = node.parts.iter().map(node_as_json).collect();
    json!({ "text": node.text, "value": node.value, "parts": parts })
}
