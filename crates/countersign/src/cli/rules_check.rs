//! `countersign rules check`: what is wrong with rules, and what is doubtful.

use countersign_edge::rules::{DeviceCas, RuleSet};
use serde_json::{Value, json};

use super::failure::Failure;
use super::output::{print, print_json};
use super::rules::from_file;
use super::rules_arguments::RulesCheckArguments;
use crate::config::{ConfigError, Origin, Problem, Resolved};

/// Reads the file and says what it comes to. Doubts are no failure.
pub(super) fn run(arguments: &RulesCheckArguments) -> Result<(), Failure> {
    let loaded = match from_file(&arguments.file) {
        Err(ConfigError::Problems(problems)) if arguments.json => {
            let listed: Vec<Value> = problems.iter().map(as_json).collect();
            print_json(&json!({ "right": false, "problems": listed }))?;
            return Err(ConfigError::Problems(problems).into());
        }
        read => read?,
    };
    let Resolved { rules, lists, .. } = loaded.resolved;
    let cas = if arguments.several_cas { DeviceCas::Several } else { DeviceCas::One };
    let doubts = RuleSet::compile(&rules, &lists).map(|set| set.lints(cas)).unwrap_or_default();
    if arguments.json {
        let listed: Vec<Value> = doubts
            .iter()
            .map(|lint| json!({ "rule": lint.rule, "code": lint.code.as_str(), "message": lint.code.message() }))
            .collect();
        let (rules, lists) = (rules.len(), lists.len());
        return Ok(print_json(&json!({ "right": true, "rules": rules, "lists": lists, "doubts": listed }))?);
    }
    let mut text = format!("The rules are right: {} of them, {} lists.\n", rules.len(), lists.len());
    text.extend(doubts.iter().map(|lint| format!("doubt: {lint}\n")));
    Ok(print(&text)?)
}

fn as_json(problem: &Problem) -> Value {
    let line = match &problem.origin {
        Origin::File { line, .. } => Some(*line),
        Origin::Flag(_) | Origin::Variable(_) | Origin::Default => None,
    };
    json!({ "key": problem.key, "line": line, "message": problem.message })
}
