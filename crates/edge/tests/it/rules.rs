//! Rules of the snapshot apply to every request, after the safety floor.

use countersign_core::settings::Enforcement;
use countersign_core::snapshot::{BlockResponse, ListKind, RuleAction, RuleList, RuleSource};
use countersign_edge::{Compat, EdgeReport};
use http::{HeaderValue, Method};

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

#[tokio::test]
async fn what_rules_see_of_a_request_is_what_was_sent() {
    let mut site = Site::usual().await;
    let seen = r#"http.x_forwarded_for eq "10.9.8.7" and any(http.request.headers["x-a"][*] eq "b")
        and raw.http.request.uri.path eq "/open//x" and http.request.uri.args["q"][0] eq "1"
        and cf.tls_cipher contains "TLS_" and cf.ray_id ne "" and not has_key(http.request.headers, "x-forwarded-for")"#;
    site.apply(|snapshot| snapshot.rules = [block("seen", seen)].into()).await;
    for mut line in [site.visitor(None).http1().await, site.visitor(None).http2().await] {
        let mut request = line.request(Method::GET, "/open//x?q=1");
        request.headers_mut().insert("x-forwarded-for", HeaderValue::from_static("10.9.8.7"));
        request.headers_mut().insert("x-a", HeaderValue::from_static("b"));
        assert_eq!(line.call(request).await.unwrap().code(), "RULE_BLOCKED");
    }
    assert_eq!(site.visitor(None).get("/open//x?q=1").await.status, 200);
}

#[tokio::test]
async fn without_the_floor_a_fallen_identity_is_the_rules_to_judge() {
    let mut plan = Plan::usual().await;
    plan.config.compat = Compat::DangerCloudflare;
    let mut site = plan.open();
    let certificate = site.device("d1");
    site.apply(|snapshot| {
        snapshot.denied.insert(certificate.reference.clone());
    })
    .await;
    assert_eq!(site.visitor(Some(&certificate)).get("/open/x").await.status, 200, "no rule refuses it");
    assert_eq!(site.visitor(Some(&certificate)).get("/required/x").await.code(), "CERTIFICATE_REVOKED");
    let revoked = r#"cf.tls_client_auth.cert_revoked and device.status eq "revoked" and device.name eq "d1""#;
    site.apply(|snapshot| snapshot.rules = [block("revoked", revoked)].into()).await;
    assert_eq!(site.visitor(Some(&certificate)).get("/open/x").await.code(), "RULE_BLOCKED");
}

#[tokio::test]
async fn lists_change_without_the_rules() {
    let mut site = Site::usual().await;
    let closed = |item: &str| RuleList {
        name: "closed".to_owned(),
        kind: ListKind::Text,
        items: vec![item.to_owned()],
    };
    site.apply(|snapshot| {
        snapshot.rules = [block("closed", "http.request.uri.path in $closed")].into();
        snapshot.lists = [closed("/open/a")].into();
    })
    .await;
    assert_eq!(site.visitor(None).get("/open/a").await.code(), "RULE_BLOCKED");
    site.apply(|snapshot| snapshot.lists = [closed("/open/b")].into()).await;
    assert_eq!(site.visitor(None).get("/open/a").await.status, 200);
    assert_eq!(site.visitor(None).get("/open/b").await.code(), "RULE_BLOCKED");
}
