//! Who gets through a TCP door, and that nobody else is heard of behind it.

use std::time::Duration;

use countersign_core::settings::Enforcement;
use countersign_core::snapshot::{Bar, Standing, TenantService, TrustSnapshot};
use countersign_edge::{EdgeReport, Limits};
use countersign_testkit::TestCertificate;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::site::{PATIENCE, device_key, let_expire};
use crate::tcp_site::{TcpSite, echoes, ended};

#[tokio::test]
async fn a_device_reaches_the_upstream_and_is_counted() {
    let site = TcpSite::usual().await;
    let client = site.client(Some(&site.device("d1")));
    let mut session = site.open(&client).await;
    let said: Vec<u8> = (0..1_000_000_u32).map(|number| number.to_le_bytes()[0]).collect();
    let (mut reading, mut writing) = tokio::io::split(&mut session);
    let mut heard = Vec::new();
    let (written, read) = tokio::join!(
        async {
            writing.write_all(&said).await?;
            writing.shutdown().await
        },
        reading.read_to_end(&mut heard)
    );
    written.unwrap();
    read.unwrap();
    assert!(heard == said, "everything came back although the client had said goodbye");
    let counted = async {
        while site.door.counts().ended == 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, counted).await.unwrap();
    let counts = site.door.counts();
    assert_eq!((counts.open, counts.ended, counts.refused), (0, 1, 0));
    assert_eq!((counts.received, counts.sent), (1_000_000, 1_000_000));
    assert!(echoes(&mut site.open(&client).await).await);
}

#[tokio::test]
async fn whoever_has_no_identity_is_refused_and_never_heard_of_behind_the_door() {
    let mut site = TcpSite::usual().await;
    let twin = site.ca.evil_twin().device("acme", "d1");
    let other_tenant = site.ca.device("globex", "d1");
    for (certificate, code) in [
        (None, "MTLS_REQUIRED"),
        (Some(&twin), "CERTIFICATE_UNTRUSTED"),
        (Some(&other_tenant), "CERTIFICATE_UNTRUSTED"),
    ] {
        let mut session = site.open(&site.client(certificate)).await;
        assert!(ended(&mut session).await, "{code}: with a goodbye");
        let facts = site.refused().await;
        assert_eq!((facts.code.as_str(), facts.route.as_deref()), (code, Some("tcp_door echo")));
        assert_eq!((facts.host.as_str(), facts.address.ip().is_loopback()), ("door.test", true));
    }
    assert_eq!((site.echo.connections(), site.door.counts().refused), (0, 3));
}

async fn a_fallen_one_is_refused(
    fall: fn(&mut TrustSnapshot, &TestCertificate),
    code: &str,
    standing: Standing,
) {
    let mut site = TcpSite::usual().await;
    let certificate = site.device("d1");
    let resuming = site.client(Some(&certificate));
    let mut before = site.open(&resuming).await;
    assert!(echoes(&mut before).await);
    drop(before);
    site.apply(|snapshot| fall(snapshot, &certificate)).await;
    for (client, resumed) in [(resuming, true), (site.client(Some(&certificate)), false)] {
        let mut session = site.open(&client).await;
        assert_eq!(session.is_resumed(), resumed);
        assert!(ended(&mut session).await);
        let facts = site.refused().await;
        assert_eq!((facts.code.as_str(), facts.standing), (code, Some(standing)), "resumed: {resumed}");
        assert_eq!(facts.certificate.unwrap().reference, certificate.reference);
    }
    assert_eq!(site.echo.connections(), 1);
}

#[tokio::test]
async fn a_revoked_one_is_refused_resumed_or_not() {
    let revoke = |snapshot: &mut TrustSnapshot, certificate: &TestCertificate| {
        snapshot.denied.insert(certificate.reference.clone());
    };
    a_fallen_one_is_refused(revoke, "CERTIFICATE_REVOKED", Standing::Revoked).await;
}

