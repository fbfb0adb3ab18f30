//! A probe sees what a server shows, whatever it is worth, and nothing else of it.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use countersign_testkit::{LeafSpec, NOT_BEFORE, TestCa, TestCertificate};
use countersign_tls::{ClientAuth, ProbeError, shown_certificates};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::{default_provider, sign::any_supported_type};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::meeting::{DOMAIN, Door, credential};

async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// A server of one connection that shows this; it ends with what the client sent after the handshake.
async fn server(
    ca: &TestCa,
    shown: &TestCertificate,
    asks: ClientAuth,
) -> (SocketAddr, JoinHandle<Option<Vec<u8>>>) {
    let door = Door::new(ca, asks);
    door.credentials.replace_default(credential(shown));
    let (listener, address) = listener().await;
    let served = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let (mut stream, _peer) = door.tls.accept(stream).await.ok()?;
        let mut said = Vec::new();
        // That it hangs up without a word is what it should do.
        let _hung_up = stream.read_to_end(&mut said).await;
        Some(said)
    });
    (address, served)
}

async fn probe(address: SocketAddr) -> Result<Vec<Vec<u8>>, ProbeError> {
    shown_certificates("127.0.0.1", address.port(), "door.test").await
}

#[tokio::test]
async fn what_is_shown_is_taken_as_it_is_and_nothing_is_said() {
    let ca = TestCa::new(DOMAIN);
    let good = LeafSpec::server(&["door.test"]);
    let expired = LeafSpec { not_after: NOT_BEFORE, ..good.clone() };
    for spec in [good, expired, LeafSpec::server(&["other.test"])] {
        let shown = ca.evil_twin().mint(&spec);
        let (address, served) = server(&ca, &shown, ClientAuth::None).await;
        assert_eq!(probe(address).await.unwrap(), shown.chain);
        assert_eq!(served.await.unwrap(), Some(Vec::new()));
    }
}

#[tokio::test]
async fn a_server_that_wants_a_certificate_of_ours_is_seen_and_gets_none() {
    let ca = TestCa::new(DOMAIN);
    let shown = ca.server(&["door.test"]);
    let (address, served) = server(&ca, &shown, ClientAuth::Required).await;
    assert_eq!(probe(address).await.unwrap(), shown.chain);
    assert_eq!(served.await.unwrap(), None, "it refused us");
}

#[tokio::test]
async fn refuses_a_certificate_whose_key_the_server_does_not_have() {
    let ca = TestCa::new(DOMAIN);
    let (shown, other) = (ca.server(&["door.test"]), ca.server(&["door.test"]));
    let key = PrivatePkcs8KeyDer::from(other.key.pkcs8_der().to_vec());
    let key = any_supported_type(&PrivateKeyDer::from(key)).unwrap();
    let chain = shown.chain.iter().cloned().map(CertificateDer::from).collect();
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(CertifiedKey::new(chain, key))));
    let (listener, address) = listener().await;
    let served = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        tokio_rustls::TlsAcceptor::from(Arc::new(config)).accept(stream).await.is_ok()
    });
    assert_eq!(probe(address).await.unwrap_err().code(), "tls");
    assert!(!served.await.unwrap());
}

#[tokio::test]
async fn each_failure_has_its_word() {
    let (listener, address) = listener().await;
    drop(listener);
    assert_eq!(probe(address).await.unwrap_err().code(), "connect");
    assert_eq!(shown_certificates("no.such.host.invalid", 1, "a").await.unwrap_err().code(), "dns");
    assert_eq!(shown_certificates("127.0.0.1", 1, "not a name").await.unwrap_err().code(), "name");
}

#[tokio::test]
async fn refuses_a_server_that_speaks_no_tls() {
    let (listener, address) = listener().await;
    let served = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"220 mail.example.com ESMTP\r\n").await.unwrap();
        let _hung_up = stream.read_to_end(&mut Vec::new()).await;
    });
    let refused = probe(address).await.unwrap_err();
    assert!(matches!(refused, ProbeError::Handshake { .. }), "{refused:?}");
    served.await.unwrap();
}
