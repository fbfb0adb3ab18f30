//! `countersign rules import`, and what `cloudflare import-rules` shares with it: Cloudflare's rules as
//! rules of ours.

use anyhow::Context as _;
use countersign_api::wire::rules::{RuleImport, RuleImportRequest};
use countersign_ca::upstream::{ImportedRules, NotImported, import_rules};
use countersign_core::snapshot::{RuleAction, RuleList, RuleSource};
use countersign_edge::rules::{RuleError, RuleSet};
use http::Method;
use serde_json::{Value, json};
use toml::Table;

use super::admin_server::AdminServer;
use super::failure::Failure;
use super::output::{print, print_json, warn};
use super::rules::from_file;
use super::rules_arguments::RulesImportArguments;

/// Prints what can be said here, and says what cannot.
pub(super) fn run(arguments: &RulesImportArguments) -> Result<(), Failure> {
    if arguments.keep {
        return keep(arguments);
    }
    let lists = match &arguments.lists {
        Some(file) => from_file(file)?.resolved.lists,
        None => Vec::new(),
    };
    let json = fs_err::read(&arguments.file).context("read the ruleset")?;
    show(&json, &lists, if arguments.server.json { Format::Json } else { Format::Toml })
}

/// Has a running server keep what can be said here.
fn keep(arguments: &RulesImportArguments) -> Result<(), Failure> {
    let text = fs_err::read(&arguments.file).context("read the ruleset")?;
    let ruleset = serde_json::from_slice(&text).context("read the ruleset as JSON")?;
    let body = json!(RuleImportRequest { ruleset, keep: Some(true), revision: None }).to_string();
    let flags = &arguments.server;
    let imported: RuleImport = AdminServer::of(flags)?.ask(Method::POST, "/rules/import", &body)?;
    for left in &imported.left_out {
        warn(&format!("left out {:?}: {}", left.name, left.why));
    }
    if flags.json {
        return Ok(print_json(&imported)?);
    }
    let count = imported.rules.len();
    Ok(match imported.revision {
        Some(revision) => print(&format!("revision {revision} has {count} rules more\n")),
        None => print("nothing changed\n"),
    }?)
}

/// How rules are printed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// `[[rule]]` entries.
    Toml,
    /// JSON.
    Json,
}

/// Prints Cloudflare's JSON as rules of ours.
pub(super) fn show(json: &[u8], lists: &[RuleList], format: Format) -> Result<(), Failure> {
    let read = import_rules(json).context("read the ruleset");
    let imported = read.map_err(|error| {
        Failure::from(error).hint("expected is an answer of the API, a ruleset or a list of rules, in JSON")
    })?;
    let imported = readable(imported, lists);
    for left in &imported.left_out {
        warn(&format!("left out {:?}: {}", left.name, left.why));
    }
    let printed = match format {
        Format::Json => print_json(&as_json(&imported)),
        Format::Toml => print(&text(&imported)?),
    };
    Ok(printed?)
}

/// Leaves out what the rule language here cannot read.
pub(crate) fn readable(imported: ImportedRules, lists: &[RuleList]) -> ImportedRules {
    let ImportedRules { rules, mut left_out } = imported;
    let mut kept = Vec::with_capacity(rules.len());
    for (rule, enabled) in rules {
        match RuleSet::compile(std::slice::from_ref(&rule), lists) {
            Ok(_readable) => kept.push((rule, enabled)),
            Err(errors) => {
                let rendered: Vec<String> = errors.iter().map(RuleError::render).collect();
                left_out.push(NotImported { name: rule.name, why: rendered.join("\n") });
            }
        }
    }
    ImportedRules { rules: kept, left_out }
}

const fn action(rule: &RuleSource) -> &'static str {
    match rule.action {
        RuleAction::Block(_) => "block",
        RuleAction::Log => "log",
        RuleAction::Skip => "skip",
    }
}

/// `[[rule]]` entries, and the others as comments.
fn text(imported: &ImportedRules) -> anyhow::Result<String> {
    let mut text = String::new();
    for (rule, enabled) in &imported.rules {
        let mut table = Table::new();
        table.insert("name".to_owned(), rule.name.clone().into());
        table.insert("expression".to_owned(), rule.expression.clone().into());
        table.insert("action".to_owned(), action(rule).into());
        if !enabled {
            table.insert("enabled".to_owned(), false.into());
        }
        if let RuleAction::Block(block) = &rule.action {
            table.insert("status".to_owned(), i64::from(block.status).into());
            if let Some((body, kind)) = &block.body {
                table.insert("body".to_owned(), body.clone().into());
                table.insert("content_type".to_owned(), kind.clone().into());
            }
        }
        let entry = toml::to_string(&table).context("write a rule as TOML")?;
        text.push_str(&format!("[[rule]]\n{entry}\n"));
    }
    for left in &imported.left_out {
        let lines = format!("left out {:?}: {}", left.name, left.why);
        text.extend(lines.lines().map(|line| format!("# {line}\n")));
    }
    Ok(text)
}

fn as_json(imported: &ImportedRules) -> Value {
    let rules: Vec<Value> = imported
        .rules
        .iter()
        .map(|(rule, enabled)| {
            let (status, body) = match &rule.action {
                RuleAction::Block(block) => (Some(block.status), block.body.clone()),
                RuleAction::Log | RuleAction::Skip => (None, None),
            };
            let (body, kind) = body.unzip();
            json!({ "name": rule.name, "expression": rule.expression, "action": action(rule),
                "enabled": enabled, "status": status, "body": body, "contentType": kind })
        })
        .collect();
    let left: Vec<Value> =
        imported.left_out.iter().map(|left| json!({ "name": left.name, "why": left.why })).collect();
    json!({ "rules": rules, "leftOut": left })
}
