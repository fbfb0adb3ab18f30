//! How long rules take: nanoseconds per evaluation, on one thread.
//!
//! `cargo run --profile dist -p countersign-edge --example rules`
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a measurement that people read")]

use std::hint::black_box;
use std::time::Instant;

use countersign_core::ids::RequestId;
use countersign_core::snapshot::{BlockResponse, RuleAction, RuleSource};
use countersign_core::time::Timestamp;
use countersign_edge::headers::Scheme;
use countersign_edge::rules::{CertificateState, RequestFacts, RuleSet};
use countersign_edge::url::{NormalisedPath, OddPaths};
use http::{HeaderMap, HeaderValue};

const ROUNDS: u32 = 1_000_000;

/// What is measured: a name, and expressions.
const SETS: [(&str, &[&str]); 6] = [
    (
        "setup guide, phase 5, rule 1",
        &[
            "(http.request.uri.path matches \"^/api/v1/agents/[a-f0-9]+/\" and not cf.tls_client_auth.cert_verified)",
        ],
    ),
    (
        "setup guide, phase 5, rule 2",
        &["(http.request.uri.path matches \"^/api/v1/agents/[a-f0-9]+/\"
 and not http.request.uri.path contains \"/enroll\"
 and not http.request.uri.path contains \"/renew-cert\"
 and not cf.tls_client_auth.cert_verified)"],
    ),
    (
        "API Shield guide",
        &["(http.request.uri.path contains \"/api/\") and not cf.tls_client_auth.cert_verified"],
    ),
    ("a header among ten", &["any(http.request.headers[\"x-9\"][*] eq \"no\")"]),
    ("an address in a set", &["ip.src in {10.0.0.0/8 192.0.2.0/24 2001:db8::/32}"]),
    ("lower() of a path in upper case", &["lower(http.request.uri.path) contains \"/admin\""]),
];

fn measure(name: &str, rules: &RuleSet, facts: &RequestFacts<'_>) {
    for _warm in 0..1000 {
        black_box(rules.evaluate(black_box(facts)));
    }
    let began = Instant::now();
    for _round in 0..ROUNDS {
        black_box(rules.evaluate(black_box(facts)));
    }
    println!("{name}: {} ns", began.elapsed().as_nanos() / u128::from(ROUNDS));
}

fn compiled(expressions: &[&str]) -> RuleSet {
    let block = RuleAction::Block(BlockResponse { status: 403, body: None });
    let source = |(at, expression): (usize, &&str)| RuleSource {
        name: at.to_string(),
        expression: (*expression).to_owned(),
        action: block.clone(),
    };
    let sources: Vec<_> = expressions.iter().enumerate().map(source).collect();
    RuleSet::compile(&sources, &[]).unwrap()
}

fn main() {
    let path = "/api/v1/agents/0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9/Heartbeat";
    let target = NormalisedPath::parse(path, OddPaths::Refused).unwrap();
    let mut headers = HeaderMap::new();
    for name in ["x-0", "x-1", "x-2", "x-3", "x-4", "x-5", "x-6", "x-7", "x-8", "x-9"] {
        headers.append(name, HeaderValue::from_static("value"));
    }
    let facts = RequestFacts {
        request_id: RequestId::random(),
        now: Timestamp::from_secs(1_800_000_000),
        method: "POST",
        version: "HTTP/1.1",
        scheme: Scheme::Https,
        host: Some("gateway.example.com"),
        target: &target,
        raw_target: path,
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
    for (name, expressions) in SETS {
        measure(name, &compiled(expressions), &facts);
    }
    let thousand: Vec<String> =
        (0..1000).map(|number| format!("http.request.uri.path eq \"/{number}\" and ssl")).collect();
    let thousand: Vec<&str> = thousand.iter().map(String::as_str).collect();
    measure("a thousand rules that compare the path", &compiled(&thousand), &facts);
}
