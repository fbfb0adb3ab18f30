//! Which certificates a door that asks for one vouches for, and why it does not vouch for the others.

use countersign_core::access::{Holder, Shown};
use countersign_core::snapshot::{Bar, Standing, TenantService};
use countersign_core::time::Timestamp;
use countersign_testkit::{KeyKind, LeafSpec, Signer, TestCa, TestKey, purpose, usage};
use countersign_tls::{ClientAuth, TlsProtocol, UntrustedReason};
use rustls::AlertDescription;

use crate::meeting::{Client, DOMAIN, Door, NOW, VERSIONS};

#[tokio::test]
async fn a_device_is_known_by_its_certificate() {
    let ca = TestCa::new(DOMAIN);
    let door = Door::new(&ca, ClientAuth::Optional);
    for version in VERSIONS {
        for kind in [KeyKind::P256, KeyKind::P384, KeyKind::Rsa2048] {
            let certificate = ca.mint(&LeafSpec { key_kind: kind, ..ca.device_spec("acme", "d1") });
            let peer = door.meet(&Client::showing(&ca, version, &certificate)).await.peer();
            let claim = peer.claim().expect("vouched for");
            assert_eq!(claim.identity.uri(), "spiffe://countersign.internal/tenant/acme/device/d1");
            assert_eq!(claim.reference, certificate.reference);
            assert_eq!(claim.spki, certificate.spki());
            assert_eq!(peer.chain_der()[0].as_ref(), certificate.der());
            assert_eq!(peer.untrusted(), None);
            assert_eq!(door.shown(&peer), Shown::Device(Holder::Own, Standing::Valid));
        }
    }
}

#[tokio::test]
async fn the_handshakes_own_facts_are_told() {
    let ca = TestCa::new(DOMAIN);
    let door = Door::new(&ca, ClientAuth::Optional);
    let peer = door.meet(&Client::anonymous(&ca, VERSIONS[1])).await.peer();
    assert_eq!(peer.protocol(), TlsProtocol::Tls13);
    assert_eq!(peer.cipher(), "TLS_AES_128_GCM_SHA256", "the server chooses");
    assert_eq!(peer.key_exchange(), Some("X25519MLKEM768"));
    assert_eq!(peer.server_name(), Some("door.test"));
    assert!(!peer.is_resumed());
    let peer = door.meet(&Client::anonymous(&ca, VERSIONS[0])).await.peer();
    assert_eq!(peer.protocol().as_str(), "TLSv1.2");
    assert_eq!(peer.cipher(), "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256");
}

#[tokio::test]
async fn no_certificate_is_nothing_shown() {
    let ca = TestCa::new(DOMAIN);
    for client_auth in [ClientAuth::None, ClientAuth::Optional] {
        let door = Door::new(&ca, client_auth);
        for version in VERSIONS {
            let peer = door.meet(&Client::anonymous(&ca, version)).await.peer();
            assert!(!peer.is_presented() && peer.claim().is_none() && peer.leaf().is_none());
            assert_eq!(door.shown(&peer), Shown::Nothing);
        }
    }
}

#[tokio::test]
async fn a_door_that_asks_for_none_sees_none() {
    let ca = TestCa::new(DOMAIN);
    let door = Door::new(&ca, ClientAuth::None);
    let peer = door.meet(&Client::showing(&ca, VERSIONS[1], &ca.device("acme", "d1"))).await.peer();
    assert!(!peer.is_presented());
}

