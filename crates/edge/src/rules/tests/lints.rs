//! Rules that load and probably do not mean what they say.

use countersign_core::snapshot::RuleAction;

use super::super::{DeviceCas, RuleLintCode, RuleSet};
use super::{ENFORCE, block, rule};

use RuleLintCode::{
    CaseSensitivePath, ExclusionByContains, NoIssuerCheck, Unreachable, UpperCaseHeader,
    VerifiedWithoutRevoked,
};

fn lints_of(expressions: &[(&str, RuleAction)], cas: DeviceCas) -> Vec<RuleLintCode> {
    let sources: Vec<_> = expressions
        .iter()
        .enumerate()
        .map(|(i, (expression, action))| rule(&format!("r{i}"), expression, action.clone()))
        .collect();
    RuleSet::compile(&sources, &[]).unwrap().lints(cas).iter().map(|lint| lint.code).collect()
}

fn lints(expressions: &[&str]) -> Vec<RuleLintCode> {
    let blocking: Vec<_> = expressions.iter().map(|expression| (*expression, block())).collect();
    lints_of(&blocking, DeviceCas::One)
}

const VERIFIED: &str = "not cf.tls_client_auth.cert_verified";

#[test]
fn the_seeds_rule_is_doubted_in_three_ways() {
    assert_eq!(lints(&[ENFORCE]), [VerifiedWithoutRevoked, ExclusionByContains, CaseSensitivePath]);
}

#[test]
fn verified_wants_revoked() {
    assert_eq!(lints(&[VERIFIED]), [VerifiedWithoutRevoked]);
    assert_eq!(lints(&[VERIFIED, "cf.tls_client_auth.cert_revoked"]), []);
}

#[test]
fn exclusions_by_contains_are_doubted_for_paths_alone() {
    assert_eq!(lints(&["not (ssl or lower(http.request.uri.path) contains \"/x\")"]), [ExclusionByContains]);
    assert_eq!(lints(&["http.request.uri.path contains \"/x\"", "not http.host contains \"x\""]), []);
}

#[test]
fn path_patterns_should_not_tell_cases_apart() {
    assert_eq!(lints(&["http.request.uri.path matches \"^/api\""]), [CaseSensitivePath]);
    for fine in [
        "http.request.uri.path matches \"(?i)^/api\"",
        "lower(http.request.uri.path) matches \"^/api\"",
        "http.request.uri.path matches \"^/[0-9]+$\"",
        "http.host matches \"^a\"",
    ] {
        assert_eq!(lints(&[fine]), [], "{fine}");
    }
}

#[test]
fn with_several_cas_the_issuer_should_be_looked_at() {
    let both = "not cf.tls_client_auth.cert_verified or cf.tls_client_auth.cert_revoked";
    assert_eq!(lints_of(&[(both, block())], DeviceCas::Several), [NoIssuerCheck]);
    assert_eq!(lints_of(&[(both, block())], DeviceCas::One), []);
    for checked in ["device.tenant ne \"acme\"", "cf.tls_client_auth.cert_issuer_ski ne \"AB\""] {
        assert_eq!(lints_of(&[(both, block()), (checked, block())], DeviceCas::Several), [], "{checked}");
    }
}

#[test]
fn rules_that_are_never_reached_are_found() {
    let path = "http.request.uri.path eq \"/a\"";
    for (earlier, later) in [
        (path, path),
        ("true", "ssl"),
        ("ssl", "ssl and tls.resumed"),
        ("ssl or tls.resumed", "tls.resumed"),
        ("ssl and tls.resumed", "tls.resumed and ssl"),
        ("ssl", "ssl and tls.resumed or ssl and not tls.resumed"),
    ] {
        assert_eq!(lints(&[earlier, later]), [Unreachable], "{earlier} | {later}");
        assert_eq!(lints_of(&[(earlier, RuleAction::Skip), (later, block())], DeviceCas::One), [Unreachable]);
        assert_eq!(lints_of(&[(earlier, RuleAction::Log), (later, block())], DeviceCas::One), []);
    }
    for (earlier, later) in
        [("ssl and tls.resumed", "ssl"), ("ssl", "tls.resumed"), ("tls.resumed", "ssl or tls.resumed")]
    {
        assert_eq!(lints(&[earlier, later]), [], "{earlier} | {later}");
    }
}

#[test]
fn header_names_in_upper_case_are_doubted() {
    assert_eq!(lints(&["any(http.request.headers[\"X-A\"][*] eq \"b\")"]), [UpperCaseHeader]);
    assert_eq!(lints(&["has_key(http.request.headers, \"X-A\")"]), [UpperCaseHeader]);
    assert_eq!(lints(&["any(http.request.uri.args[\"A\"][*] eq \"b\")"]), []);
}
