//! Certificates that a CA elsewhere signed: those that the authority recorded are their devices', and no
//! other of that CA is anybody's.

use const_oid::AssociatedOid as _;
use countersign_core::access::{Holder, Shown};
use countersign_core::ids::{CertificateRef, IssuerKeyId, SerialNumber, SpkiSha256};
use countersign_core::snapshot::{Binding, Standing};
use countersign_testkit::{LeafSpec, NOT_AFTER, TestCa, TestCertificate};
use countersign_tls::{ClientAuth, UntrustedReason};
use der::{Decode as _, Encode as _};
use x509_cert::Certificate;
use x509_cert::ext::pkix::AuthorityKeyIdentifier;

use crate::meeting::{Client, DOMAIN, Door, VERSIONS};

/// A leaf that does not say whose it is.
fn nameless() -> LeafSpec {
    let mut spec = LeafSpec::device("cloudflare.example", "ignored", "ignored");
    spec.uris.clear();
    spec.common_name = "Cloudflare".to_owned();
    spec
}

fn reference_of(leaf: &TestCertificate) -> CertificateRef {
    let parsed = Certificate::from_der(leaf.der()).unwrap();
    let tbs = parsed.tbs_certificate();
    let list = tbs.extensions().unwrap();
    let id = list.iter().find(|one| one.extn_id == AuthorityKeyIdentifier::OID);
    let id = AuthorityKeyIdentifier::from_der(id.unwrap().extn_value.as_bytes()).unwrap();
    let issuer = IssuerKeyId::named(&tbs.issuer().to_der().unwrap(), id.key_identifier.unwrap().as_bytes());
    let serial = SerialNumber::from_be_bytes(tbs.serial_number().as_bytes()).unwrap();
    CertificateRef { issuer, serial }
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    *SpkiSha256::of(bytes).as_bytes()
}

fn binding(leaf: &TestCertificate) -> (CertificateRef, Binding) {
    let bound = Binding {
        tenant: "acme".parse().unwrap(),
        device: "d1".parse().unwrap(),
        spki: SpkiSha256::of(leaf.key.spki_der()),
        certificate: sha256(leaf.der()),
        not_after: NOT_AFTER,
    };
    (reference_of(leaf), bound)
}

#[tokio::test]
async fn a_recorded_certificate_of_another_ca_is_its_devices() {
    let (ca, elsewhere) = (TestCa::new(DOMAIN), TestCa::new("cloudflare.example"));
    let leaf = elsewhere.mint(&nameless());
    for client_auth in [ClientAuth::Optional, ClientAuth::Required] {
        let door = Door::new(&ca, client_auth);
        let (reference, bound) = binding(&leaf);
        door.change(|snapshot| snapshot.bindings.insert(reference.clone(), bound));
        for version in VERSIONS {
            let peer = door.meet(&Client::showing(&ca, version, &leaf)).await.peer();
            let claim = peer.claim().expect("vouched for");
            assert_eq!(claim.identity.uri(), "spiffe://countersign.internal/tenant/acme/device/d1");
            assert_eq!(claim.reference, reference);
            assert!(peer.issuer_der().is_none());
            assert_eq!(door.shown(&peer), Shown::Device(Holder::Own, Standing::Valid));
            // The same live session once it is denied, and once nobody vouches for it any more.
            door.change(|snapshot| snapshot.denied.insert(reference.clone()));
            assert_eq!(door.shown(&peer), Shown::Device(Holder::Own, Standing::Revoked));
            door.change(|snapshot| snapshot.denied.remove(&reference));
            let (_, bound) = binding(&leaf);
            door.change(|snapshot| snapshot.bindings.remove(&reference));
            assert_eq!(door.shown(&peer), Shown::Device(Holder::Own, Standing::Foreign));
            door.change(|snapshot| snapshot.bindings.insert(reference.clone(), bound));
        }
    }
}

#[tokio::test]
async fn another_certificate_of_that_ca_is_nobodys() {
    let (ca, elsewhere) = (TestCa::new(DOMAIN), TestCa::new("cloudflare.example"));
    let leaf = elsewhere.mint(&nameless());
    let door = Door::new(&ca, ClientAuth::Optional);
    let (reference, bound) = binding(&leaf);
    door.change(|snapshot| snapshot.bindings.insert(reference.clone(), bound));
    let serial = Some(reference.serial.as_bytes().to_vec());
    let again = |key| LeafSpec { serial: serial.clone(), key, ..nameless() };
    for other in [
        elsewhere.mint(&nameless()),
        // The same serial number for another key, for the same key, and by a forger.
        elsewhere.mint(&again(None)),
        elsewhere.mint(&again(Some(leaf.key.clone()))),
        elsewhere.evil_twin().mint(&again(Some(leaf.key.clone()))),
        // One that says itself that it is a device of ours.
        elsewhere.mint(&LeafSpec::device(DOMAIN, "acme", "d1")),
    ] {
        let peer = door.meet(&Client::showing(&ca, VERSIONS[1], &other)).await.peer();
        assert!(peer.claim().is_none());
        // The test CAs have one name, so that only a signature tells them apart.
        let reasons = [UntrustedReason::NoIdentity, UntrustedReason::BadSignature];
        assert!(reasons.contains(&peer.untrusted().unwrap()));
    }
}

#[tokio::test]
async fn our_own_certificates_are_judged_as_ever_beside_them() {
    let (ca, elsewhere) = (TestCa::new(DOMAIN), TestCa::new("cloudflare.example"));
    let door = Door::new(&ca, ClientAuth::Optional);
    let (reference, bound) = binding(&elsewhere.mint(&nameless()));
    door.change(|snapshot| snapshot.bindings.insert(reference, bound));
    let own = ca.device("acme", "d1");
    for _again in 0..2 {
        let peer = door.meet(&Client::showing(&ca, VERSIONS[1], &own)).await.peer();
        assert_eq!(door.shown(&peer), Shown::Device(Holder::Own, Standing::Valid));
    }
    let forged = ca.evil_twin().device("acme", "d1");
    let peer = door.meet(&Client::showing(&ca, VERSIONS[1], &forged)).await.peer();
    assert_eq!(peer.untrusted(), Some(UntrustedReason::BadSignature));
}
