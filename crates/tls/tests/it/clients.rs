//! Which servers a client trusts, by roots or by a pin, and that the others get no data.

use countersign_core::ids::SpkiSha256;
use countersign_testkit::{LeafSpec, NOT_BEFORE, TestCa, TestCertificate};
use countersign_tls::{
    ClientAuth, ClientError, ClientIdentity, ClientTls, ConnectError, HandshakeError, Peer, ServerTrust,
};
use der::{Decode as _, Encode as _};

use crate::meeting::{DOMAIN, Door, credential};

async fn try_server(
    ca: &TestCa,
    server: &TestCertificate,
    client: &ClientTls,
    host: &str,
) -> (Result<Peer, HandshakeError>, Result<(), ConnectError>) {
    let door = Door::new(ca, ClientAuth::Optional);
    door.credentials.replace_default(credential(server));
    let (near, far) = tokio::io::duplex(64 * 1024);
    let (accepted, connected) = tokio::join!(door.tls.accept(far), client.handshake(host, near));
    (accepted.map(|(_stream, peer)| peer), connected.map(drop))
}

fn pinned(ca: &TestCa) -> ClientTls {
    ClientTls::new(&ServerTrust::Pinned(ca.root_sha256()), None).unwrap()
}

#[tokio::test]
async fn a_pinned_root_is_found_and_kept() {
    let ca = TestCa::new(DOMAIN);
    let client = pinned(&ca);
    assert_eq!(client.pinned_root_pem(), None);
    let server = ca.server(&["door.test", "127.0.0.1", "::1"]);
    for host in ["door.test", "127.0.0.1", "::1"] {
        let (accepted, connected) = try_server(&ca, &server, &client, host).await;
        connected.unwrap();
        accepted.unwrap();
    }
    assert_eq!(client.pinned_root_pem().unwrap().trim(), ca.root_pem().trim());
}

#[tokio::test]
async fn another_root_is_refused_with_both_fingerprints() {
    let ca = TestCa::new(DOMAIN);
    let twin = ca.evil_twin();
    let client = pinned(&ca);
    let (accepted, connected) = try_server(&ca, &twin.server(&["door.test"]), &client, "door.test").await;
    let message = connected.unwrap_err().to_string();
    let hex = |pin: [u8; 32]| pin.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let expected = format!(
        "the server's root does not match the fingerprint: expected {}, got {}",
        hex(ca.root_sha256()),
        hex(twin.root_sha256())
    );
    assert_eq!(message, expected);
    assert!(accepted.is_err(), "the handshake did not finish: no data could be sent");
    assert_eq!(client.pinned_root_pem(), None);
}

#[tokio::test]
async fn showing_the_right_root_is_not_enough() {
    let ca = TestCa::new(DOMAIN);
    let mut forged = ca.evil_twin().server(&["door.test"]);
    forged.chain.truncate(1);
    forged.chain.extend(ca.server(&["door.test"]).chain.into_iter().skip(1));
    let client = pinned(&ca);
    let (accepted, connected) = try_server(&ca, &forged, &client, "door.test").await;
    assert!(matches!(connected, Err(ConnectError::Tls { .. })), "{connected:?}");
    assert_eq!(accepted.unwrap_err().code(), "TLS_PEER_ALERT");
    assert_eq!(client.pinned_root_pem(), None);
}

#[tokio::test]
async fn the_pin_is_of_a_root_and_not_of_the_server() {
    let ca = TestCa::new(DOMAIN);
    let server = ca.server(&["door.test"]);
    let mut hash = [0; 32];
    hash.copy_from_slice(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, server.der()).as_ref());
    let client = ClientTls::new(&ServerTrust::Pinned(hash), None).unwrap();
    let (_, connected) = try_server(&ca, &server, &client, "door.test").await;
    assert!(matches!(connected, Err(ConnectError::PinMismatch { .. })), "{connected:?}");
}

fn by_key(key: SpkiSha256) -> ClientTls {
    let other = SpkiSha256::from([7; 32]);
    ClientTls::new(&ServerTrust::Keys(vec![other, key]), None).unwrap()
}

#[tokio::test]
async fn a_pinned_key_is_enough_whatever_the_certificate_says() {
    let ca = TestCa::new(DOMAIN);
    let strange = TestCa::new("elsewhere.example");
    let old = LeafSpec { not_after: NOT_BEFORE, ..LeafSpec::server(&["other.test"]) };
    for server in [ca.server(&["door.test"]), strange.mint(&old)] {
        let (accepted, connected) = try_server(&ca, &server, &by_key(server.spki()), "door.test").await;
        connected.unwrap();
        accepted.unwrap();
    }
}

