//! Rule expressions: one loads and can be evaluated, or is refused at a place within it.
#![no_main]

use countersign_core::snapshot::{RuleAction, RuleSource};
use countersign_edge::headers::Scheme;
use countersign_edge::rules::{CertificateState, RequestFacts, Resumption, RuleSet};
use countersign_edge::url::{NormalisedPath, OddPaths};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|expression: &str| {
    let source =
        RuleSource { name: "fuzzed".to_owned(), expression: expression.to_owned(), action: RuleAction::Log };
    match RuleSet::compile(&[source]) {
        Ok(rules) => {
            let Ok(target) = NormalisedPath::parse("/api/v1/agents/0a/heartbeat?x=1", OddPaths::Refused)
            else {
                return;
            };
            let facts = RequestFacts {
                method: "POST",
                version: "HTTP/2",
                scheme: Scheme::Https,
                host: Some("door.example"),
                target: &target,
                user_agent: None,
                source: [192, 0, 2, 7].into(),
                server_port: 443,
                tls_version: Some("TLSv1.3"),
                resumption: Resumption::Full,
                certificate: CertificateState::default(),
                texts: None,
                device: None,
            };
            let first = rules.evaluate(&facts);
            assert_eq!(first, rules.evaluate(&facts));
        }
        Err(errors) => {
            for error in errors {
                assert!(expression.is_char_boundary(error.offset()));
                assert!(error.render().contains('^'));
            }
        }
    }
});
