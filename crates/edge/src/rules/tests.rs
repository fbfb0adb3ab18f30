//! The language as a whole: the corpus, the seeds' rules, and properties.

use countersign_core::Identity;
use countersign_core::snapshot::{BlockResponse, RuleAction, RuleSource};
use proptest::prelude::*;

use super::ast::{
    AddressTest, Affix, Comparison, Expression, IntegerSource, IntegerTest, LogicalOperator, TextFunction,
    TextSource, TextTest,
};
use super::facts::{CertificateState, CertificateText, CertificateTexts, RequestFacts, Resumption};
use super::fields::{AddressField, Field, IntegerField, REGISTRY};
use super::parser::parse;
use super::pattern::{Pattern, Wildcard};
use super::program::Program;
use super::{Outcome, RuleErrorCode, RuleLintCode, RuleSet};
use crate::headers::Scheme;
use crate::url::{NormalisedPath, OddPaths};

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

fn path(text: &str) -> NormalisedPath {
    NormalisedPath::parse(text, OddPaths::Refused).unwrap()
}

fn facts(target: &NormalisedPath) -> RequestFacts<'_> {
    RequestFacts {
        method: "GET",
        version: "HTTP/1.1",
        scheme: Scheme::Https,
        host: Some("a.example"),
        target,
        user_agent: None,
        source: "::ffff:192.0.2.7".parse().unwrap(),
        server_port: 443,
        tls_version: Some("TLSv1.3"),
        resumption: Resumption::Full,
        certificate: CertificateState::default(),
        texts: None,
        device: None,
    }
}

fn holds(expression: &str, facts: &RequestFacts<'_>) -> bool {
    Program::compile(&parse(expression).unwrap()).holds(facts)
}

