//! Rules tried by people in the console, by the code that doors use.

use countersign_ca::upstream::import_rules;
use countersign_core::ids::RequestId;
use countersign_core::snapshot::{RuleList, RuleSource};
use countersign_core::time::{Clock as _, SystemClock};
use countersign_edge::rules::{DeviceCas, Outcome, RuleSet, TraceNode};
use countersign_server::{Imported, RuleBench, Trial, TriedRequest, TriedRule};

use crate::cli::{TestCertificate, TestRequest, facts_of, readable_rules};

/// The doors' own language.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bench;

impl RuleBench for Bench {
    fn check(&self, rules: &[RuleSource], lists: &[RuleList]) -> Result<Vec<String>, Vec<String>> {
        let set = RuleSet::compile(rules, lists);
        let set = set.map_err(|errors| errors.iter().map(|error| error.render()).collect::<Vec<_>>())?;
        let lints = set.lints(DeviceCas::One);
        Ok(lints.iter().map(|lint| format!("{} [{}]", lint.code.message(), lint.code.as_str())).collect())
    }

    fn attempt(&self, rules: &[RuleSource], lists: &[RuleList], on: &TriedRequest) -> Result<Trial, String> {
        let set = RuleSet::compile(rules, lists).map_err(|_wrong| "The rules are not right".to_owned())?;
        let now = SystemClock.now();
        let request = TestRequest::parse(&on.request, &[]).map_err(|error| format!("{error:#}"))?;
        let has_chain = !on.chain.trim().is_empty();
        let certificate = has_chain.then(|| TestCertificate::of(on.chain.as_bytes(), on.standing, now));
        let certificate = certificate.transpose().map_err(|error| format!("The certificates: {error:#}"))?;
        let facts = facts_of(&request, certificate.as_ref(), (RequestId::random(), now), (on.source, 443));
        let verdict = set.evaluate(&facts);
        let blocked = match verdict.outcome {
            Outcome::Allowed => None,
            Outcome::Blocked { rule, response } => Some((rule.to_owned(), response.status)),
        };
        let logged = verdict.logged.iter().map(|rule| (*rule).to_owned()).collect();
        let rules = set.trace(&facts).into_iter().map(|trace| {
            let mut parts = Vec::new();
            lay_out(&trace.root, 0, &mut parts);
            TriedRule { name: trace.rule, action: trace.action, matches: trace.matched, parts }
        });
        Ok(Trial { blocked, logged, rules: rules.collect() })
    }

    fn import(&self, json: &[u8], lists: &[RuleList]) -> Result<Imported, String> {
        let read = import_rules(json).map_err(|error| error.to_string())?;
        let imported = readable_rules(read, lists);
        let left_out = imported.left_out.into_iter().map(|left| (left.name, left.why)).collect();
        Ok(Imported { rules: imported.rules, left_out })
    }
}

/// Every part, the whole first.
fn lay_out(node: &TraceNode, depth: usize, parts: &mut Vec<(usize, String, String)>) {
    parts.push((depth, node.text.clone(), node.value.clone()));
    for part in &node.parts {
        lay_out(part, depth.saturating_add(1), parts);
    }
}
