//! Requests that strangers send, under rules that look at everything: every rule gives an answer, twice the
//! same.
#![no_main]

use std::sync::OnceLock;

use countersign_core::ids::RequestId;
use countersign_core::snapshot::{RuleAction, RuleSource};
use countersign_core::time::Timestamp;
use countersign_edge::headers::Scheme;
use countersign_edge::rules::{CertificateState, RequestFacts, RuleSet, field_entries};
use countersign_edge::url::{NormalisedPath, OddPaths};
use http::{HeaderMap, HeaderName, HeaderValue};
use libfuzzer_sys::fuzz_target;

const EXPRESSIONS: [&str; 12] = [
    "any(url_decode(http.request.uri.args.values[*], \"ru\")[*] contains \"a\")",
    "any(decode_base64(http.request.headers.values[*])[*] contains \"a\")",
    "any(lookup_json_string(http.request.headers.values[*], \"a\", 0)[*] eq \"b\")",
    "any(lookup_json_integer(http.request.headers.values[*], \"a\")[*] gt 1)",
    "any(split(http.cookie, \";\", 128)[*] eq \"a=b\") or http.request.cookies[\"a\"][0] eq \"b\"",
    "any(substring(http.request.headers.names[*], -3, 9)[*] eq \"a\")",
    "join(http.request.cookies.names, \"\") contains \"%\" or len(http.request.cookies.values) gt 3",
    "any(remove_bytes(http.request.headers.values[*], \"\\x00a\")[*] eq \"\")",
    "any(sha256(http.request.headers.values[*])[*] eq 61:62) or has_value(http.request.uri.args, \"1\")",
    "lower(http.request.full_uri) wildcard \"*//*/a*\" or raw.http.request.uri.path.extension eq \"php\"",
    "all(len(http.request.headers.values[*])[*] in {0..100}) xor has_key(http.request.headers, \"a\")",
    "concat(http.host, http.user_agent, http.referer) matches \"(a|b)+c\"",
];

fn rules() -> &'static RuleSet {
    static RULES: OnceLock<RuleSet> = OnceLock::new();
    RULES.get_or_init(|| {
        let fields = field_entries().filter(|field| field.kind == "string");
        let shown = fields.map(|field| format!("len({}) ge 0", field.name));
        let all = EXPRESSIONS.into_iter().map(str::to_owned).chain(shown);
        let sources: Vec<_> = all
            .enumerate()
            .map(|(at, expression)| RuleSource { name: at.to_string(), expression, action: RuleAction::Log })
            .collect();
        RuleSet::compile(&sources, &[]).expect("rules that load")
    })
}

fuzz_target!(|input: (&str, Vec<(&str, &[u8])>)| {
    let (target, lines) = input;
    let Ok(normalised) = NormalisedPath::parse(target, OddPaths::DangerTolerated) else { return };
    let mut headers = HeaderMap::new();
    for (name, value) in lines.into_iter().take(64) {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_bytes(value)) {
            headers.append(name, value);
        }
    }
    let facts = RequestFacts {
        request_id: RequestId::random(),
        now: Timestamp::from_secs(1_800_000_000),
        method: "GET",
        version: "HTTP/1.1",
        scheme: Scheme::Https,
        host: Some("door.example"),
        target: &normalised,
        raw_target: target,
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
    let first = rules().evaluate(&facts);
    assert_eq!(first, rules().evaluate(&facts));
});
