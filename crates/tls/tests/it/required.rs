//! A door that requires a certificate refuses inside the handshake, with the alert that fits. A
//! TLS 1.3 client has finished its own side by then: it learns of it when it reads.

use countersign_core::snapshot::Bar;
use countersign_core::time::Timestamp;
use countersign_testkit::{LeafSpec, TestCa};
use countersign_tls::ClientAuth;
use rustls::AlertDescription;

use crate::meeting::{Client, DOMAIN, Door, NOW, VERSIONS};

#[tokio::test]
async fn good_standing_is_let_in() {
    let ca = TestCa::new(DOMAIN);
    let door = Door::new(&ca, ClientAuth::Required);
    let (active, pending) = (ca.device("acme", "d1"), ca.device("acme", "d2"));
    door.change(|snapshot| snapshot.pending.insert(pending.reference.clone()));
    for version in VERSIONS {
        for certificate in [&active, &pending] {
            let peer = door.meet(&Client::showing(&ca, version, certificate)).await.peer();
            assert!(peer.claim().is_some());
        }
    }
}

#[tokio::test]
async fn no_certificate_is_refused() {
    let ca = TestCa::new(DOMAIN);
    let door = Door::new(&ca, ClientAuth::Required);
    for version in VERSIONS {
        let refusal = door.meet(&Client::anonymous(&ca, version)).await.refusal();
        assert_eq!(refusal, ("MTLS_REQUIRED", AlertDescription::CertificateRequired));
    }
}

#[tokio::test]
async fn what_fell_from_good_standing_is_refused_with_its_reason() {
    let ca = TestCa::new(DOMAIN);
    let spec = LeafSpec {
        not_before: NOW,
        not_after: Timestamp::from_secs(NOW.secs() + 10),
        ..ca.device_spec("acme", "d1")
    };
    let certificate = ca.mint(&spec);
    for version in VERSIONS {
        let client = || Client::showing(&ca, version, &certificate);
        let door = Door::new(&ca, ClientAuth::Required);
        door.clock.set(Timestamp::from_secs(NOW.secs() + 11));
        let expired = ("CERTIFICATE_EXPIRED", AlertDescription::CertificateExpired);
        assert_eq!(door.meet(&client()).await.refusal(), expired);
        door.clock.set(Timestamp::from_secs(NOW.secs() - 1));
        let early = ("CERTIFICATE_NOT_YET_VALID", AlertDescription::CertificateExpired);
        assert_eq!(door.meet(&client()).await.refusal(), early);

        let door = Door::new(&ca, ClientAuth::Required);
        door.change(|snapshot| snapshot.superseded.insert(certificate.reference.clone(), NOW));
        let superseded = ("CERTIFICATE_SUPERSEDED", AlertDescription::AccessDenied);
        assert_eq!(door.meet(&client()).await.refusal(), superseded);
        let key = ("acme".parse().unwrap(), "d1".parse().unwrap());
        door.change(|snapshot| snapshot.barred.insert(key, Bar::Quarantined));
        let quarantined = ("DEVICE_QUARANTINED", AlertDescription::AccessDenied);
        assert_eq!(door.meet(&client()).await.refusal(), quarantined);
        door.change(|snapshot| snapshot.denied_keys.insert(certificate.spki()));
        let revoked = ("CERTIFICATE_REVOKED", AlertDescription::CertificateRevoked);
        assert_eq!(door.meet(&client()).await.refusal(), revoked);
    }
}

#[tokio::test]
async fn untrusted_certificates_are_refused() {
    let ca = TestCa::new(DOMAIN);
    let door = Door::new(&ca, ClientAuth::Required);
    let forged = ca.evil_twin().device("acme", "d1");
    let stranger = ca.device("nobody", "d1");
    let server = ca.server(&["d1"]);
    for version in VERSIONS {
        for (certificate, alert) in [
            (&forged, AlertDescription::DecryptError),
            (&stranger, AlertDescription::UnknownCA),
            (&server, AlertDescription::UnsupportedCertificate),
        ] {
            let refusal = door.meet(&Client::showing(&ca, version, certificate)).await.refusal();
            assert_eq!(refusal, ("CERTIFICATE_UNTRUSTED", alert));
        }
    }
}
