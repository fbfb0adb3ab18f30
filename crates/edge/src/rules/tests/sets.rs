//! Rules in their order, and sets that do not load.

use countersign_core::snapshot::{BlockResponse, ListKind, RuleAction, RuleList};
use http::HeaderMap;

use super::super::facts::{CertificateState, RequestFacts};
use super::super::{Outcome, RuleErrorCode, RuleSet};
use super::{ENFORCE, block, facts, holds, path, rule};

#[test]
fn the_seeds_rules_do_what_the_seeds_say() {
    let rules = RuleSet::compile(&[rule("enforce", ENFORCE, block())], &[]).unwrap();
    let none = HeaderMap::new();
    let blocked = |target: &str, verified: bool| {
        let target = path(target);
        let certificate = CertificateState { presented: verified, verified, revoked: false };
        let verdict = rules.evaluate(&RequestFacts { certificate, ..facts(&target, &none) }).outcome;
        matches!(verdict, Outcome::Blocked { rule: "enforce", response } if response.status == 403)
    };
    assert!(blocked("/api/v1/agents/0a1b/heartbeat", false));
    assert!(blocked("//api/v1/./agents/0a1b//heartbeat", false));
    assert!(!blocked("/api/v1/agents/0a1b/heartbeat", true));
    assert!(!blocked("/api/v1/agents/enroll", false));
    assert!(!blocked("/api/v1/agents/renew-cert", false));
    assert!(!blocked("/", false));
    let worker = "(http.request.uri.path contains \"/api/\") and not cf.tls_client_auth.cert_verified";
    assert!(holds(worker, &facts(&path("/api/health"), &none)));
    assert!(!holds(worker, &facts(&path("/test"), &none)));
}

#[test]
fn rules_are_ordered_and_the_first_terminating_one_wins() {
    let skip = rule("skip", "http.request.uri.path eq \"/free\"", RuleAction::Skip);
    let log = |name: &str| rule(name, "ssl", RuleAction::Log);
    let teapot = RuleAction::Block(BlockResponse { status: 418, body: None });
    let sources =
        [log("first"), skip, log("second"), rule("third", "ssl", teapot), rule("fourth", "ssl", block())];
    let rules = RuleSet::compile(&sources, &[]).unwrap();
    let (free, other, none) = (path("/free"), path("/other"), HeaderMap::new());
    let verdict = rules.evaluate(&facts(&free, &none));
    assert_eq!((verdict.outcome, verdict.logged), (Outcome::Allowed, vec!["first"]));
    let verdict = rules.evaluate(&facts(&other, &none));
    assert_eq!(verdict.logged, ["first", "second"]);
    assert!(
        matches!(verdict.outcome, Outcome::Blocked { rule: "third", response } if response.status == 418)
    );
    assert_eq!(RuleSet::default().evaluate(&facts(&other, &none)).outcome, Outcome::Allowed);
}

#[test]
fn fails_closed_when_one_rule_of_many_is_bad() {
    let bad_status = RuleAction::Block(BlockResponse { status: 200, body: None });
    let bad_type =
        RuleAction::Block(BlockResponse { status: 403, body: Some((String::new(), "a\nb".to_owned())) });
    let sources = [
        rule("a", "ssl", block()),
        rule("a", "ssl", block()),
        rule("b", "ssl", bad_status),
        rule("c", "ssl", bad_type),
        rule("d", "sssl", block()),
    ];
    let errors = RuleSet::compile(&sources, &[]).unwrap_err();
    let found: Vec<_> = errors.iter().map(|error| (error.rule(), error.code())).collect();
    use RuleErrorCode::{BadResponse, DuplicateName, UnknownField};
    assert_eq!(found, [("a", DuplicateName), ("b", BadResponse), ("c", BadResponse), ("d", UnknownField)]);
    assert_eq!(errors[3].hint(), Some("did you mean `ssl`?"));
}

#[test]
fn fails_closed_when_one_list_of_many_is_bad() {
    let list =
        |name: &str, kind, item: &str| RuleList { name: name.to_owned(), kind, items: vec![item.to_owned()] };
    let bad = [
        (list("a", ListKind::Ip, "10.0.0.0/33"), RuleErrorCode::BadAddress),
        (list("a", ListKind::Ip, "10.0.0.9..10.0.0.1"), RuleErrorCode::BadRange),
        (list("a", ListKind::Integer, "x"), RuleErrorCode::BadInteger),
        (list("a", ListKind::Hostname, "A.example"), RuleErrorCode::BadList),
        (list("a", ListKind::Hostname, "*.*.example"), RuleErrorCode::BadList),
        (list("A-b", ListKind::Text, "x"), RuleErrorCode::BadList),
    ];
    for (list, code) in bad {
        let errors = RuleSet::compile(&[], &[list]).unwrap_err();
        assert_eq!(errors[0].code(), code);
        assert!(errors[0].render().starts_with("list "), "{}", errors[0].render());
    }
    let twice = [list("a", ListKind::Text, "x"), list("a", ListKind::Text, "y")];
    assert_eq!(RuleSet::compile(&[], &twice).unwrap_err()[0].code(), RuleErrorCode::DuplicateName);
}

#[test]
fn a_missing_value_makes_every_comparison_false() {
    let (target, none) = (path("/x"), HeaderMap::new());
    let missing = RequestFacts { host: None, ..facts(&target, &none) };
    for test in
        ["eq \"\"", "ne \"a\"", "lt \"z\"", "contains \"\"", "matches \"\"", "wildcard \"*\"", "in {\"\"}"]
    {
        for field in [
            "http.host",
            "http.user_agent",
            "http.cookie",
            "lower(http.host)",
            "concat(\"a\", http.host)",
            "device.name",
            "http.request.full_uri",
            "http.request.headers[\"x\"][0]",
            "http.request.headers.names[9]",
            "join(http.request.cookies[\"x\"], \"\")",
            "lookup_json_string(http.request.uri.path, \"x\")",
            "cert.san.uri[0]",
        ] {
            assert!(!holds(&format!("{field} {test}"), &missing), "{field} {test}");
            assert!(holds(&format!("not {field} {test}"), &missing), "{field} {test}");
        }
    }
    for test in [
        "len(http.host) ge 0",
        "len(http.host) ne 7",
        "starts_with(http.host, \"\")",
        "len(http.request.headers[\"x\"]) ge 0",
        "cert.age_ratio ne 5",
        "any(http.request.headers[\"x\"][*] ne \"a\")",
        "all(http.request.headers[\"x\"][*] ne \"a\")",
        "all(not http.request.headers[\"x\"][*] eq \"a\")",
        "all(cert.eku[*] ne \"a\")",
        "has_value(http.request.headers[\"x\"], \"a\")",
    ] {
        assert!(!holds(test, &missing), "{test}");
    }
}

#[test]
fn fails_closed_for_ne_on_the_texts_of_a_certificate_that_is_not_there() {
    let (target, none) = (path("/x"), HeaderMap::new());
    let facts = facts(&target, &none);
    assert!(holds("cf.tls_client_auth.cert_fingerprint_sha256 ne \"abc\"", &facts));
    assert!(holds("not cf.tls_client_auth.cert_issuer_ski in {\"AB\"}", &facts));
    assert!(holds("cf.tls_client_auth.cert_rfc9440 eq \"\"", &facts));
}
