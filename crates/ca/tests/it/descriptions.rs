//! A certificate of every profile is told for what it is, with nothing wrong; a wrong one with what is.

use countersign_ca::{
    CertificateDescription, CertificateRole, Issuer, KeyAlgorithm, Profile, Publication, ServerPurposes,
};
use countersign_core::alternative_names::AlternativeNames;
use countersign_core::time::Timestamp;
use countersign_testkit::{LeafSpec, TestCa, purpose, usage};

use crate::hierarchy::{CRL_URL, Hierarchy, device, issue, key, now, request, server, subject};
use crate::openssl::Openssl;

fn described(issuer: &Issuer, profile: Profile) -> CertificateDescription {
    let key = key(KeyAlgorithm::P256);
    let publication = Publication { crl_url: Some(CRL_URL.to_owned()), ..Publication::default() };
    let request = countersign_ca::CertificateRequest { publication, ..request(profile, key.public_key()) };
    let issued = issue(issuer, request);
    CertificateDescription::of(issued.der(), Some(issuer.certificate_der()), now()).unwrap()
}

#[test]
fn what_we_issue_is_told_for_what_it_is_and_nothing_is_wrong_with_it() {
    let Hierarchy { root, devices, services } = Hierarchy::new(KeyAlgorithm::P256);
    let dns = AlternativeNames { dns: vec!["a.example.com".to_owned()], ..AlternativeNames::default() };
    let both =
        Profile::ServiceServer { names: dns.clone().into(), purposes: ServerPurposes::ServerAndClient };
    let client = Profile::ServiceClient { names: dns.into() };
    let responder = Profile::Ocsp { subject: subject("CN=Responder") };
    let intermediate =
        Profile::Intermediate { subject: subject("CN=Between"), purposes: [].into(), path_length: Some(1) };
    let issuing = Profile::IssuingDevice { subject: subject("CN=More Devices") };
    for (issuer, profile, role) in [
        (&devices, device("d1"), CertificateRole::Device),
        (&services, server(&["a.example.com"], &[]), CertificateRole::Server),
        (&services, both, CertificateRole::ServerAndClient),
        (&services, client, CertificateRole::Client),
        (&devices, responder, CertificateRole::Responder),
        (&root, intermediate, CertificateRole::Ca),
        (&root, issuing, CertificateRole::Ca),
    ] {
        let told = described(issuer, profile);
        assert_eq!((told.role, &told.faults[..], &told.lints[..]), (role, &[][..], &[][..]), "{told:?}");
        let listed = if role == CertificateRole::Responder { vec![] } else { vec![CRL_URL] };
        assert_eq!(told.crl_urls, listed);
    }
    let told = CertificateDescription::of(root.certificate_der(), None, now()).unwrap();
    assert!(
        told.role == CertificateRole::Root && told.faults.is_empty() && told.lints.is_empty(),
        "{told:?}"
    );
    assert_eq!((told.subject.as_str(), told.issuer.as_str()), ("CN=Example Root", "CN=Example Root"));
}

fn faults(der: &[u8], issuer: Option<&[u8]>, at: Timestamp) -> Vec<String> {
    let told = CertificateDescription::of(der, issuer, at).unwrap();
    told.faults.into_iter().map(|fault| fault.name).collect()
}

#[test]
fn what_is_wrong_is_named() {
    let ca = TestCa::new("countersign.internal");
    let good = ca.device_spec("acme", "d1");
    let signs = usage::DIGITAL_SIGNATURE | usage::KEY_CERT_SIGN;
    for (spec, name) in [
        (LeafSpec { purposes: vec![], ..good.clone() }, "no_purpose"),
        (LeafSpec { purposes: vec![purpose::ANY], ..good.clone() }, "any_purpose"),
        (LeafSpec { key_usage: Some(signs), ..good.clone() }, "leaf_may_sign"),
        (LeafSpec { unknown_critical_extension: true, ..good.clone() }, "unknown_critical_extension"),
        (LeafSpec { not_after: now() - std::time::Duration::from_secs(60), ..good.clone() }, "expired"),
        (
            LeafSpec { not_before: now() + std::time::Duration::from_secs(60), ..good.clone() },
            "not_yet_valid",
        ),
    ] {
        let found = faults(ca.mint(&spec).der(), None, now());
        assert!(found.iter().any(|found| found == name), "{name}: {found:?}");
    }
    let in_order = faults(ca.mint(&good).der(), None, now());
    assert!(in_order.is_empty(), "{in_order:?}");
}

#[test]
fn lints_are_told_apart_from_what_is_wrong() {
    let ca = TestCa::new("countersign.internal");
    let told = CertificateDescription::of(ca.device("acme", "d1").der(), None, now()).unwrap();
    let lints: Vec<_> = told.lints.iter().map(|lint| lint.name.as_str()).collect();
    assert!(told.faults.is_empty() && lints.contains(&"ski_present"), "{told:?}");
}

#[test]
fn an_issuer_that_did_not_sign_is_told() {
    let (ca, twin) = (TestCa::new("countersign.internal"), TestCa::new("countersign.internal"));
    let (own, forged) = (ca.device("acme", "d1"), twin.device("acme", "d1"));
    let issuer = own.chain[1].as_slice();
    assert!(!faults(own.der(), Some(issuer), now()).contains(&"signature".to_owned()));
    assert!(faults(forged.der(), Some(issuer), now()).contains(&"signature".to_owned()));
}

#[test]
fn weak_keys_and_signatures_of_others_are_told() {
    let openssl = Openssl::new();
    for (options, name) in [
        ("-newkey rsa:1024 -sha256", "weak_or_unsupported_key"),
        ("-newkey rsa:2048 -sha1", "weak_signature"),
        ("-newkey ec -pkeyopt ec_paramgen_curve:secp521r1", "weak_or_unsupported_key"),
    ] {
        openssl.must(&format!(
            "req -x509 {options} -nodes -keyout key.pem -subj /CN=old -days 30 -outform DER -out old.der"
        ));
        let found = faults(&openssl.read("old.der"), None, now());
        assert!(found.iter().any(|found| found == name), "{options}: {found:?}");
    }
}

#[test]
fn what_is_no_certificate_is_refused() {
    for bytes in [&b""[..], b"0\x00", b"-----BEGIN"] {
        assert!(CertificateDescription::of(bytes, None, now()).is_err());
    }
}
