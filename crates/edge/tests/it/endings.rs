//! Connections end with the certificate's life, and gently where the contract says so.

use std::time::Duration;

use countersign_testkit::TestCertificate;
use http::Method;

use crate::cut::{goes_on, tunnel};
use crate::site::{NOW, PATIENCE, Plan, Release, Site, device_key, let_expire};

#[tokio::test]
async fn expiry_ends_a_connection_that_is_open() {
    let site = Site::usual().await;
    let certificate = site.device("d1");
    let visitor = site.visitor(Some(&certificate));
    let mut line = visitor.http2().await;
    assert_eq!(line.get("/required/x").await.unwrap().status, 200);
    let (_line, mut open) = tunnel(&visitor).await;
    let_expire(&site.clock);
    line.closed().await;
    assert!(!goes_on(&mut open).await);
    assert_eq!(visitor.get("/required/x").await.code(), "CERTIFICATE_EXPIRED");
    assert_eq!(visitor.get("/api/v1/agents/renew-cert").await.status, 200, "renewal stays reachable");
}

#[tokio::test]
async fn an_expired_device_keeps_the_connection_it_renews_over() {
    let mut site = Site::usual().await;
    let certificate = site.device("d1");
    let_expire(&site.clock);
    let mut line = site.visitor(Some(&certificate)).http1().await;
    assert_eq!(line.get("/api/v1/agents/renew-cert/challenge").await.unwrap().status, 200);
    site.apply(|snapshot| snapshot.pending.insert(somebody_elses())).await;
    assert_eq!(line.get("/api/v1/agents/renew-cert").await.unwrap().status, 200);
    assert_eq!(line.get("/required/x").await.unwrap().code(), "CERTIFICATE_EXPIRED");
}

fn somebody_elses() -> countersign_core::ids::CertificateRef {
    countersign_core::ids::CertificateRef { issuer: [9; 32].into(), serial: "09".parse().unwrap() }
}

#[tokio::test]
async fn a_superseded_certificates_http_connections_close_after_the_response() {
    for is_http2 in [false, true] {
        let mut plan = Plan::usual().await;
        let release = Release::of(&mut plan);
        let mut site = plan.open();
        let certificate = site.device("d1");
        let visitor = site.visitor(Some(&certificate));
        let mut line = if is_http2 { visitor.http2().await } else { visitor.http1().await };
        let request = line.request(Method::GET, "/api/v1/agents/renew-cert");
        let waiting = tokio::spawn(async move { (line.call(request).await, line) });
        release.until_waiting(1).await;
        supersede(&mut site, &certificate).await;
        assert!(!waiting.is_finished());
        release.all();
        let (answer, mut line) = waiting.await.unwrap();
        assert_eq!(answer.unwrap().status, 200, "the response under way is finished");
        line.closed().await;
        assert_eq!(visitor.get("/required/x").await.code(), "CERTIFICATE_SUPERSEDED");
    }
}

#[tokio::test]
async fn a_superseded_certificates_upgraded_session_lasts_until_the_overlap_ends() {
    let mut site = Site::usual().await;
    let certificate = site.device("d1");
    let visitor = site.visitor(Some(&certificate));
    let (_line, mut open) = tunnel(&visitor).await;
    let mut idle = visitor.http2().await;
    assert_eq!(idle.get("/required/x").await.unwrap().status, 200);
    supersede(&mut site, &certificate).await;
    idle.closed().await;
    assert!(goes_on(&mut open).await);
    site.clock.set(NOW + Duration::from_secs(101));
    until_connections(&site, 0).await;
    assert!(!goes_on(&mut open).await);
}

async fn supersede(site: &mut Site, certificate: &TestCertificate) {
    let until = NOW + Duration::from_secs(100);
    site.apply(|snapshot| snapshot.superseded.insert(certificate.reference.clone(), until)).await;
}

async fn until_connections(site: &Site, count: usize) {
    let reached = async {
        while site.door.live_connections(&device_key("d1")) != count {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, reached).await.unwrap();
}

#[tokio::test]
async fn the_answer_that_brings_the_fall_of_its_own_connection_gets_out() {
    // As the seed's one-step renewal does: revoke, wait until it is applied, then answer.
    let mut plan = Plan::usual().await;
    let release = Release::of(&mut plan);
    let mut site = plan.open();
    let certificate = site.device("d1");
    let mut line = site.visitor(Some(&certificate)).http1().await;
    let request = line.request(Method::POST, "/api/v1/agents/renew-cert");
    let renewal = tokio::spawn(async move { (line.call(request).await, line) });
    release.until_waiting(1).await;
    site.apply(|snapshot| snapshot.denied.insert(certificate.reference.clone())).await;
    release.all();
    let (answer, mut line) = renewal.await.unwrap();
    assert_eq!(answer.unwrap().status, 200);
    line.closed().await;
    assert_eq!(site.visitor(Some(&certificate)).get("/required/x").await.code(), "CERTIFICATE_REVOKED");
}

#[tokio::test]
async fn an_answer_that_does_not_come_keeps_no_fallen_connection_open() {
    let mut plan = Plan::usual().await;
    let release = Release::of(&mut plan);
    let mut site = plan.open();
    let certificate = site.device("d1");
    let mut line = site.visitor(Some(&certificate)).http2().await;
    let request = line.request(Method::POST, "/api/v1/agents/renew-cert");
    let renewal = tokio::spawn(async move { (line.call(request).await, line) });
    release.until_waiting(1).await;
    site.apply(|snapshot| snapshot.denied.insert(certificate.reference.clone())).await;
    let (answer, mut line) = renewal.await.unwrap();
    assert!(answer.is_err());
    assert!(line.closed().await < Duration::from_secs(1));
}
