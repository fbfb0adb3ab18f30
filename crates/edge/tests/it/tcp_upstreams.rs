//! What stands behind a TCP door: in clear, over TLS, at a Unix socket; and what it is told.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use countersign_core::ids::SpkiSha256;
use countersign_core::settings::Enforcement;
use countersign_edge::{EdgeReport, ProxyHeader, TcpUpstream};
use countersign_testkit::{ManualClock, TestCa};
use countersign_tls::tunnel::{TlsMaterial, TlsSource};
use countersign_tls::{
    ClientAuth, ClientIdentity, DoorTls, ServerCredential, ServerCredentials, ServerTrust,
};
use ppp::v2;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use crate::site::{NOW, PATIENCE};
use crate::tcp_site::{LOOPBACK, TcpSite, echoes, ended, say_back};

/// An upstream that hands over what a connection begins with, up to the first byte after the header.
async fn listening() -> (SocketAddr, mpsc::UnboundedReceiver<Vec<u8>>) {
    let listener = TcpListener::bind(LOOPBACK).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (heard, hearing) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut header = vec![0; 16];
            stream.read_exact(&mut header).await.unwrap();
            let length = usize::from(u16::from_be_bytes(*header.last_chunk().unwrap()));
            let mut rest = vec![0; length];
            stream.read_exact(&mut rest).await.unwrap();
            heard.send([header, rest].concat()).unwrap();
            tokio::spawn(say_back(stream));
        }
    });
    (address, hearing)
}

/// The values of a header by their types, and those within PP2_TYPE_SSL after its five octets.
fn values(header: &[u8]) -> (Vec<(u8, Vec<u8>)>, Vec<u8>) {
    let header = v2::Header::try_from(header).unwrap();
    let all: Vec<_> = header.tlvs().map(|tlv| tlv.unwrap()).collect();
    let ssl = all.iter().find(|tlv| tlv.kind == 0x20).unwrap().value.to_vec();
    (all.iter().map(|tlv| (tlv.kind, tlv.value.to_vec())).collect(), ssl)
}

fn text(values: &[(u8, Vec<u8>)], kind: u8) -> Option<String> {
    let found = values.iter().find(|(known, _)| *known == kind);
    found.map(|(_, value)| String::from_utf8(value.clone()).unwrap())
}

#[tokio::test]
async fn a_proxy_header_says_who_is_there() {
    let (address, mut heard) = listening().await;
    let site = TcpSite::with(|config| {
        config.upstream = TcpUpstream::Tcp { host: "127.0.0.1".to_owned(), port: address.port() };
        config.proxy_header = ProxyHeader::V2;
        config.identity = Enforcement::Off;
    })
    .await;
    let client = site.client(Some(&site.device("d1")));
    for resumed in [false, true] {
        let mut session = site.open(&client).await;
        assert_eq!(session.is_resumed(), resumed);
        assert!(echoes(&mut session).await, "the first byte after the header is the client's");
        let header = heard.recv().await.unwrap();
        let parsed = v2::Header::try_from(header.as_slice()).unwrap();
        let own = session.transport().local_addr().unwrap();
        assert!(matches!(parsed.addresses, v2::Addresses::IPv4(ip)
            if (ip.source_port, ip.destination_port) == (own.port(), site.address().port())));
        let (values, ssl) = values(&header);
        let uri = "spiffe://countersign.internal/tenant/acme/device/d1";
        assert_eq!(text(&values, 0xe0).as_deref(), Some(uri));
        assert_eq!(text(&values, 0xe1).as_deref(), Some("acme"));
        assert_eq!(text(&values, 0xe2).as_deref(), Some("d1"));
        assert_eq!(text(&values, 0x02).as_deref(), Some("door.test"));
        assert_eq!(text(&values, 0x05).unwrap().len(), 36, "the session's id");
        let (flags, verify) = (ssl[0], &ssl[1..5]);
        assert_eq!((flags, verify), (if resumed { 0x05 } else { 0x07 }, &[0, 0, 0, 0][..]));
        let within = String::from_utf8_lossy(&ssl[5..]).into_owned();
        assert!(within.contains("TLSv1.3") && within.contains("TLS_AES_128_GCM_SHA256"), "{within:?}");
        assert!(within.contains("acme/d1"), "{within:?}");
    }
    let stranger = site.ca.evil_twin().device("acme", "d1");
    for (certificate, flags) in [(None, 0x01), (Some(&stranger), 0x07)] {
        assert!(echoes(&mut site.open(&site.client(certificate)).await).await);
        let (values, ssl) = values(&heard.recv().await.unwrap());
        assert_eq!((ssl[0], &ssl[1..5]), (flags, &[0, 0, 0, 1][..]));
        assert!(!String::from_utf8_lossy(&ssl).contains("acme"), "a stranger's word is not told");
        assert!([0xe0, 0xe1, 0xe2].iter().all(|kind| text(&values, *kind).is_none()));
    }
}