#[test]
fn every_expression_of_the_corpus_loads_or_is_refused_as_it_says() {
    let lines = include_str!("corpus.txt").lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut seen = std::collections::HashSet::new();
    let mut wrong = Vec::new();
    for line in lines {
        let (expected, expression) = line.split_once(" | ").unwrap();
        let expression = expression.replace('⏎', "\n");
        match RuleSet::compile(&[rule("r", &expression, block())]) {
            Ok(_) if expected == "ok" => {}
            Ok(_) => wrong.push(format!("loads, instead of {expected}: {expression}")),
            Err(errors) => {
                let [error] = errors.as_slice() else { panic!("{errors:?}") };
                let (before, _) = expression.split_at(error.offset());
                let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
                if format!("{} {column}", error.code()) != expected {
                    wrong.push(format!("{} instead of {expected}", error.render()));
                }
                assert!(error.render().contains('^'));
                seen.insert(error.code());
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    use RuleErrorCode::{BadResponse, DuplicateName, TooDeep, TooLong};
    let elsewhere = [TooLong, TooDeep, DuplicateName, BadResponse];
    let missing: Vec<_> =
        RuleErrorCode::ALL.iter().filter(|code| !seen.contains(code) && !elsewhere.contains(code)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn length_and_nesting_are_limited() {
    let code = |expression: &str| parse(expression).unwrap_err().code;
    let long = |n: usize| format!("http.host eq \"{}\"", "é".repeat(n - 15));
    assert!(parse(&long(4096)).is_ok());
    assert_eq!(code(&long(4097)), RuleErrorCode::TooLong);
    let deep = |n: usize| format!("{}ssl{}", "(".repeat(n), ")".repeat(n));
    assert!(parse(&deep(128)).is_ok());
    assert_eq!(code(&deep(129)), RuleErrorCode::TooDeep);
    assert!(parse(&format!("{}ssl", "!".repeat(128))).is_ok());
    assert_eq!(code(&format!("{}ssl", "!".repeat(4000))), RuleErrorCode::TooDeep);
    let calls = |n: usize| format!("{}http.host{} eq \"a\"", "lower(".repeat(n), ")".repeat(n));
    assert!(parse(&calls(128)).is_ok());
    assert_eq!(code(&calls(129)), RuleErrorCode::TooDeep);
    assert!(parse(&vec!["ssl"; 580].join(" or ")).is_ok());
}

#[test]
fn precedence_is_not_then_and_then_xor_then_or() {
    let same = |left: &str, right: &str| assert_eq!(parse(left), parse(right), "{left}");
    same("ssl or ssl xor ssl and not ssl", "ssl or (ssl xor (ssl and (not ssl)))");
    same("ssl and ssl xor ssl or ssl", "((ssl and ssl) xor ssl) or ssl");
    same("not ssl and ssl", "(not ssl) and ssl");
    same("not http.host contains \"a\" && ssl", "(not (http.host contains \"a\")) and ssl");
    same("ssl and ssl or ssl and ssl", "(ssl and ssl) or (ssl and ssl)");
}

#[test]
fn the_seeds_rules_do_what_the_seeds_say() {
    let rules = RuleSet::compile(&[rule("enforce", ENFORCE, block())]).unwrap();
    let blocked = |target: &str, verified: bool| {
        let target = path(target);
        let certificate = CertificateState { presented: verified, verified, revoked: false };
        let verdict = rules.evaluate(&RequestFacts { certificate, ..facts(&target) }).outcome;
        matches!(verdict, Outcome::Blocked { rule: "enforce", response } if response.status == 403)
    };
    assert!(blocked("/api/v1/agents/0a1b/heartbeat", false));
    assert!(blocked("//api/v1/./agents/0a1b//heartbeat", false));
    assert!(!blocked("/api/v1/agents/0a1b/heartbeat", true));
    assert!(!blocked("/api/v1/agents/enroll", false));
    assert!(!blocked("/api/v1/agents/renew-cert", false));
    assert!(!blocked("/", false));
    let worker = "(http.request.uri.path contains \"/api/\") and not cf.tls_client_auth.cert_verified";
    assert!(holds(worker, &facts(&path("/api/health"))));
    assert!(!holds(worker, &facts(&path("/test"))));
}

#[test]
fn rules_are_ordered_and_the_first_terminating_one_wins() {
    let skip = rule("skip", "http.request.uri.path eq \"/free\"", RuleAction::Skip);
    let log = |name: &str| rule(name, "ssl", RuleAction::Log);
    let teapot = RuleAction::Block(BlockResponse { status: 418, body: None });
    let sources =
        [log("first"), skip, log("second"), rule("third", "ssl", teapot), rule("fourth", "ssl", block())];
    let rules = RuleSet::compile(&sources).unwrap();
    let free = path("/free");
    let verdict = rules.evaluate(&facts(&free));
    assert_eq!((verdict.outcome, verdict.logged), (Outcome::Allowed, vec!["first"]));
    let other = path("/other");
    let verdict = rules.evaluate(&facts(&other));
    assert_eq!(verdict.logged, ["first", "second"]);
    assert!(
        matches!(verdict.outcome, Outcome::Blocked { rule: "third", response } if response.status == 418)
    );
    assert_eq!(RuleSet::default().evaluate(&facts(&other)).outcome, Outcome::Allowed);
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
    let errors = RuleSet::compile(&sources).unwrap_err();
    let found: Vec<_> = errors.iter().map(|error| (error.rule(), error.code())).collect();
    use RuleErrorCode::{BadResponse, DuplicateName, UnknownField};
    assert_eq!(found, [("a", DuplicateName), ("b", BadResponse), ("c", BadResponse), ("d", UnknownField)]);
    assert_eq!(errors[3].hint(), Some("did you mean `ssl`?"));
}

#[test]
fn doubtful_rules_are_pointed_out() {
    let lints = |expressions: &[&str]| {
        let sources: Vec<_> =
            expressions.iter().enumerate().map(|(i, e)| rule(&format!("r{i}"), e, block())).collect();
        RuleSet::compile(&sources).unwrap().lints().iter().map(|lint| lint.code).collect::<Vec<_>>()
    };
    let both = [RuleLintCode::VerifiedWithoutRevoked, RuleLintCode::ExclusionByContains];
    assert_eq!(lints(&[ENFORCE]), both);
    let verified = "not cf.tls_client_auth.cert_verified";
    assert_eq!(lints(&[verified]), both[..1]);
    assert_eq!(lints(&[verified, "cf.tls_client_auth.cert_revoked"]), []);
    assert_eq!(lints(&["not (ssl or lower(http.request.uri.path) contains \"/x\")"]), both[1..]);
    assert_eq!(lints(&["http.request.uri.path contains \"/x\"", "not http.host contains \"x\""]), []);
}

#[test]
fn a_missing_value_makes_every_comparison_false() {
    let target = path("/x");
    let missing = RequestFacts { host: None, ..facts(&target) };
    for test in ["eq \"\"", "ne \"a\"", "contains \"\"", "matches \"\"", "wildcard \"*\"", "in {\"\"}"] {
        for field in
            ["http.host", "http.user_agent", "lower(http.host)", "device.name", "http.request.full_uri"]
        {
            assert!(!holds(&format!("{field} {test}"), &missing), "{field} {test}");
            assert!(holds(&format!("not {field} {test}"), &missing), "{field} {test}");
        }
    }
    for test in ["len(http.host) ge 0", "len(http.host) ne 7", "starts_with(http.host, \"\")"] {
        assert!(!holds(test, &missing), "{test}");
    }
}

#[test]
fn fails_closed_for_ne_on_the_texts_of_a_certificate_that_is_not_there() {
    let target = path("/x");
    assert!(holds("cf.tls_client_auth.cert_fingerprint_sha256 ne \"abc\"", &facts(&target)));
    assert!(holds("not cf.tls_client_auth.cert_issuer_ski in {\"AB\"}", &facts(&target)));
    assert!(holds("cf.tls_client_auth.cert_rfc9440 eq \"\"", &facts(&target)));
}

struct Texts(Vec<Box<[u8]>>);

impl CertificateTexts for Texts {
    fn text(&self, text: CertificateText) -> &str {
        let known = [
            (CertificateText::Serial, "0ABC"),
            (CertificateText::SubjectDn, "CN=acme/d1,O=acme"),
            (CertificateText::NotAfter, "Mar 21 13:35:00 2022 GMT"),
        ];
        known.iter().find(|(one, _)| *one == text).map_or("", |(_, value)| value)
    }
    fn chain_der(&self) -> &[Box<[u8]>] {
        &self.0
    }
}

#[test]
fn every_field_is_read_from_the_request() {
    let target = path("/API/v1?q=1&r=%2f");
    let identity = Identity::from_uri("spiffe://countersign.internal/tenant/acme/device/d1").unwrap();
    let texts = Texts(vec![Box::from([1, 2, 3]), Box::from([4])]);
    let request = RequestFacts {
        user_agent: Some(b"curl/8 \xff"),
        resumption: Resumption::Resumed,
        certificate: CertificateState { presented: true, verified: true, revoked: true },
        texts: Some(&texts),
        device: Some(&identity),
        ..facts(&target)
    };
    for expression in [
        "ssl and tls.resumed",
        "cf.tls_client_auth.cert_presented and cf.tls_client_auth.cert_verified and cf.tls_client_auth.cert_revoked",
        "not cf.tls_client_auth.cert_rfc9440_too_large and not cf.tls_client_auth.cert_chain_rfc9440_too_large",
        "http.host eq \"a.example\" and http.host ne \"A.example\"",
        "http.user_agent contains \"\\xff\"",
        "http.request.method in {\"GET\" \"HEAD\"} and http.request.version eq \"HTTP/1.1\"",
        "http.request.uri eq \"/API/v1?q=1&r=%2f\" and http.request.uri.path eq \"/API/v1\"",
        "http.request.uri.query eq \"q=1&r=%2f\"",
        "http.request.full_uri eq \"https://a.example/API/v1?q=1&r=%2f\"",
        "http.request.uri.path wildcard \"/api/*\" and lower(http.request.uri.path) eq \"/api/v1\"",
        "upper(http.host) eq \"A.EXAMPLE\" and len(http.host) eq 9",
        "ip.src eq 192.0.2.7 and ip.src in {192.0.2.0/24} and not ip.src in {192.0.3.0/24 ::/0}",
        "cf.edge.server_port in {80 443} and cf.edge.server_port le 443 and not cf.edge.server_port gt 443",
        "cf.tls_version eq \"TLSv1.3\"",
        "cf.tls_client_auth.cert_serial eq \"0ABC\" and cf.tls_client_auth.cert_ski eq \"\"",
        "cf.tls_client_auth.cert_subject_dn matches \"^CN=[^,]+,O=acme$\"",
        "cf.tls_client_auth.cert_not_after eq \"Mar 21 13:35:00 2022 GMT\"",
        "cf.tls_client_auth.cert_rfc9440 eq \":AQID:\" and cf.tls_client_auth.cert_chain_rfc9440 eq \":BA==:\"",
        "device.id eq \"spiffe://countersign.internal/tenant/acme/device/d1\"",
        "device.tenant eq \"acme\" and device.name eq \"d1\"",
        "ssl xor ssl xor ssl",
        "starts_with(http.request.uri.path, \"/API\") and ends_with(http.request.uri.path, \"v1\")",
    ] {
        assert!(holds(expression, &request), "{expression}");
        assert!(!holds(&format!("not ({expression})"), &request), "{expression}");
    }
}

#[test]
fn a_certificate_beyond_the_header_limits_is_flagged_and_empty() {
    let target = path("/");
    let texts = Texts(vec![vec![0; 7679].into(), vec![0; 12_286].into()]);
    let flagged = "cf.tls_client_auth.cert_rfc9440_too_large and cf.tls_client_auth.cert_chain_rfc9440_too_large \
         and cf.tls_client_auth.cert_rfc9440 eq \"\" and cf.tls_client_auth.cert_chain_rfc9440 eq \"\"";
    assert!(holds(flagged, &RequestFacts { texts: Some(&texts), ..facts(&target) }));
}

/// The language as its description reads, slowly.
fn interpret(expression: &Expression, facts: &RequestFacts<'_>) -> bool {
    let value = |source: &TextSource| interpret_text(source, facts);
    match expression {
        Expression::Logical(operator, operands) => {
            let values: Vec<bool> = operands.iter().map(|operand| interpret(operand, facts)).collect();
            let truths = values.iter().filter(|value| **value).count();
            match operator {
                LogicalOperator::And => truths == values.len(),
                LogicalOperator::Or => truths > 0,
                LogicalOperator::Xor => truths % 2 == 1,
            }
        }
        Expression::Not(inner) => !interpret(inner, facts),
        Expression::Flag(field) => field.read(facts),
        Expression::Affix(affix, source, text) => value(source).is_some_and(|found| {
            let Some(spare) = found.len().checked_sub(text.len()) else { return false };
            match affix {
                Affix::Start => found[..text.len()] == **text,
                Affix::End => found[spare..] == **text,
            }
        }),
        Expression::Text(source, test) => value(source).is_some_and(|found| interpret_test(test, &found)),
        Expression::Integer(source, test) => {
            let found = match source {
                IntegerSource::Field(IntegerField::ServerPort) => Some(i64::from(facts.server_port)),
                IntegerSource::Length(source) => value(source).map(|text| text.len() as i64),
            };
            found.is_some_and(|found| match test {
                IntegerTest::In(values) => values.contains(&found),
                IntegerTest::Compare(comparison, other) => match comparison {
                    Comparison::Equal => found == *other,
                    Comparison::NotEqual => found != *other,
                    Comparison::Less => found < *other,
                    Comparison::LessOrEqual => found <= *other,
                    Comparison::Greater => found > *other,
                    Comparison::GreaterOrEqual => found >= *other,
                },
            })
        }
        Expression::Address(AddressField::Source, test) => {
            let found = facts.source.to_canonical();
            match test {
                AddressTest::Equal(other) => found == *other,
                AddressTest::NotEqual(other) => found != *other,
                AddressTest::In(networks) => networks.iter().any(|network| network.contains(&found)),
            }
        }
    }
}

fn interpret_text(source: &TextSource, facts: &RequestFacts<'_>) -> Option<Vec<u8>> {
    match source {
        TextSource::Field(field) => field.read(facts).map(|text| text.into_owned()),
        TextSource::Function(function, inner) => {
            let text = interpret_text(inner, facts)?;
            Some(match function {
                TextFunction::Lower => text.to_ascii_lowercase(),
                TextFunction::Upper => text.to_ascii_uppercase(),
            })
        }
    }
}

fn interpret_test(test: &TextTest, found: &[u8]) -> bool {
    match test {
        TextTest::Equal(text) => found == text,
        TextTest::NotEqual(text) => found != text,
        TextTest::Contains(text) => (0..=found.len()).any(|at| found[at..].starts_with(text)),
        TextTest::Matches(pattern) => pattern.regex().is_match(found),
        TextTest::Wildcard(wildcard) => glob(wildcard.source(), found),
        TextTest::In(texts) => texts.iter().any(|text| text == found),
    }
}

fn glob(wildcard: &[u8], text: &[u8]) -> bool {
    match wildcard {
        [] => text.is_empty(),
        [b'*', rest @ ..] => (0..=text.len()).any(|at| glob(rest, &text[at..])),
        [b'\\', literal, rest @ ..] | [literal, rest @ ..] => {
            text.first().is_some_and(|byte| byte.eq_ignore_ascii_case(literal)) && glob(rest, &text[1..])
        }
    }
}

fn any_text() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..6),
        "(/|a|A|api|v1|\\.|acme|example|GET|\"|\\\\){0,4}".prop_map(String::into_bytes),
        Just(b"a.example".to_vec()),
        Just(b"/API/v1".to_vec()),
    ]
}

fn any_source() -> impl Strategy<Value = TextSource> {
    let fields: Vec<_> = REGISTRY
        .iter()
        .filter_map(|(_, field)| if let Field::Text(field) = field { Some(*field) } else { None })
        .collect();
    proptest::sample::select(fields).prop_map(TextSource::Field).prop_recursive(3, 4, 1, |inner| {
        (prop_oneof![Just(TextFunction::Lower), Just(TextFunction::Upper)], inner)
            .prop_map(|(function, inner)| TextSource::Function(function, Box::new(inner)))
    })
}

fn any_test() -> impl Strategy<Value = TextTest> {
    prop_oneof![
        any_text().prop_map(TextTest::Equal),
        any_text().prop_map(TextTest::NotEqual),
        any_text().prop_map(TextTest::Contains),
        "(/|a|A|\\*|\\\\\\*|\\\\\\\\|x|api){0,6}"
            .prop_filter_map("wildcard", |text| Wildcard::new(text.as_bytes()).ok())
            .prop_map(TextTest::Wildcard),
        "(\\^|\\$|/|a|\\[a-z\\]|\\+|\\.|\"|#|\\\\d|api){0,6}"
            .prop_filter_map("regex", |text| Pattern::new(&text).ok())
            .prop_map(TextTest::Matches),
        proptest::collection::vec(any_text(), 1..4).prop_map(TextTest::In),
    ]
}

fn any_comparison() -> impl Strategy<Value = Comparison> {
    use Comparison::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual, NotEqual};
    proptest::sample::select(vec![Equal, NotEqual, Less, LessOrEqual, Greater, GreaterOrEqual])
}

fn any_leaf() -> impl Strategy<Value = Expression> {
    let flags: Vec<_> = REGISTRY
        .iter()
        .filter_map(|(_, field)| if let Field::Boolean(field) = field { Some(*field) } else { None })
        .collect();
    let integer = prop_oneof![Just(443_i64), Just(9), any::<i64>()];
    let addresses = ["192.0.2.7", "192.0.2.8", "::1", "2001:db8::1"].map(|text| text.parse().unwrap());
    let networks = ["192.0.2.0/24", "10.0.0.0/8", "::/0", "::1/128"].map(|text| text.parse().unwrap());
    let address = proptest::sample::select(addresses.to_vec());
    prop_oneof![
        proptest::sample::select(flags).prop_map(Expression::Flag),
        (prop_oneof![Just(Affix::Start), Just(Affix::End)], any_source(), any_text())
            .prop_map(|(affix, source, text)| Expression::Affix(affix, source, text)),
        (any_source(), any_test()).prop_map(|(source, test)| Expression::Text(source, test)),
        (
            prop_oneof![
                Just(IntegerSource::Field(IntegerField::ServerPort)),
                any_source().prop_map(IntegerSource::Length)
            ],
            prop_oneof![
                (any_comparison(), integer.clone()).prop_map(|(c, value)| IntegerTest::Compare(c, value)),
                proptest::collection::vec(integer, 1..3).prop_map(IntegerTest::In)
            ]
        )
            .prop_map(|(source, test)| Expression::Integer(source, test)),
        prop_oneof![
            address.clone().prop_map(AddressTest::Equal),
            address.prop_map(AddressTest::NotEqual),
            proptest::sample::subsequence(networks.to_vec(), 1..3).prop_map(AddressTest::In)
        ]
        .prop_map(|test| Expression::Address(AddressField::Source, test)),
    ]
}

fn any_expression() -> impl Strategy<Value = Expression> {
    any_leaf().prop_recursive(4, 16, 3, |inner| {
        let operator =
            prop_oneof![Just(LogicalOperator::And), Just(LogicalOperator::Or), Just(LogicalOperator::Xor)];
        prop_oneof![
            inner.clone().prop_map(|inner| Expression::Not(Box::new(inner))),
            (operator, proptest::collection::vec(inner, 2..4))
                .prop_map(|(operator, operands)| Expression::Logical(operator, operands)),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_printed_parses_to_the_same_expression(expression in any_expression()) {
        let printed = expression.to_string();
        prop_assume!(printed.chars().count() <= 4096);
        prop_assert_eq!(parse(&printed), Ok(expression), "{}", printed);
    }

    #[test]
    fn the_compiled_form_agrees_with_the_slow_interpreter(
        expression in any_expression(),
        has_host: bool,
        flags: [bool; 4],
        has_certificate: bool,
    ) {
        let target = path("/API/v1?q=1");
        let identity = Identity::from_uri("spiffe://countersign.internal/tenant/acme/device/d1").unwrap();
        let texts = Texts(vec![Box::from([1, 2, 3])]);
        let [presented, verified, revoked, tls] = flags;
        let request = RequestFacts {
            host: has_host.then_some("a.example"),
            scheme: if tls { Scheme::Https } else { Scheme::Http },
            certificate: CertificateState { presented, verified, revoked },
            texts: if has_certificate { Some(&texts) } else { None },
            device: has_certificate.then_some(&identity),
            ..facts(&target)
        };
        prop_assert_eq!(Program::compile(&expression).holds(&request), interpret(&expression, &request));
    }

    #[test]
    fn any_text_parses_or_is_refused_at_a_place_within_it(text in "\\PC{0,80}") {
        if let Err(errors) = RuleSet::compile(&[rule("r", &text, block())]) {
            for error in errors {
                prop_assert!(error.offset() <= text.len() && text.is_char_boundary(error.offset()));
                prop_assert!(error.render().contains('^'));
            }
        }
    }

    #[test]
    fn any_sequence_of_tokens_parses_or_is_refused(
        words in proptest::collection::vec(proptest::sample::select(vec![
            "(", ")", "{", "}", ",", "not", "!", "and", "or", "xor", "eq", "in", "matches", "~", "lower", "len",
            "starts_with", "ssl", "http.host", "ip.src", "cf.edge.server_port", "\"a\"", "r\"b\"", "1", "10.0.0.0/8",
            "::1", "[", "$x", "&", "AND", "strict", "wildcard", "\"", "'", "\n", "é",
        ]), 0..30)
    ) {
        let text = words.join(" ");
        if let Ok(expression) = parse(&text) {
            prop_assert_eq!(parse(&expression.to_string()), Ok(expression));
        }
    }
}
