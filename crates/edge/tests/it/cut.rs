//! A fall cuts every live connection of the device in under a second, and nobody else's.

use std::time::Duration;

use countersign_core::snapshot::{Bar, TrustSnapshot};
use countersign_testkit::TestCertificate;
use http::{Method, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use crate::site::{PATIENCE, Site, device_key};
use crate::visitor::{Line, Visitor};

const AT_ONCE: Duration = Duration::from_secs(1);

type Tunnel = TokioIo<hyper::upgrade::Upgraded>;

pub(crate) async fn tunnel(visitor: &Visitor) -> (Line, Tunnel) {
    tunnel_to(visitor, "/required/upgrade").await
}

pub(crate) async fn tunnel_to(visitor: &Visitor, path: &str) -> (Line, Tunnel) {
    let mut line = visitor.http1().await;
    let mut request = line.request(Method::GET, path);
    request.headers_mut().insert("connection", "Upgrade".parse().unwrap());
    request.headers_mut().insert("upgrade", "websocket".parse().unwrap());
    let response = line.send(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
    assert_eq!(response.headers().get("upgrade").unwrap(), "websocket");
    let mut tunnel = TokioIo::new(hyper::upgrade::on(response).await.unwrap());
    assert!(goes_on(&mut tunnel).await);
    (line, tunnel)
}

/// Whether what is sent comes back.
pub(crate) async fn goes_on(tunnel: &mut Tunnel) -> bool {
    let mut echoed = [0; 5];
    let exchange = async {
        tunnel.write_all(b"hello").await?;
        tunnel.read_exact(&mut echoed).await
    };
    timeout(PATIENCE, exchange).await.unwrap().is_ok() && echoed == *b"hello"
}

async fn everything_is_cut(change: fn(&mut TrustSnapshot, &TestCertificate), code: &str) {
    let mut site = Site::usual().await;
    let certificate = site.device("d1");
    let visitor = site.visitor(Some(&certificate));
    let (mut one, mut two) = (visitor.http1().await, visitor.http2().await);
    assert_eq!(one.get("/required/x").await.unwrap().status, 200);
    assert_eq!(two.get("/required/x").await.unwrap().status, 200);
    let (_line, mut tunnel) = tunnel(&visitor).await;
    let other = site.device("d2");
    let mut bystander = site.visitor(Some(&other)).http2().await;
    assert_eq!(bystander.get("/required/x").await.unwrap().status, 200);
    assert_eq!(site.door.live_connections(&device_key("d1")), 3);

    let began = std::time::Instant::now();
    site.apply(|snapshot| change(snapshot, &certificate)).await;
    assert_eq!(site.door.live_connections(&device_key("d1")), 0, "applied means that they are gone");
    one.closed().await;
    two.closed().await;
    assert!(!goes_on(&mut tunnel).await);
    assert!(began.elapsed() < AT_ONCE, "{:?}", began.elapsed());

    assert_eq!(visitor.get("/required/x").await.code(), code, "resumed");
    assert_eq!(visitor.get("/api/v1/agents/x/heartbeat").await.code(), code, "resumed");
    assert_eq!(site.visitor(Some(&certificate)).get("/required/x").await.code(), code, "full");
    assert_eq!(bystander.get("/required/x").await.unwrap().status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revocation_cuts_http_1_http_2_and_upgraded_connections() {
    let revoke = |snapshot: &mut TrustSnapshot, certificate: &TestCertificate| {
        snapshot.denied.insert(certificate.reference.clone());
    };
    everything_is_cut(revoke, "CERTIFICATE_REVOKED").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quarantine_cuts_them_too_and_says_so() {
    everything_is_cut(
        |snapshot, _certificate| {
            snapshot.barred.insert(device_key("d1"), Bar::Quarantined);
        },
        "DEVICE_QUARANTINED",
    )
    .await;
}

#[tokio::test]
async fn a_quarantined_device_is_told_in_the_seeds_words() {
    let mut site = Site::usual().await;
    let certificate = site.device("d1");
    site.apply(|snapshot| snapshot.barred.insert(device_key("d1"), Bar::Quarantined)).await;
    let answer = site.visitor(Some(&certificate)).get("/api/v1/agents/renew-cert").await;
    assert_eq!(answer.status, 403);
    assert_eq!(answer.json().get("quarantined").unwrap(), true);
    assert_eq!(answer.code(), "DEVICE_QUARANTINED");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_under_way_are_cut_with_their_connections() {
    let mut site = Site::usual().await;
    let certificate = site.device("d1");
    let visitor = site.visitor(Some(&certificate));
    let mut calls = Vec::new();
    for mut line in [visitor.http1().await, visitor.http2().await] {
        assert_eq!(line.get("/required/x").await.unwrap().status, 200);
        let request = line.request(Method::GET, "/required/wait");
        calls.push(tokio::spawn(async move { line.call(request).await }));
    }
    let began = std::time::Instant::now();
    site.apply(|snapshot| snapshot.denied.insert(certificate.reference.clone())).await;
    assert_eq!(site.door.live_connections(&device_key("d1")), 0);
    for call in calls {
        let answer = call.await.unwrap();
        assert!(answer.is_err() || answer.unwrap().status == 403);
    }
    assert!(began.elapsed() < AT_ONCE, "{:?}", began.elapsed());
}

#[tokio::test]
async fn an_issuer_that_is_no_longer_trusted_takes_its_sessions_with_it() {
    let mut site = Site::usual().await;
    let certificate = site.device("d1");
    let mut line = site.visitor(Some(&certificate)).http2().await;
    assert_eq!(line.get("/required/x").await.unwrap().status, 200);
    site.apply(|snapshot| snapshot.device_issuers.clear()).await;
    line.closed().await;
}