fn wrong(ca: &TestCa) -> Vec<(&'static str, LeafSpec, UntrustedReason)> {
    let good = ca.device_spec("acme", "d1");
    let second = "spiffe://countersign.internal/tenant/acme/device/d2".to_owned();
    let both = vec![good.uris[0].clone(), second];
    let with = |purposes: &[&'static str]| LeafSpec { purposes: purposes.to_vec(), ..good.clone() };
    let key_usage = |bits| LeafSpec { key_usage: Some(bits), ..good.clone() };
    let uris = |uris: Vec<String>| LeafSpec { uris, ..good.clone() };
    let signed_by = |signer| LeafSpec { signer, ..good.clone() };
    let unknown = LeafSpec { unknown_critical_extension: true, ..good.clone() };
    let backwards =
        LeafSpec { not_before: NOW, not_after: Timestamp::from_secs(NOW.secs() - 1), ..good.clone() };
    let p521 = LeafSpec { key_kind: KeyKind::P521, ..good.clone() };
    use UntrustedReason as R;
    vec![
        ("no extended key usage", with(&[]), R::WrongExtendedKeyUsage),
        ("for servers", with(&[purpose::SERVER_AUTH]), R::WrongExtendedKeyUsage),
        ("for anything", with(&[purpose::ANY]), R::WrongExtendedKeyUsage),
        ("for clients and anything", with(&[purpose::CLIENT_AUTH, purpose::ANY]), R::WrongExtendedKeyUsage),
        (
            "may sign certificates",
            key_usage(usage::DIGITAL_SIGNATURE | usage::KEY_CERT_SIGN),
            R::WrongKeyUsage,
        ),
        (
            "may sign revocation lists",
            key_usage(usage::DIGITAL_SIGNATURE | usage::CRL_SIGN),
            R::WrongKeyUsage,
        ),
        ("may not sign handshakes", key_usage(0x20), R::WrongKeyUsage),
        ("is a CA", LeafSpec { is_ca: true, ..good.clone() }, R::WrongKeyUsage),
        ("unknown critical extension", unknown, R::UnknownCriticalExtension),
        ("two devices", uris(both), R::SeveralIdentities),
        ("one device twice", uris(vec![good.uris[0].clone(), good.uris[0].clone()]), R::SeveralIdentities),
        ("no device", uris(vec![]), R::NoIdentity),
        ("another kind of URI", uris(vec!["https://acme.test/d1".to_owned()]), R::NoIdentity),
        ("valid backwards", backwards, R::Malformed),
        ("a key on P-521", p521, R::UnsupportedKey),
        ("signed by the service CA", signed_by(Signer::Service), R::UnknownIssuer),
        ("signed by the root", signed_by(Signer::Root), R::UnknownIssuer),
    ]
}

#[tokio::test]
async fn every_wrong_certificate_is_untrusted_and_says_why() {
    let ca = TestCa::new(DOMAIN);
    let door = Door::new(&ca, ClientAuth::Optional);
    for (what, spec, reason) in wrong(&ca) {
        let certificate = ca.mint(&spec);
        for version in VERSIONS {
            let peer = door.meet(&Client::showing(&ca, version, &certificate)).await.peer();
            assert_eq!(peer.untrusted(), Some(reason), "{what}");
            assert_eq!(peer.claim(), None, "{what}");
            assert!(peer.is_presented() && peer.leaf().is_some(), "{what}");
            assert_eq!(door.shown(&peer), Shown::Untrusted, "{what}");
        }
    }
}

#[tokio::test]
async fn the_evil_twins_devices_are_untrusted() {
    let ca = TestCa::new(DOMAIN);
    let twin = ca.evil_twin();
    let door = Door::new(&ca, ClientAuth::Optional);
    let forged = twin.device("acme", "d1");
    let mut crossed = forged.clone();
    crossed.chain.truncate(1);
    crossed.chain.extend(ca.device("acme", "d1").chain.into_iter().skip(1));
    for version in VERSIONS {
        for certificate in [&forged, &crossed] {
            let peer = door.meet(&Client::showing(&ca, version, certificate)).await.peer();
            assert_eq!(peer.untrusted(), Some(UntrustedReason::BadSignature));
        }
    }
}

#[tokio::test]
async fn a_chain_over_the_limits_is_not_parsed() {
    let ca = TestCa::new(DOMAIN);
    let certificate = ca.device("acme", "d1");
    let leaf = certificate.chain[0].clone();
    let five = vec![leaf.clone(); 5];
    let long = vec![leaf, vec![0x30; 8 * 1024]];
    for chain in [five, long] {
        for client_auth in [ClientAuth::Optional, ClientAuth::Required] {
            let door = Door::new(&ca, client_auth);
            let client = Client::showing_chain(&ca, VERSIONS[1], chain.clone(), certificate.key.pkcs8_der());
            let refusal = door.meet(&client).await.refusal();
            assert_eq!(refusal, ("CERTIFICATE_UNTRUSTED", AlertDescription::BadCertificate));
        }
    }
}

/// The outline of a certificate with such a public key.
fn outline(key_bytes: u16) -> Vec<u8> {
    let tlv = |tag: u8, content: Vec<u8>| {
        let length = u16::try_from(content.len()).unwrap().to_be_bytes();
        [vec![tag, 0x82], length.to_vec(), content].concat()
    };
    let key = tlv(0x30, vec![0; usize::from(key_bytes - 4)]);
    // Version, serial number, and four empty sequences up to the key.
    let before = [&[0xa0, 3, 2, 1, 2, 2, 1, 1][..], &[0x30, 0].repeat(4)].concat();
    tlv(0x30, tlv(0x30, [before, key].concat()))
}

#[tokio::test]
async fn a_key_that_is_dear_to_verify_with_is_not_verified_with() {
    let ca = TestCa::new(DOMAIN);
    let key = TestKey::generate(KeyKind::P256);
    for client_auth in [ClientAuth::Optional, ClientAuth::Required] {
        let door = Door::new(&ca, client_auth);
        for version in VERSIONS {
            // RSA with 8192 bits has 1,062 bytes.
            let client = Client::showing_chain(&ca, version, vec![outline(1062)], key.pkcs8_der());
            let refusal = door.meet(&client).await.refusal();
            assert_eq!(refusal, ("CERTIFICATE_UNTRUSTED", AlertDescription::UnsupportedCertificate));
        }
    }
}

#[tokio::test]
async fn a_certificate_without_its_key_gets_nowhere() {
    let ca = TestCa::new(DOMAIN);
    let (victim, thief) = (ca.device("acme", "d1"), TestKey::generate(KeyKind::P256));
    for client_auth in [ClientAuth::Optional, ClientAuth::Required] {
        let door = Door::new(&ca, client_auth);
        for version in VERSIONS {
            // The door knows the victim's chain already: that proves nothing about who shows it.
            door.meet(&Client::showing(&ca, version, &victim)).await.peer();
            let client = Client::showing_chain(&ca, version, victim.chain.clone(), thief.pkcs8_der());
            let (code, alert) = door.meet(&client).await.refusal();
            assert_eq!(code, "TLS_PROOF_FAILED");
            assert_eq!(alert, AlertDescription::DecryptError);
        }
    }
}

#[tokio::test]
async fn a_device_ca_outside_its_validity_vouches_for_nobody() {
    let ca = TestCa::with_device_ca_validity(DOMAIN, Timestamp::from_secs(NOW.secs() - 10), NOW);
    let door = Door::new(&ca, ClientAuth::Optional);
    let client = Client::showing(&ca, VERSIONS[1], &ca.device("acme", "d1"));
    let peer = door.meet(&client).await.peer();
    assert_eq!(peer.claim().unwrap().not_after, NOW, "a leaf does not outlive its issuer");
    for shift in [-11, 1] {
        door.clock.set(Timestamp::from_secs(NOW.secs() + shift));
        let peer = door.meet(&client).await.peer();
        assert_eq!(peer.untrusted(), Some(UntrustedReason::IssuerUnfit), "{shift}");
    }
}

#[tokio::test]
async fn dates_and_status_are_told_apart_from_trust() {
    let ca = TestCa::new(DOMAIN);
    let door = Door::new(&ca, ClientAuth::Optional);
    let spec = LeafSpec {
        not_before: NOW,
        not_after: Timestamp::from_secs(NOW.secs() + 10),
        ..ca.device_spec("acme", "d1")
    };
    let certificate = ca.mint(&spec);
    let client = Client::showing(&ca, VERSIONS[1], &certificate);
    for (shift, standing) in [(-1, Standing::NotYetValid), (0, Standing::Valid), (11, Standing::Expired)] {
        door.clock.set(Timestamp::from_secs(NOW.secs() + shift));
        let peer = door.meet(&client).await.peer();
        assert_eq!(door.shown(&peer), Shown::Device(Holder::Own, standing));
    }
    let key = ("acme".parse().unwrap(), "d1".parse().unwrap());
    door.change(|snapshot| snapshot.barred.insert(key, Bar::Quarantined));
    let peer = door.meet(&client).await.peer();
    assert_eq!(door.shown(&peer), Shown::Device(Holder::Own, Standing::Quarantined));
    door.change(|snapshot| {
        snapshot.barred.clear();
        snapshot.tenants.iter_mut().for_each(|(_, trust)| trust.service = TenantService::Suspended);
    });
    assert_eq!(door.shown(&peer), Shown::Device(Holder::Own, Standing::TenantSuspended), "live, too");
}

#[tokio::test]
async fn a_change_of_device_cas_takes_effect_on_the_next_handshake() {
    let (old, new) = (TestCa::new(DOMAIN), TestCa::new(DOMAIN));
    let door = Door::new(&old, ClientAuth::Optional);
    let old_device = Client::showing(&old, VERSIONS[1], &old.device("acme", "d1"));
    let new_device = Client::showing(&old, VERSIONS[1], &new.device("acme", "d2"));
    assert!(door.meet(&new_device).await.peer().claim().is_none());
    door.change(|snapshot| snapshot.device_issuers.push_back(new.trusted_issuer()));
    assert!(door.meet(&new_device).await.peer().claim().is_some(), "side by side, under one name");
    assert!(door.meet(&old_device).await.peer().claim().is_some());
    door.change(|snapshot| snapshot.device_issuers.pop_front());
    assert_eq!(door.meet(&old_device).await.peer().untrusted(), Some(UntrustedReason::BadSignature));
}

#[tokio::test]
async fn a_device_ca_whose_key_is_not_the_one_recorded_is_not_used() {
    let ca = TestCa::new(DOMAIN);
    let door = Door::new(&ca, ClientAuth::Optional);
    door.change(|snapshot| {
        snapshot.device_issuers.iter_mut().for_each(|issuer| issuer.key_id = [7; 32].into());
    });
    let peer = door.meet(&Client::showing(&ca, VERSIONS[1], &ca.device("acme", "d1"))).await.peer();
    assert_eq!(peer.untrusted(), Some(UntrustedReason::UnknownIssuer));
}