#[tokio::test]
async fn another_key_is_refused_and_named() {
    let ca = TestCa::new(DOMAIN);
    let (one, other) = (ca.server(&["door.test"]), ca.server(&["door.test"]));
    let (accepted, connected) = try_server(&ca, &other, &by_key(one.spki()), "door.test").await;
    assert!(matches!(connected, Err(ConnectError::KeyMismatch { got }) if got == other.spki()));
    assert!(accepted.is_err(), "the handshake did not finish: no data could be sent");
}

#[tokio::test]
async fn the_pinned_key_of_a_ca_stands_for_what_it_signed_and_for_nobody_else() {
    let ca = TestCa::new(DOMAIN);
    let root = x509_cert::Certificate::from_der(ca.root_der()).unwrap();
    let key = root.tbs_certificate().subject_public_key_info().to_der().unwrap();
    let client = by_key(SpkiSha256::of(&key));
    let server = ca.server(&["door.test"]);
    for (host, fits) in [("door.test", true), ("other.test", false)] {
        let (_, connected) = try_server(&ca, &server, &client, host).await;
        assert_eq!(connected.is_ok(), fits, "{host}: {connected:?}");
    }
    // The CA in the chain of a server that it did not sign.
    let mut forged = ca.evil_twin().server(&["door.test"]);
    forged.chain.truncate(1);
    forged.chain.extend(server.chain.into_iter().skip(1));
    let (accepted, connected) = try_server(&ca, &forged, &client, "door.test").await;
    assert!(matches!(connected, Err(ConnectError::Tls { .. })), "{connected:?}");
    assert!(accepted.is_err());
}

#[tokio::test]
async fn a_server_is_who_the_client_asked_for() {
    let ca = TestCa::new(DOMAIN);
    let by_roots = ClientTls::new(&ServerTrust::Roots(ca.root_pem()), None).unwrap();
    let server = ca.server(&["door.test", "127.0.0.1"]);
    for client in [&by_roots, &pinned(&ca)] {
        for (host, fits) in
            [("door.test", true), ("127.0.0.1", true), ("other.test", false), ("127.0.0.2", false)]
        {
            let (_, connected) = try_server(&ca, &server, client, host).await;
            assert_eq!(connected.is_ok(), fits, "{host}: {connected:?}");
        }
    }
}

#[tokio::test]
async fn wrong_servers_are_refused() {
    let ca = TestCa::new(DOMAIN);
    let by_roots = ClientTls::new(&ServerTrust::Roots(ca.root_pem()), None).unwrap();
    let good = LeafSpec::server(&["door.test"]);
    let twin = ca.evil_twin().mint(&good);
    let expired = ca.mint(&LeafSpec { not_after: NOT_BEFORE, ..good.clone() });
    let device = ca.mint(&LeafSpec { dns: good.dns.clone(), ..ca.device_spec("acme", "d1") });
    for client in [&by_roots, &pinned(&ca)] {
        for server in [&twin, &expired, &device] {
            let (accepted, connected) = try_server(&ca, server, client, "door.test").await;
            assert!(connected.is_err() && accepted.is_err());
        }
    }
}

#[tokio::test]
async fn a_client_shows_its_identity_when_asked() {
    let ca = TestCa::new(DOMAIN);
    let device = ca.device("acme", "d1");
    let identity = ClientIdentity::from_pem(device.chain_pem(), device.key_pem());
    let client = ClientTls::new(&ServerTrust::Pinned(ca.root_sha256()), Some(&identity)).unwrap();
    let (accepted, connected) = try_server(&ca, &ca.server(&["door.test"]), &client, "door.test").await;
    connected.unwrap();
    assert_eq!(accepted.unwrap().claim().unwrap().reference, device.reference);
    assert_eq!(format!("{identity:?}"), "ClientIdentity([redacted])");
}

#[test]
fn refuses_an_identity_or_roots_that_cannot_be() {
    let ca = TestCa::new(DOMAIN);
    let (one, other) = (ca.device("acme", "d1"), ca.device("acme", "d2"));
    let trust = ServerTrust::Roots(ca.root_pem());
    for (chain, key) in
        [(one.chain_pem(), other.key_pem()), (String::new(), one.key_pem()), (one.chain_pem(), String::new())]
    {
        let refused = ClientTls::new(&trust, Some(&ClientIdentity::from_pem(chain, key)));
        assert!(matches!(refused, Err(ClientError::Identity(_))));
    }
    let refused = ClientTls::new(&ServerTrust::Roots("no root".to_owned()), None);
    assert!(matches!(refused, Err(ClientError::Roots(_))));
}
