//! Rules as Cloudflare keeps them, made from ours.

use countersign_core::snapshot::{BlockResponse, RuleAction, RuleSource};
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// The phase of custom firewall rules.
pub(super) const PHASE: &str = "http_request_firewall_custom";

/// With this begins the `ref` of rules that are ours: those, and no others, are replaced.
const OURS: &str = "countersign_";

/// A rule of theirs, with everything that it holds.
pub type UpstreamRule = Map<String, Value>;

/// The rules of a phase, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Ruleset {
    /// The rules.
    #[serde(default)]
    pub rules: Vec<UpstreamRule>,
}

/// One of our rules as theirs; its `ref` follows from its name.
#[must_use]
pub fn rule_of(rule: &RuleSource) -> Value {
    let mut made = Map::new();
    let mut put = |key: &str, value: Value| made.insert(key.to_owned(), value);
    put("ref", Value::from(format!("{OURS}{}", slug(&rule.name))));
    put("description", Value::from(rule.name.as_str()));
    put("expression", Value::from(rule.expression.trim()));
    put("enabled", Value::from(true));
    match &rule.action {
        RuleAction::Block(block) => {
            put("action", Value::from("block"));
            if let Some(response) = response_of(block) {
                put("action_parameters", json!({ "response": response }));
            }
        }
        RuleAction::Log => {
            put("action", Value::from("log"));
        }
        RuleAction::Skip => {
            put("action", Value::from("skip"));
            put("action_parameters", json!({ "ruleset": "current" }));
        }
    }
    Value::Object(made)
}

/// `None`: their own page, with 403.
fn response_of(block: &BlockResponse) -> Option<Value> {
    match (&block.body, block.status) {
        (None, 403) => None,
        (Some((content, kind)), status) => {
            Some(json!({ "status_code": status, "content": content, "content_type": kind }))
        }
        (None, status) => Some(json!({
            "status_code": status,
            "content": "{\"error\":\"Blocked by a rule\",\"code\":\"RULE_BLOCKED\"}",
            "content_type": "application/json",
        })),
    }
}

/// The name in letters, digits and `_`, with a hash so that two names never meet.
fn slug(name: &str) -> String {
    let plain: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' })
        .take(32)
        .collect();
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, name.as_bytes());
    let hash: String = hex::encode(digest.as_ref()).chars().take(8).collect();
    format!("{plain}_{hash}")
}

/// What there is to be: the rules that are not ours, untouched and in their order, with ours in the place
/// of those that are, or at the end.
#[must_use]
pub fn merged(there: &[UpstreamRule], ours: &[RuleSource]) -> Vec<Value> {
    let is_ours = |rule: &UpstreamRule| {
        rule.get("ref").and_then(Value::as_str).is_some_and(|name| name.starts_with(OURS))
    };
    let place = there.iter().position(is_ours).unwrap_or(there.len());
    let kept = |rule: &UpstreamRule| {
        let mut rule = rule.clone();
        // What the API says about a rule and does not take back.
        for said in ["version", "last_updated"] {
            rule.remove(said);
        }
        Value::Object(rule)
    };
    let (before, after) = there.split_at(place);
    let others = after.iter().filter(|rule| !is_ours(rule)).map(kept);
    before.iter().map(kept).chain(ours.iter().map(rule_of)).chain(others).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ours(name: &str) -> RuleSource {
        RuleSource {
            name: name.to_owned(),
            expression: "not cf.tls_client_auth.cert_verified".to_owned(),
            action: RuleAction::Block(BlockResponse { status: 403, body: None }),
        }
    }

    fn theirs(name: &str) -> UpstreamRule {
        json!({ "id": "x", "ref": name, "version": "3", "expression": "ssl" }).as_object().unwrap().clone()
    }

    #[test]
    fn rules_of_others_stay_as_they_are_and_where_they_are() {
        let there =
            [theirs("first"), theirs("countersign_old_1"), theirs("last"), theirs("countersign_old_2")];
        let all = merged(&there, &[ours("a"), ours("b")]);
        let names: Vec<&str> = all.iter().map(|rule| rule["ref"].as_str().unwrap()).collect();
        assert!(
            matches!(names.as_slice(), ["first", a, b, "last"] if a.starts_with("countersign_a_")
            && b.starts_with("countersign_b_")),
            "{names:?}"
        );
        assert_eq!((all[0]["id"].as_str(), all[0].get("version")), (Some("x"), None));
        assert_eq!(merged(&[theirs("one")], &[]).len(), 1);
    }

    #[test]
    fn an_action_is_said_in_their_words() {
        assert_eq!(rule_of(&ours("a")).get("action_parameters"), None);
        let skip = RuleSource { action: RuleAction::Skip, ..ours("a") };
        assert_eq!(rule_of(&skip)["action_parameters"]["ruleset"], "current");
        let body = Some(("no".to_owned(), "text/plain".to_owned()));
        let block =
            RuleSource { action: RuleAction::Block(BlockResponse { status: 410, body }), ..ours("a") };
        assert_eq!(rule_of(&block)["action_parameters"]["response"]["status_code"], 410);
        assert_ne!(rule_of(&ours("a b"))["ref"], rule_of(&ours("a_b"))["ref"]);
    }
}
