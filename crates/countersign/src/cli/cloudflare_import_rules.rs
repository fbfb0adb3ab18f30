//! `countersign cloudflare import-rules`: the zone's custom rules as rules of ours.

use anyhow::Context as _;
use countersign_ca::upstream::{ImportedRules, NotImported, import_rules};
use countersign_core::snapshot::{RuleAction, RuleSource};
use countersign_edge::rules::RuleSet;
use serde_json::{Value, json};
use toml::Table;

use super::cloudflare::{configured, now, refused};
use super::cloudflare_arguments::ImportRulesArguments;
use super::failure::Failure;
use super::output::{print, print_json, warn};
use super::run::{block_on, loaded};

const PERMISSION: &str = "the token needs Zone > Zone WAF > Read, on this zone";

/// Prints what can be said here, and says what cannot.
pub(super) fn run(arguments: &ImportRulesArguments) -> Result<(), Failure> {
    let json = match &arguments.file {
        Some(file) => fs_err::read(file).context("read the ruleset")?,
        None => zone_rules(arguments)?,
    };
    let read = import_rules(&json).context("read the ruleset");
    let imported = read.map_err(|error| {
        Failure::from(error).hint("expected is an answer of the API, a ruleset or a list of rules, in JSON")
    })?;
    let imported = readable(imported);
    for left in &imported.left_out {
        warn(&format!("left out {:?}: {}", left.name, left.why));
    }
    let printed = if arguments.json { print_json(&as_json(&imported)) } else { print(&text(&imported)?) };
    Ok(printed?)
}

fn zone_rules(arguments: &ImportRulesArguments) -> Result<Vec<u8>, Failure> {
    let config = loaded(arguments.config.clone())?.resolved;
    let api = configured(&config)?;
    let ruleset = block_on(async {
        let rules = api.rules(now()).await;
        rules.map_err(|error| refused(error, "read the zone's custom rules", PERMISSION))
    })?;
    Ok(serde_json::to_vec(&ruleset.rules).context("write the rules as JSON")?)
}

/// Leaves out what the rule language here cannot read.
fn readable(imported: ImportedRules) -> ImportedRules {
    let ImportedRules { rules, mut left_out } = imported;
    let mut kept = Vec::with_capacity(rules.len());
    for (rule, enabled) in rules {
        match RuleSet::compile(std::slice::from_ref(&rule)) {
            Ok(_readable) => kept.push((rule, enabled)),
            Err(errors) => {
                let rendered: Vec<String> =
                    errors.iter().map(countersign_edge::rules::RuleError::render).collect();
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
