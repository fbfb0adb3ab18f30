//! What a CA elsewhere signed is used if it is what was asked for, and refused otherwise.

use std::time::Duration;

use countersign_ca::PublicKey;
use countersign_ca::upstream::{Wanted, certified};
use countersign_core::Identity;
use countersign_testkit::{KeyKind, LeafSpec, NOT_BEFORE, Signer, TestCa, TestKey, purpose, usage};

const LIFE: Duration = Duration::from_secs(90 * 86_400);

fn identity() -> Identity {
    Identity::from_uri("spiffe://countersign.internal/tenant/acme/device/d1").unwrap()
}

/// What Cloudflare signs: nobody's name, for `key`.
fn leaf(key: &TestKey) -> LeafSpec {
    let mut spec = LeafSpec::device("cloudflare.example", "ignored", "ignored");
    spec.uris.clear();
    spec.key = Some(key.clone());
    spec
}

fn judged(key: &TestKey, pem: &str) -> Result<countersign_ca::IssuedCertificate, String> {
    let key = PublicKey::from_spki_der(key.spki_der()).unwrap();
    let now = NOT_BEFORE + Duration::from_secs(86_400);
    let wanted = Wanted { key: &key, identity: &identity(), now, lifetime: LIFE };
    certified(pem, &wanted).map_err(|error| error.to_string())
}

fn pem(ca: &TestCa, spec: &LeafSpec) -> String {
    let all = ca.mint(spec).chain_pem();
    all.split_inclusive("-----END CERTIFICATE-----\n").next().unwrap().to_owned()
}

#[test]
fn a_certificate_for_the_key_is_recorded_under_its_issuer_and_serial() {
    let (ca, key) = (TestCa::new("cloudflare.example"), TestKey::generate(KeyKind::P256));
    let one = judged(&key, &pem(&ca, &leaf(&key))).unwrap();
    let other = judged(&key, &pem(&ca, &leaf(&key))).unwrap();
    assert_eq!(one.reference().issuer, other.reference().issuer);
    assert_ne!(one.reference().serial, other.reference().serial);
    assert_eq!(one.lifetime().expires_at, NOT_BEFORE + Duration::from_secs(86_400) + LIFE, "ours counts");
    let named = LeafSpec { uris: vec![identity().uri()], ..leaf(&key) };
    assert!(judged(&key, &pem(&ca, &named)).is_ok());
    let other_name = LeafSpec { signer: Signer::Root, ..leaf(&key) };
    let root = judged(&key, &pem(&ca, &other_name)).unwrap();
    assert_ne!(root.reference().issuer, one.reference().issuer);
}

#[test]
fn fails_closed_on_anything_else() {
    let (ca, key) = (TestCa::new("cloudflare.example"), TestKey::generate(KeyKind::P256));
    let before = NOT_BEFORE - LIFE;
    for (spec, why) in [
        (leaf(&TestKey::generate(KeyKind::P256)), "another key"),
        (LeafSpec { is_ca: true, ..leaf(&key) }, "a CA's"),
        (LeafSpec { key_usage: Some(usage::KEY_CERT_SIGN), ..leaf(&key) }, "key usage"),
        (LeafSpec { purposes: vec![purpose::SERVER_AUTH], ..leaf(&key) }, "clientAuth"),
        (LeafSpec { purposes: Vec::new(), ..leaf(&key) }, "clientAuth"),
        (LeafSpec { purposes: vec![purpose::CLIENT_AUTH, purpose::ANY], ..leaf(&key) }, "clientAuth"),
        (LeafSpec { unknown_critical_extension: true, ..leaf(&key) }, "critical"),
        (LeafSpec { not_after: NOT_BEFORE, ..leaf(&key) }, "not valid now"),
        (LeafSpec { not_before: before, not_after: before + LIFE, ..leaf(&key) }, "not valid now"),
        (
            LeafSpec {
                uris: vec!["spiffe://countersign.internal/tenant/acme/device/d2".to_owned()],
                ..leaf(&key)
            },
            "names another",
        ),
        (LeafSpec { uris: vec![identity().uri(), identity().uri()], ..leaf(&key) }, "names another"),
    ] {
        let said = judged(&key, &pem(&ca, &spec)).unwrap_err();
        assert!(said.contains(why), "{said}");
    }
    for text in ["", "-----BEGIN CERTIFICATE-----\nAQ==\n-----END CERTIFICATE-----\n", "x"] {
        assert!(judged(&key, text).is_err(), "{text}");
    }
    let both = format!("{0}{0}", pem(&ca, &leaf(&key)));
    assert!(judged(&key, &both).is_err(), "two certificates");
    assert!(judged(&key, &pem(&ca, &leaf(&key)).replace("CERTIFICATE", "PRIVATE KEY")).is_err());
}
