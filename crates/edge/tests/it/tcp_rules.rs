//! Rules at a TCP door: those about the client, its certificate and its connection.

use countersign_core::settings::Enforcement;
use countersign_core::snapshot::{BlockResponse, RuleAction, RuleSource};
use countersign_edge::EdgeReport;

use crate::tcp_site::{TcpSite, echoes, ended};

fn block(name: &str, expression: &str) -> RuleSource {
    RuleSource {
        name: name.to_owned(),
        expression: expression.to_owned(),
        action: RuleAction::Block(BlockResponse { status: 403, body: None }),
    }
}

async fn with_rules(enforcement: Enforcement, rules: Vec<RuleSource>) -> TcpSite {
    let mut site = TcpSite::with(|config| config.rules = enforcement).await;
    site.apply(|snapshot| snapshot.rules = rules.into()).await;
    site
}

#[tokio::test]
async fn a_rule_about_the_device_blocks_it_and_nobody_else() {
    let rules = vec![block("no kiosks", "device.name wildcard \"kiosk-*\" and ip.src in {127.0.0.0/8}")];
    let mut site = with_rules(Enforcement::Enforce, rules).await;
    assert!(echoes(&mut site.open(&site.client(Some(&site.device("ws-1")))).await).await);
    assert!(ended(&mut site.open(&site.client(Some(&site.device("kiosk-1")))).await).await);
    let facts = site.refused().await;
    assert_eq!((facts.code.as_str(), facts.rule.as_deref()), ("RULE_BLOCKED", Some("no kiosks")));
    assert_eq!(site.echo.connections(), 1);
}

#[tokio::test]
async fn a_rule_that_asks_about_a_request_has_nothing_to_say() {
    let rules = vec![
        block("only get", "http.request.method ne \"GET\""),
        block("not raw", "not raw.http.request.uri contains \"x\""),
    ];
    let site = with_rules(Enforcement::Enforce, rules).await;
    assert!(echoes(&mut site.open(&site.client(Some(&site.device("ws-1")))).await).await);
}

#[tokio::test]
async fn observed_rules_are_recorded_and_block_nobody() {
    let mut site =
        with_rules(Enforcement::Observe, vec![block("nobody", "cf.tls_client_auth.cert_verified")]).await;
    assert!(echoes(&mut site.open(&site.client(Some(&site.device("ws-1")))).await).await);
    let told = site.next_report().await;
    assert!(matches!(told, EdgeReport::WouldRefuse(facts) if facts.rule.as_deref() == Some("nobody")));
}
