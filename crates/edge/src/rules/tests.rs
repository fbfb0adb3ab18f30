//! The language as a whole: the corpus, what rules mean, and properties.

use std::sync::Arc;

use countersign_core::Identity;
use countersign_core::ids::RequestId;
use countersign_core::snapshot::{BlockResponse, ListKind, RuleAction, RuleList, RuleSource};
use countersign_core::time::Timestamp;
use countersign_tls::LeafDetails;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::ast::Expression;
use super::error::Fault;
use super::facts::{CertificateState, PresentedCertificate, RequestFacts, Resumption, TlsFacts};
use super::lists::Lists;
use super::parser;
use super::program::Program;
use crate::headers::Scheme;
use crate::url::{NormalisedPath, OddPaths};

mod corpus;
mod fields;
mod functions;
mod lints;
mod properties;
mod sets;
mod slow;
mod trace;

/// The rule of the first guide, as it stands there.
const ENFORCE: &str = "(http.request.uri.path matches \"^/api/v1/agents/[a-f0-9]+/\"\n \
     and not http.request.uri.path contains \"/enroll\"\n \
     and not http.request.uri.path contains \"/renew-cert\"\n \
     and not cf.tls_client_auth.cert_verified)";

fn rule(name: &str, expression: &str, action: RuleAction) -> RuleSource {
    RuleSource { name: name.to_owned(), expression: expression.to_owned(), action }
}

fn block() -> RuleAction {
    RuleAction::Block(BlockResponse { status: 403, body: None })
}

/// A list of each kind.
fn lists() -> Vec<RuleList> {
    let list = |name: &str, kind, items: &[&str]| RuleList {
        name: name.to_owned(),
        kind,
        items: items.iter().map(|item| (*item).to_owned()).collect(),
    };
    vec![
        list("office", ListKind::Ip, &["192.0.2.0/28", "198.51.100.1..198.51.100.9", "2001:db8::/32"]),
        list("hosts", ListKind::Hostname, &["a.example", "*.b.example"]),
        list("names", ListKind::Text, &["d1", "D2"]),
        list("ports", ListKind::Integer, &["443", "8000..8010"]),
    ]
}

fn parse(expression: &str) -> Result<Expression, Fault> {
    parser::parse(expression, &Lists::compile(&lists()).unwrap())
}

fn path(text: &str) -> NormalisedPath {
    NormalisedPath::parse(text, OddPaths::Refused).unwrap()
}

fn headers(lines: &[(&'static str, &'static [u8])]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(HeaderName::from_static(name), HeaderValue::from_bytes(value).unwrap());
    }
    headers
}

fn facts<'f>(target: &'f NormalisedPath, headers: &'f HeaderMap) -> RequestFacts<'f> {
    RequestFacts {
        request_id: RequestId::random(),
        now: Timestamp::from_millis(1_700_000_050_123),
        method: "GET",
        version: "HTTP/1.1",
        scheme: Scheme::Https,
        host: Some("a.example"),
        target,
        raw_target: target.path_and_query(),
        headers,
        forwarded_for: None,
        source: "::ffff:192.0.2.7".parse().unwrap(),
        server_port: 443,
        tls: Some(TlsFacts {
            version: "TLSv1.3",
            cipher: "TLS_AES_128_GCM_SHA256",
            group: Some("X25519MLKEM768"),
            resumption: Resumption::Full,
        }),
        certificate: CertificateState::default(),
        presented: None,
        device: None,
        standing: None,
    }
}

fn holds(expression: &str, facts: &RequestFacts<'_>) -> bool {
    let parsed = parse(expression).unwrap_or_else(|fault| panic!("{expression}: {fault:?}"));
    Program::compile(&parsed).holds(facts)
}

fn device() -> Identity {
    Identity::from_uri("spiffe://countersign.internal/tenant/acme/device/d1").unwrap()
}

/// A certificate that was presented.
struct Certificate {
    leaf: LeafDetails,
    chain: Vec<Arc<[u8]>>,
}

impl PresentedCertificate for Certificate {
    fn leaf(&self) -> Option<&LeafDetails> {
        Some(&self.leaf)
    }
    fn chain_der(&self) -> &[Arc<[u8]>] {
        &self.chain
    }
}

fn certificate(chain: Vec<Arc<[u8]>>) -> Certificate {
    let leaf = LeafDetails {
        issuer_dn: "CN=device CA".to_owned(),
        issuer_dn_rfc2253: String::new(),
        issuer_dn_legacy: String::new(),
        subject_dn: "CN=acme/d1,O=acme".to_owned(),
        subject_dn_rfc2253: String::new(),
        subject_dn_legacy: String::new(),
        serial: "0ABC".to_owned(),
        issuer_serial: String::new(),
        fingerprint_sha256: "ab".repeat(32),
        fingerprint_sha1: String::new(),
        not_before: Timestamp::from_secs(1_700_000_000),
        not_after: Timestamp::from_secs(1_700_000_200),
        not_before_text: "Nov 14 22:13:20 2023 GMT".to_owned(),
        not_after_text: "Nov 14 22:16:40 2023 GMT".to_owned(),
        ski: String::new(),
        issuer_ski: "CD".repeat(20),
        subject: Vec::new(),
        san_uris: vec!["spiffe://countersign.internal/tenant/acme/device/d1".to_owned()],
        san_dns: vec!["d1.acme.example".to_owned(), "D1".to_owned()],
        ekus: vec!["clientAuth".to_owned()],
        key_type: "P-256".to_owned(),
    };
    Certificate { leaf, chain }
}
