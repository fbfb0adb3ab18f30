//! Rules of the snapshot apply to every request, after the safety floor.

use countersign_core::settings::Enforcement;
use countersign_core::snapshot::{BlockResponse, RuleAction, RuleSource};
use countersign_edge::EdgeReport;

use crate::site::{Plan, Site};

fn block(name: &str, expression: &str) -> RuleSource {
    RuleSource {
        name: name.to_owned(),
        expression: expression.to_owned(),
        action: RuleAction::Block(BlockResponse { status: 403, body: None }),
    }
}

#[tokio::test]
async fn a_blocking_rule_refuses_by_its_name() {
    let mut site = Site::usual().await;
    let expression =
        r#"not cf.tls_client_auth.cert_verified and starts_with(http.request.uri.path, "/open")"#;
    site.apply(|snapshot| snapshot.rules = [block("no strangers", expression)].into()).await;
    assert_eq!(site.visitor(None).get("/open/x").await.code(), "RULE_BLOCKED");
    let EdgeReport::Refused(facts) = site.next_report().await else { panic!("a refusal") };
    assert_eq!(facts.rule.as_deref(), Some("no strangers"));
    let certificate = site.device("d1");
    assert_eq!(site.visitor(Some(&certificate)).get("/open/x").await.status, 200);
}

#[tokio::test]
async fn a_set_that_does_not_compile_keeps_the_old_one() {
    let mut site = Site::usual().await;
    let everything = block("closed", r#"starts_with(http.request.uri.path, "/open")"#);
    site.apply(|snapshot| snapshot.rules = [everything].into()).await;
    site.apply(|snapshot| snapshot.rules = [block("broken", "no.such.field")].into()).await;
    assert_eq!(site.visitor(None).get("/open/x").await.code(), "RULE_BLOCKED");
    site.apply(|snapshot| snapshot.rules = [].into()).await;
    assert_eq!(site.visitor(None).get("/open/x").await.status, 200);
}

#[tokio::test]
async fn observed_rules_block_nothing_and_tell() {
    let mut plan = Plan::usual().await;
    plan.config.rules = Enforcement::Observe;
    let mut site = plan.open();
    site.apply(|snapshot| snapshot.rules = [block("closed", "ssl")].into()).await;
    assert_eq!(site.visitor(None).get("/open/x").await.status, 200);
    let EdgeReport::WouldRefuse(facts) = site.next_report().await else { panic!("an observation") };
    assert_eq!(facts.rule.as_deref(), Some("closed"));
}

#[tokio::test]
async fn the_safety_floor_comes_before_a_skip() {
    let mut site = Site::usual().await;
    let certificate = site.device("d1");
    let skip = RuleSource { action: RuleAction::Skip, ..block("let all in", "ssl") };
    site.apply(|snapshot| {
        snapshot.rules = [skip].into();
        snapshot.denied.insert(certificate.reference.clone());
    })
    .await;
    assert_eq!(site.visitor(Some(&certificate)).get("/open/x").await.code(), "CERTIFICATE_REVOKED");
}
