//! Rules of ours, made from Cloudflare's JSON, as far as ours can say the same.

use std::collections::BTreeSet;

use countersign_core::snapshot::{BlockResponse, RuleAction, RuleSource};
use serde_json::Value;

use super::error::UpstreamError;
use super::rules::UpstreamRule;

/// What became of their rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImportedRules {
    /// Rules that say the same here, in order, and whether each is enabled. Whether an expression can be
    /// read is still to be seen.
    pub rules: Vec<(RuleSource, bool)>,
    /// Rules that cannot be said here.
    pub left_out: Vec<NotImported>,
}

/// A rule that cannot be said here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotImported {
    /// What people call it.
    pub name: String,
    /// Why not.
    pub why: String,
}

/// Reads an answer of the API, a ruleset, or a list of rules.
///
/// # Errors
/// [`UpstreamError::Malformed`] when it is none of these.
pub fn import_rules(json: &[u8]) -> Result<ImportedRules, UpstreamError> {
    let malformed = |why: &str| UpstreamError::Malformed(why.to_owned());
    let value: Value = serde_json::from_slice(json).map_err(|error| malformed(&error.to_string()))?;
    let ruleset = value.get("result").unwrap_or(&value);
    let rules = ruleset.get("rules").unwrap_or(ruleset).as_array();
    let rules = rules.ok_or_else(|| malformed("there is no list of rules in it"))?;
    let mut imported = ImportedRules::default();
    let mut names = BTreeSet::new();
    for (place, rule) in rules.iter().enumerate() {
        let rule = rule.as_object().ok_or_else(|| malformed("a rule is no object"))?;
        let name = unique(&name_of(rule, place), &mut names);
        match translated(rule, &name) {
            Ok(translated) => imported.rules.push(translated),
            Err(why) => imported.left_out.push(NotImported { name, why }),
        }
    }
    Ok(imported)
}

fn text<'a>(rule: &'a UpstreamRule, key: &str) -> Option<&'a str> {
    rule.get(key).and_then(Value::as_str).filter(|text| !text.trim().is_empty())
}

fn name_of(rule: &UpstreamRule, place: usize) -> String {
    let name = ["description", "ref", "id"].iter().find_map(|key| text(rule, key));
    let name = name.map_or_else(|| format!("rule {}", place + 1), str::to_owned);
    name.chars().map(|c| if c.is_control() { ' ' } else { c }).take(100).collect()
}

fn unique(name: &str, names: &mut BTreeSet<String>) -> String {
    let mut free = name.to_owned();
    for number in 2_u32.. {
        if names.insert(free.clone()) {
            break;
        }
        free = format!("{name} ({number})");
    }
    free
}

fn translated(rule: &UpstreamRule, name: &str) -> Result<(RuleSource, bool), String> {
    let expression = text(rule, "expression").ok_or("it has no expression")?;
    let action = match text(rule, "action") {
        Some("block") => RuleAction::Block(block(rule)?),
        Some("log") => RuleAction::Log,
        Some("skip") => skip(rule)?,
        Some(other) => {
            return Err(format!("there is no action {:?} here", other.chars().take(40).collect::<String>()));
        }
        None => return Err("it has no action".to_owned()),
    };
    if rule.get("ratelimit").is_some_and(|limit| !limit.is_null()) {
        return Err("it limits a rate, which rules cannot do here".to_owned());
    }
    let enabled = rule.get("enabled").and_then(Value::as_bool).unwrap_or(true);
    Ok((RuleSource { name: name.to_owned(), expression: expression.to_owned(), action }, enabled))
}

fn block(rule: &UpstreamRule) -> Result<BlockResponse, String> {
    let Some(response) = rule.get("action_parameters").and_then(|parameters| parameters.get("response"))
    else {
        return Ok(BlockResponse { status: 403, body: None });
    };
    let status = response.get("status_code").and_then(Value::as_u64).unwrap_or(403);
    let status = u16::try_from(status).ok().filter(|status| (400..=599).contains(status));
    let status = status.ok_or("its answer has a status that a block cannot have here, 400 to 599")?;
    let said = |key: &str| response.get(key).and_then(Value::as_str).map(str::to_owned);
    let kind = || said("content_type").unwrap_or_else(|| "text/plain; charset=utf-8".to_owned());
    let body = said("content").map(|content| (content, kind()));
    Ok(BlockResponse { status, body })
}

/// Only what passes the rest of these same rules can be said here.
fn skip(rule: &UpstreamRule) -> Result<RuleAction, String> {
    let parameters = rule.get("action_parameters").and_then(Value::as_object);
    let skips = |key: &str| parameters.is_some_and(|parameters| parameters.contains_key(key));
    let current = parameters.and_then(|parameters| text(parameters, "ruleset")) == Some("current");
    if current && !skips("phases") && !skips("products") && !skips("rulesets") {
        Ok(RuleAction::Skip)
    } else {
        Err("it skips phases, products or rulesets of Cloudflare, which do not exist here".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_said_here_is_and_the_rest_is_named() {
        let json = r#"{"result":{"rules":[
            {"description":"a","expression":"ssl","action":"block","enabled":false},
            {"description":"a","expression":"ssl","action":"skip","action_parameters":{"ruleset":"current"}},
            {"description":"b","expression":"ssl","action":"skip","action_parameters":{"phases":["x"]}},
            {"id":"c","expression":"ssl","action":"managed_challenge"},
            {"expression":"ssl","action":"block","action_parameters":{"response":
                {"status_code":200,"content":"x","content_type":"text/plain"}}},
            {"description":"d","action":"log"}]}}"#;
        let imported = import_rules(json.as_bytes()).unwrap();
        let names: Vec<_> = imported.rules.iter().map(|(rule, on)| (rule.name.as_str(), *on)).collect();
        assert_eq!(names, [("a", false), ("a (2)", true)]);
        let left: Vec<_> = imported.left_out.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(left, ["b", "c", "rule 5", "d"]);
    }

    #[test]
    fn our_own_rules_come_back_as_they_were() {
        let body = Some(("no".to_owned(), "text/plain".to_owned()));
        for action in
            [RuleAction::Skip, RuleAction::Log, RuleAction::Block(BlockResponse { status: 410, body })]
        {
            let rule = RuleSource { name: "a".to_owned(), expression: "ssl".to_owned(), action };
            let json = serde_json::to_vec(&vec![super::super::rules::rule_of(&rule)]).unwrap();
            assert_eq!(import_rules(&json).unwrap().rules, [(rule, true)]);
        }
    }

    #[test]
    fn fails_closed_on_what_is_no_list_of_rules() {
        for json in ["", "{}", "7", "{\"rules\":7}", "[7]"] {
            assert!(import_rules(json.as_bytes()).is_err(), "{json}");
        }
    }
}
