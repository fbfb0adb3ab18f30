//! What people are told of a chain in a file is what doors and clients would do with it.

use countersign_core::time::Timestamp;
use countersign_testkit::{LeafSpec, Signer, TestCa, TestCertificate, purpose, usage};
use countersign_tls::{
    AcceptedChain, ChainCheck, ChainPurpose, ClientAuth, ClientTls, PathError, ServerTrust, UntrustedReason,
};

use crate::meeting::{DOMAIN, Door, NOW, careless_server};

fn judge(
    ca: &TestCa,
    certificate: &TestCertificate,
    purpose: ChainPurpose,
    at: Timestamp,
) -> Result<AcceptedChain, PathError> {
    ChainCheck::new(&[ca.root_der()], purpose, at).unwrap().judge(&certificate.chain)
}

/// Everything that a leaf must not be, with the reason.
fn wrong(good: &LeafSpec) -> Vec<(LeafSpec, UntrustedReason)> {
    use UntrustedReason as R;
    let signs = usage::DIGITAL_SIGNATURE | usage::KEY_CERT_SIGN;
    let any = good.purposes.iter().copied().chain([purpose::ANY]).collect();
    vec![
        (LeafSpec { purposes: vec![], ..good.clone() }, R::WrongExtendedKeyUsage),
        (LeafSpec { purposes: vec![purpose::ANY], ..good.clone() }, R::WrongExtendedKeyUsage),
        (LeafSpec { purposes: any, ..good.clone() }, R::WrongExtendedKeyUsage),
        (LeafSpec { key_usage: Some(signs), ..good.clone() }, R::WrongKeyUsage),
        (LeafSpec { key_usage: Some(0x20), ..good.clone() }, R::WrongKeyUsage),
        (LeafSpec { is_ca: true, ..good.clone() }, R::WrongKeyUsage),
        (LeafSpec { unknown_critical_extension: true, ..good.clone() }, R::UnknownCriticalExtension),
    ]
}

#[tokio::test]
async fn clients_refuse_a_server_that_is_told_to_be_refused() {
    let ca = TestCa::new(DOMAIN);
    let by_roots = ClientTls::new(&ServerTrust::Roots(ca.root_pem()), None).unwrap();
    let pinned = ClientTls::new(&ServerTrust::Pinned(ca.root_sha256()), None).unwrap();
    let good = LeafSpec::server(&["door.test"]);
    let accepted = judge(&ca, &ca.mint(&good), ChainPurpose::Server, NOW).unwrap();
    assert_eq!(accepted.path.len(), 3, "{accepted:?}");
    for client in [&by_roots, &pinned] {
        careless_server(&ca.mint(&good), client, "door.test").await.unwrap();
    }
    for (spec, reason) in wrong(&good) {
        let server = ca.mint(&spec);
        let told = judge(&ca, &server, ChainPurpose::Server, NOW).unwrap_err();
        assert_eq!(told.code(), reason.code(), "{told}");
        for client in [&by_roots, &pinned] {
            careless_server(&server, client, "door.test").await.expect_err(reason.code());
        }
    }
}

#[tokio::test]
async fn doors_refuse_a_device_that_is_told_to_be_refused() {
    let ca = TestCa::new(DOMAIN);
    let door = Door::new(&ca, ClientAuth::Optional);
    let good = ca.device_spec("acme", "d1");
    for purpose in [ChainPurpose::Device, ChainPurpose::Client] {
        let accepted = judge(&ca, &ca.mint(&good), purpose, NOW).unwrap();
        assert_eq!(accepted.identity.unwrap().uri(), good.uris[0]);
    }
    let two = vec![good.uris[0].clone(), good.uris[0].clone()];
    let named_twice = (LeafSpec { uris: two, ..good.clone() }, UntrustedReason::SeveralIdentities);
    for (spec, reason) in wrong(&good).into_iter().chain([named_twice]) {
        let device = ca.mint(&spec);
        for purpose in [ChainPurpose::Device, ChainPurpose::Client] {
            let told = judge(&ca, &device, purpose, NOW).unwrap_err();
            assert_eq!(told.code(), reason.code(), "{told}");
        }
        let client = crate::meeting::Client::showing(&ca, crate::meeting::VERSIONS[1], &device);
        assert_eq!(door.meet(&client).await.peer().untrusted(), Some(reason));
    }
}