/// An upstream over TLS that asks for a client certificate, and which it was shown.
async fn over_tls(ca: &TestCa, client_auth: ClientAuth) -> (SocketAddr, SpkiSha256) {
    let server = ca.server(&["db.example.com"]);
    let credential = ServerCredential::from_pem(&server.chain_pem(), &server.key_pem()).unwrap();
    let snapshots = watch::channel(Arc::new(ca.snapshot(&["acme"], Enforcement::Enforce))).1;
    let credentials = Arc::new(ServerCredentials::new(credential));
    let clock = Arc::new(ManualClock::at(NOW));
    let tls = DoorTls::new(credentials, snapshots, client_auth, clock).unwrap();
    let listener = TcpListener::bind(LOOPBACK).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if let Ok((stream, _peer)) = tls.accept(stream).await {
                tokio::spawn(say_back(stream));
            }
        }
    });
    (address, server.spki())
}

fn tls_upstream(
    address: SocketAddr,
    server_name: &str,
    trust: ServerTrust,
    identity: Option<&ClientIdentity>,
) -> TcpUpstream {
    let material = TlsMaterial { trust, identity: identity.cloned() };
    let tls = Arc::new(TlsSource::new(move || Ok(material.clone())));
    let (host, server_name) = ("127.0.0.1".to_owned(), server_name.to_owned());
    TcpUpstream::Tls { host, port: address.port(), server_name, tls }
}

#[tokio::test]
async fn an_upstream_over_tls_is_reached_by_its_ca_or_its_key_with_a_certificate_of_our_own() {
    let ca = TestCa::new("upstream.example");
    let (address, key) = over_tls(&ca, ClientAuth::Required).await;
    let own = ca.device("acme", "door");
    let identity = ClientIdentity::from_pem(own.chain_pem(), own.key_pem());
    for trust in [ServerTrust::Roots(ca.root_pem()), ServerTrust::Keys(vec![key])] {
        let upstream = tls_upstream(address, "db.example.com", trust, Some(&identity));
        let site = TcpSite::with(|config| config.upstream = upstream).await;
        let mut session = site.open(&site.client(Some(&site.device("d1")))).await;
        assert!(echoes(&mut session).await);
        session.shutdown().await.unwrap();
        assert!(ended(&mut session).await, "goodbyes pass through both handshakes");
    }
}

#[tokio::test]
async fn an_upstream_that_is_not_the_one_it_should_be_gets_nothing() {
    let ca = TestCa::new("upstream.example");
    let (address, _key) = over_tls(&ca, ClientAuth::None).await;
    let other_key = ServerTrust::Keys(vec![SpkiSha256::from([7; 32])]);
    for (trust, name) in [
        (ServerTrust::Roots(ca.evil_twin().root_pem()), "db.example.com"),
        (ServerTrust::Roots(ca.root_pem()), "other.example.com"),
        (other_key, "db.example.com"),
    ] {
        let upstream = tls_upstream(address, name, trust, None);
        let mut site = TcpSite::with(|config| config.upstream = upstream).await;
        assert!(ended(&mut site.open(&site.client(Some(&site.device("d1")))).await).await);
        let EdgeReport::Failed(facts) = site.next_report().await else { panic!("not failed") };
        assert_eq!(facts.code, "UPSTREAM_UNREACHABLE");
        assert_eq!(site.door.counts().failed, 1);
    }
}

#[tokio::test]
async fn an_upstream_may_be_at_a_unix_socket() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let listener = UnixListener::bind(&path).unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(say_back(stream));
        }
    });
    let site = TcpSite::with(|config| config.upstream = TcpUpstream::Unix(path)).await;
    assert!(echoes(&mut site.open(&site.client(Some(&site.device("d1")))).await).await);
}

#[tokio::test]
async fn an_upstream_that_is_away_or_silent_is_a_failure_and_no_refusal() {
    let silent = TcpListener::bind(LOOPBACK).await.unwrap();
    let gone = TcpListener::bind(LOOPBACK).await.unwrap().local_addr().unwrap();
    let away = TcpUpstream::Tcp { host: "127.0.0.1".to_owned(), port: gone.port() };
    let waiting =
        tls_upstream(silent.local_addr().unwrap(), "db.example.com", ServerTrust::Keys(Vec::new()), None);
    for (upstream, code) in [(away, "UPSTREAM_UNREACHABLE"), (waiting, "UPSTREAM_TIMEOUT")] {
        let mut site = TcpSite::with(|config| {
            config.upstream = upstream;
            config.connect_timeout = Duration::from_millis(300);
        })
        .await;
        let mut session = site.open(&site.client(Some(&site.device("d1")))).await;
        assert!(timeout(PATIENCE, ended(&mut session)).await.unwrap());
        let EdgeReport::Failed(facts) = site.next_report().await else { panic!("not failed") };
        assert_eq!((facts.code.as_str(), facts.certificate.is_some()), (code, true));
    }
}
