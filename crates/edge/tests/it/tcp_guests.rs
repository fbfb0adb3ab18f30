//! Whom a TCP door admits besides, or instead of, every device: by kind, tenant, name and subject.

use std::sync::Arc;
use std::time::{Duration, Instant};

use countersign_edge::{Audience, Devices, RequiredAttribute};
use countersign_testkit::{LeafSpec, TestCertificate};

use crate::site::NOW;
use crate::tcp_site::{TcpSite, echoes, ended};

const ORGANIZATIONAL_UNIT: &str = "2.5.4.11";

async fn admitting(audience: Audience) -> TcpSite {
    let mut site = TcpSite::with(|config| config.audience = Some(Arc::new(audience))).await;
    let services = site.ca.trusted_service_issuer();
    site.apply(|snapshot| snapshot.service_issuers.push_back(services)).await;
    site
}

/// `let in`, or the code of the refusal.
async fn outcome(site: &mut TcpSite, certificate: &TestCertificate) -> String {
    let mut session = site.open(&site.client(Some(certificate))).await;
    if echoes(&mut session).await {
        return "let in".to_owned();
    }
    site.refused().await.code
}

fn service(site: &TcpSite, name: &str, unit: &str) -> TestCertificate {
    let span = Duration::from_secs(1000);
    site.ca.mint(&LeafSpec {
        not_before: NOW - span,
        not_after: NOW + span,
        subject: vec![(ORGANIZATIONAL_UNIT, unit.to_owned())],
        ..LeafSpec::service(name)
    })
}

#[tokio::test]
async fn a_service_with_the_right_cn_and_unit_is_let_in_and_nobody_else() {
    let mut site = admitting(Audience {
        devices: Devices::Refused,
        guests: vec!["services".parse().unwrap()],
        common_names: vec!["ceneca-web-client".to_owned()],
        subject: vec![RequiredAttribute { kind: "OU".parse().unwrap(), value: None }],
        ..Audience::default()
    })
    .await;
    let right = service(&site, "ceneca-web-client", "Web Services");
    let wrong_name = service(&site, "ceneca-agent", "Web Services");
    let hidden = service(&site, "evil,CN=ceneca-web-client", "Web Services");
    let device = site.device("d1");
    assert_eq!(outcome(&mut site, &right).await, "let in");
    for certificate in [&wrong_name, &hidden, &device] {
        assert_eq!(outcome(&mut site, certificate).await, "NOT_ADMITTED_HERE");
    }
    let forged = site.ca.evil_twin().mint(&LeafSpec::service("ceneca-web-client"));
    assert_eq!(outcome(&mut site, &forged).await, "CERTIFICATE_UNTRUSTED");
}

#[tokio::test]
async fn devices_are_let_in_by_tenant_and_name() {
    let mut site = admitting(Audience {
        tenants: vec!["acme".parse().unwrap()],
        device_names: vec!["db-*".parse().unwrap()],
        ..Audience::default()
    })
    .await;
    let (right, wrong) = (site.device("db-1"), site.device("ws-1"));
    assert_eq!(outcome(&mut site, &right).await, "let in");
    assert_eq!(outcome(&mut site, &wrong).await, "NOT_ADMITTED_HERE");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_services_session_is_cut_when_it_is_revoked() {
    let mut site =
        admitting(Audience { guests: vec!["services".parse().unwrap()], ..Audience::default() }).await;
    let certificate = service(&site, "pulse", "Web");
    let mut session = site.open(&site.client(Some(&certificate))).await;
    assert!(echoes(&mut session).await);
    let began = Instant::now();
    site.apply(|snapshot| snapshot.denied.insert(certificate.reference.clone())).await;
    assert!(!ended(&mut session).await);
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
}