#[tokio::test]
async fn a_quarantined_one_is_refused_resumed_or_not() {
    let quarantine = |snapshot: &mut TrustSnapshot, _: &TestCertificate| {
        snapshot.barred.insert(device_key("d1"), Bar::Quarantined);
    };
    a_fallen_one_is_refused(quarantine, "DEVICE_QUARANTINED", Standing::Quarantined).await;
}

#[tokio::test]
async fn one_of_a_suspended_tenant_is_refused_resumed_or_not() {
    let suspend = |snapshot: &mut TrustSnapshot, _: &TestCertificate| {
        snapshot.tenants.get_mut(&"acme".parse().unwrap()).unwrap().service = TenantService::Suspended;
    };
    a_fallen_one_is_refused(suspend, "TENANT_SUSPENDED", Standing::TenantSuspended).await;
}

#[tokio::test]
async fn an_expired_one_is_refused() {
    let mut site = TcpSite::usual().await;
    let client = site.client(Some(&site.device("d1")));
    let_expire(&site.clock);
    assert!(ended(&mut site.open(&client).await).await);
    assert_eq!(site.refused().await.code, "CERTIFICATE_EXPIRED");
}

#[tokio::test]
async fn with_client_auth_required_the_handshake_says_why() {
    let mut site = TcpSite::with(|config| config.client_auth = countersign_tls::ClientAuth::Required).await;
    let certificate = site.device("d1");
    assert!(echoes(&mut site.open(&site.client(Some(&certificate))).await).await);
    site.apply(|snapshot| snapshot.denied.insert(certificate.reference.clone())).await;
    let mut session = site.open(&site.client(Some(&certificate))).await;
    let refused = timeout(PATIENCE, session.read_u8()).await.unwrap().unwrap_err();
    assert!(refused.to_string().contains("CertificateRevoked"), "{refused}");
    let facts = site.refused().await;
    assert_eq!((facts.code.as_str(), facts.route.as_deref()), ("CERTIFICATE_REVOKED", Some("tcp_door echo")));
}

#[tokio::test]
async fn observation_lets_through_and_says_what_would_be_refused() {
    let mut site = TcpSite::with(|config| config.identity = Enforcement::Observe).await;
    assert!(echoes(&mut site.open(&site.client(None)).await).await);
    assert!(
        matches!(site.next_report().await, EdgeReport::WouldRefuse(facts) if facts.code == "MTLS_REQUIRED")
    );
    let certificate = site.device("d1");
    site.apply(|snapshot| snapshot.denied.insert(certificate.reference.clone())).await;
    assert!(ended(&mut site.open(&site.client(Some(&certificate))).await).await);
    assert_eq!(site.refused().await.code, "CERTIFICATE_REVOKED", "a fallen one is refused in any case");
}

#[tokio::test]
async fn a_first_use_is_told_once_for_a_connection() {
    let mut site = TcpSite::usual().await;
    let certificate = site.device("d1");
    site.apply(|snapshot| snapshot.pending.insert(certificate.reference.clone())).await;
    assert!(echoes(&mut site.open(&site.client(Some(&certificate))).await).await);
    let told = site.next_report().await;
    assert!(matches!(told, EdgeReport::FirstUse(reference) if reference == certificate.reference));
}

#[tokio::test]
async fn the_limits_of_the_other_doors_are_its_own_too() {
    let one = Limits { total: 1, per_address: 10 };
    let mut site = TcpSite::with(|config| {
        config.limits = one;
        config.handshake_timeout = Duration::from_millis(300);
    })
    .await;
    let mut silent = TcpStream::connect(site.address()).await.unwrap();
    let mut second = TcpStream::connect(site.address()).await.unwrap();
    assert_eq!(timeout(PATIENCE, second.read(&mut [0])).await.unwrap().unwrap_or(0), 0);
    let facts = site.refused().await;
    assert_eq!((facts.code.as_str(), facts.route.as_deref()), ("DOOR_FULL", Some("tcp_door echo")));
    // Nobody may hold the place without a handshake.
    assert_eq!(timeout(PATIENCE, silent.read(&mut [0])).await.unwrap().unwrap_or(0), 0);
    let client = site.client(Some(&site.device("d1")));
    assert!(echoes(&mut site.open_when_there_is_a_place(&client).await).await);
}
