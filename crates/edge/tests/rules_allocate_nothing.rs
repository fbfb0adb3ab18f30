//! Proves that rules which compare what stands in the request already allocate nothing.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use allocation_counter::measure;
use countersign_core::ids::RequestId;
use countersign_core::snapshot::{BlockResponse, ListKind, RuleAction, RuleList, RuleSource};
use countersign_core::time::Timestamp;
use countersign_edge::headers::Scheme;
use countersign_edge::rules::{CertificateState, RequestFacts, RuleSet};
use countersign_edge::url::{NormalisedPath, OddPaths};
use http::{HeaderMap, HeaderValue};

const RULES: [&str; 8] = [
    "(http.request.uri.path matches \"^/api/v1/agents/[a-f0-9]+/\" and not cf.tls_client_auth.cert_verified)",
    "(http.request.uri.path matches \"^/api/v1/agents/[a-f0-9]+/\"
 and not http.request.uri.path contains \"/enroll\"
 and not http.request.uri.path contains \"/renew-cert\"
 and not cf.tls_client_auth.cert_verified)",
    "(http.request.uri.path contains \"/nothing/\") and not cf.tls_client_auth.cert_verified",
    "any(http.request.headers[\"x-a\"][*] eq \"no\") or http.request.headers[\"x-a\"][0] eq \"no\"",
    "ip.src in $office or http.host in {\"a.example\" \"b.example\"} or cf.edge.server_port in {1..5 9}",
    "any(http.request.uri.args.values[*] contains \"no\") or len(http.user_agent) gt 1000",
    "lower(http.request.uri.path) eq \"/no\" or starts_with(http.request.uri.path, \"/no\")",
    "http.request.uri.path wildcard \"/no/*\" or substring(http.request.uri.path, 0, 3) eq \"/no\"",
];

fn rules(expressions: &[&str]) -> RuleSet {
    let action = RuleAction::Block(BlockResponse { status: 403, body: None });
    let sources: Vec<_> = expressions
        .iter()
        .enumerate()
        .map(|(at, expression)| RuleSource {
            name: at.to_string(),
            expression: (*expression).to_owned(),
            action: action.clone(),
        })
        .collect();
    let office =
        RuleList { name: "office".to_owned(), kind: ListKind::Ip, items: vec!["10.0.0.0/8".to_owned()] };
    RuleSet::compile(&sources, &[office]).unwrap()
}

fn allocations(expressions: &[&str]) -> u64 {
    let target = NormalisedPath::parse("/api/v1/agents/0a1b/heartbeat?q=1&r=2", OddPaths::Refused).unwrap();
    let mut headers = HeaderMap::new();
    headers.append("x-a", HeaderValue::from_static("one"));
    headers.append("x-a", HeaderValue::from_static("two"));
    headers.append("user-agent", HeaderValue::from_static("agent/1"));
    let facts = RequestFacts {
        request_id: RequestId::random(),
        now: Timestamp::from_secs(1_800_000_000),
        method: "POST",
        version: "HTTP/1.1",
        scheme: Scheme::Https,
        host: Some("gateway.example.com"),
        target: &target,
        raw_target: target.path_and_query(),
        headers: &headers,
        forwarded_for: None,
        source: [192, 0, 2, 7].into(),
        server_port: 8443,
        tls: None,
        certificate: CertificateState { presented: true, verified: true, revoked: false },
        presented: None,
        device: None,
        standing: None,
    };
    let rules = rules(expressions);
    // Regular expressions make room for themselves at their first use on a thread.
    drop(rules.evaluate(&facts));
    measure(|| drop(rules.evaluate(&facts))).count_total
}

#[test]
fn nothing_is_allocated_when_no_rule_needs_it() {
    for rule in RULES {
        assert_eq!(allocations(&[rule]), 0, "{rule}");
    }
    assert_eq!(allocations(&RULES), 0);
}

#[test]
fn what_makes_a_new_text_allocates() {
    assert!(allocations(&["upper(http.request.uri.path) eq \"/NO\""]) > 0, "the counter counts");
}