#[test]
fn a_client_that_is_no_device_is_one_only_where_devices_are_not_asked_for() {
    let ca = TestCa::new(DOMAIN);
    let service = ca.mint(&LeafSpec {
        purposes: vec![purpose::CLIENT_AUTH],
        uris: vec!["spiffe://countersign.internal/service/billing".to_owned()],
        ..LeafSpec::server(&["billing.test"])
    });
    assert_eq!(judge(&ca, &service, ChainPurpose::Client, NOW).unwrap().identity, None);
    let told = judge(&ca, &service, ChainPurpose::Device, NOW).unwrap_err();
    assert_eq!(told.code(), UntrustedReason::NoIdentity.code());
    let spelt_otherwise = ca.mint(&LeafSpec {
        uris: vec!["SPIFFE://countersign.internal/Tenant/acme/Device/d1".to_owned()],
        ..ca.device_spec("acme", "d1")
    });
    assert!(
        judge(&ca, &spelt_otherwise, ChainPurpose::Client, NOW).is_err(),
        "looks like a device to somebody"
    );
}

#[test]
fn the_evil_twins_certificates_are_refused_for_every_purpose() {
    let (ca, twin) = (TestCa::new(DOMAIN), TestCa::new(DOMAIN));
    for purpose in [ChainPurpose::Device, ChainPurpose::Client, ChainPurpose::Server] {
        let of = |ca: &TestCa| match purpose {
            ChainPurpose::Device | ChainPurpose::Client => ca.device("acme", "d1"),
            ChainPurpose::Server => ca.server(&["door.test"]),
        };
        assert!(judge(&ca, &of(&ca), purpose, NOW).is_ok());
        let forged = of(&twin);
        let mut crossed = forged.clone();
        crossed.chain.truncate(1);
        crossed.chain.extend(of(&ca).chain.into_iter().skip(1));
        for certificate in [forged, crossed] {
            let told = judge(&ca, &certificate, purpose, NOW).unwrap_err();
            assert_eq!(told.code(), UntrustedReason::BadSignature.code(), "{told}");
        }
    }
}

#[test]
fn every_certificate_up_to_the_root_is_valid_at_the_time() {
    let ca = TestCa::new(DOMAIN);
    let long = Timestamp::parse("2049-01-01T00:00:00Z").unwrap();
    let after_the_root = Timestamp::parse("2046-01-01T00:00:00Z").unwrap();
    let spec = LeafSpec { signer: Signer::Root, not_after: long, ..LeafSpec::server(&["door.test"]) };
    let leaf = ca.mint(&spec);
    assert!(judge(&ca, &leaf, ChainPurpose::Server, NOW).is_ok());
    let told = judge(&ca, &leaf, ChainPurpose::Server, after_the_root).unwrap_err();
    assert_eq!(told.code(), "CERTIFICATE_EXPIRED");
    assert!(told.to_string().contains("CN=Test Root"), "{told}");
    let early = Timestamp::parse("2019-12-31T00:00:00Z").unwrap();
    let told = judge(&ca, &leaf, ChainPurpose::Server, early).unwrap_err();
    assert_eq!(told.code(), "CERTIFICATE_NOT_YET_VALID");
    let old = ca.mint(&LeafSpec { not_after: Timestamp::from_secs(NOW.secs() - 1), ..spec });
    let told = judge(&ca, &old, ChainPurpose::Server, NOW).unwrap_err();
    assert_eq!(told.code(), "CERTIFICATE_EXPIRED");
}

#[test]
fn a_server_is_who_was_asked_for() {
    let ca = TestCa::new(DOMAIN);
    let server = ca.server(&["door.test", "127.0.0.1"]);
    for (host, fits) in [("door.test", true), ("127.0.0.1", true), ("other.test", false), ("::1", false)] {
        let check = ChainCheck::new(&[ca.root_der()], ChainPurpose::Server, NOW).unwrap();
        let told = check.with_host(host).unwrap().judge(&server.chain);
        assert_eq!(
            told.map(drop).map_err(|refused| refused.code()),
            if fits { Ok(()) } else { Err("HOST_OTHER") }
        );
    }
    let check = ChainCheck::new(&[ca.root_der()], ChainPurpose::Server, NOW).unwrap();
    assert!(check.with_host("no host").is_err());
}

#[test]
fn fails_closed_on_what_is_no_certificate() {
    let ca = TestCa::new(DOMAIN);
    let nothing: [Vec<u8>; 0] = [];
    let check = ChainCheck::new(&[ca.root_der()], ChainPurpose::Client, NOW).unwrap();
    assert!(check.judge(&nothing).is_err());
    assert!(check.judge(&[b"0\x03abc"]).is_err());
    assert!(check.judge(&[ca.root_der(); 5]).is_err(), "more than a door looks at");
    assert!(ChainCheck::new(&[b"no certificate"], ChainPurpose::Client, NOW).is_err());
    let nobody: [&[u8]; 0] = [];
    let nobody = ChainCheck::new(&nobody, ChainPurpose::Client, NOW).unwrap();
    assert!(nobody.judge(&ca.device("acme", "d1").chain).is_err());
}
