//! Rule expressions: one loads, is printed as one that loads, and can be evaluated and explained, or is
//! refused at a place within it.
#![no_main]

use countersign_core::ids::RequestId;
use countersign_core::snapshot::{ListKind, RuleAction, RuleList, RuleSource};
use countersign_core::time::Timestamp;
use countersign_edge::headers::Scheme;
use countersign_edge::rules::{CertificateState, RequestFacts, RuleSet};
use countersign_edge::url::{NormalisedPath, OddPaths};
use http::{HeaderMap, HeaderValue};
use libfuzzer_sys::fuzz_target;

fn compile(expression: &str) -> Result<RuleSet, Vec<countersign_edge::rules::RuleError>> {
    let source =
        RuleSource { name: "fuzzed".to_owned(), expression: expression.to_owned(), action: RuleAction::Log };
    let lists = [
        RuleList { name: "a".to_owned(), kind: ListKind::Ip, items: vec!["192.0.2.0/24".to_owned()] },
        RuleList { name: "b".to_owned(), kind: ListKind::Hostname, items: vec!["*.example".to_owned()] },
    ];
    RuleSet::compile(&[source], &lists)
}

fuzz_target!(|expression: &str| {
    let rules = match compile(expression) {
        Ok(rules) => rules,
        Err(errors) => {
            for error in errors {
                assert!(expression.is_char_boundary(error.offset()));
                assert!(error.render().contains('^'));
            }
            return;
        }
    };
    let Ok(target) = NormalisedPath::parse("/api/v1/agents/0a/heartbeat?x=1&y=%2520", OddPaths::Refused) else {
        return;
    };
    let mut headers = HeaderMap::new();
    for value in ["a", "MTIz", r#"{"a":[1]}"#] {
        headers.append("x", HeaderValue::from_static(value));
    }
    let facts = RequestFacts {
        request_id: RequestId::random(),
        now: Timestamp::from_secs(1_800_000_000),
        method: "POST",
        version: "HTTP/2",
        scheme: Scheme::Https,
        host: Some("door.example"),
        target: &target,
        raw_target: target.path_and_query(),
        headers: &headers,
        forwarded_for: None,
        source: [192, 0, 2, 7].into(),
        server_port: 443,
        tls: None,
        certificate: CertificateState::default(),
        presented: None,
        device: None,
        standing: None,
    };
    let verdict = rules.evaluate(&facts);
    let matched = !verdict.logged.is_empty();
    let traces = rules.trace(&facts);
    for trace in &traces {
        assert_eq!((trace.matched, trace.root.value.as_str()), (matched, if matched { "true" } else { "false" }));
        // What is printed loads again, unless escapes made it too long.
        if trace.root.text.chars().count() <= 4096 {
            let again = compile(&trace.root.text).unwrap_or_else(|errors| panic!("{}: {errors:?}", trace.root.text));
            assert_eq!(again.trace(&facts), traces);
        }
    }
});
