//! Every lint fires on the certificate it is there for, and none on a good one.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use const_oid::db::rfc5280::{ANY_EXTENDED_KEY_USAGE, ID_CE_SUBJECT_KEY_IDENTIFIER};
use countersign_core::TrustDomain;
use countersign_core::alternative_names::AlternativeNames;
use countersign_core::ids::SerialNumber;
use der::asn1::{Any, GeneralizedTime, Int, OctetString, Uint};
use der::{DateTime, Decode as _, Encode};
use x509_cert::ext::Extension;

use super::*;
use crate::distinguished_name::DistinguishedName;
use crate::issuer::{CertificateRequest, Issuer};
use crate::key::{KeyAlgorithm, SigningKey};
use crate::profile::{Publication, ServiceNames};
use crate::random::random_serial;
use crate::tbs::extension;

const HOUR: Duration = Duration::from_secs(3600);

fn now() -> Timestamp {
    Timestamp::parse("2026-06-01T12:00:00Z").unwrap()
}

fn key() -> SigningKey {
    SigningKey::generate(KeyAlgorithm::P256).unwrap()
}

fn root() -> Issuer {
    let (serial, life) = (random_serial(1).unwrap(), Duration::from_secs(3650 * 86_400));
    Issuer::create_root(subject("CN=Test Root"), Arc::new(key()), serial, (now(), life)).unwrap()
}

fn subject(text: &str) -> DistinguishedName {
    text.parse().unwrap()
}

fn below(root: &Issuer, profile: Profile) -> Issuer {
    let kind = match profile {
        Profile::IssuingDevice { .. } => IssuerKind::Device,
        Profile::IssuingService { .. } => IssuerKind::Service,
        Profile::Root { .. }
        | Profile::Intermediate { .. }
        | Profile::Device { .. }
        | Profile::ServiceServer { .. }
        | Profile::ServiceClient { .. }
        | Profile::Edge { .. }
        | Profile::Ocsp { .. } => IssuerKind::Intermediate,
    };
    let key = key();
    let prepared = root.prepare(request(profile, key.public_key())).unwrap();
    Issuer::open(root.sign(prepared).unwrap().der(), Arc::new(key), kind).unwrap()
}

fn server(dns: &[&str]) -> Profile {
    let dns = dns.iter().map(|&text| text.to_owned()).collect();
    let names = AlternativeNames { dns, ..AlternativeNames::default() }.into();
    Profile::ServiceServer { names, purposes: ServerPurposes::Server }
}

fn intermediate(purposes: &[Purpose], path_length: Option<u8>) -> Profile {
    let purposes = purposes.iter().copied().collect();
    Profile::Intermediate { subject: subject("CN=Test Intermediate"), purposes, path_length }
}

fn device_profile(name: &str) -> Profile {
    let tenant = "acme".parse().unwrap();
    Profile::Device { identity: Identity::new(TrustDomain::default(), tenant, name.parse().unwrap()) }
}

fn server_profile() -> Profile {
    server(&["door.example"])
}

fn client_profile(uri: &str) -> Profile {
    let names = AlternativeNames { uris: vec![uri.to_owned()], ..AlternativeNames::default() }.into();
    Profile::ServiceClient { names }
}

fn issuing_device() -> Profile {
    Profile::IssuingDevice { subject: subject("CN=Test Devices") }
}

fn issuing_service() -> Profile {
    Profile::IssuingService { subject: subject("CN=Test Services") }
}

fn request(profile: Profile, public_key: &PublicKey) -> CertificateRequest<'_> {
    CertificateRequest {
        lifetime: profile.default_lifetime(),
        profile,
        public_key,
        serial: random_serial(1).unwrap(),
        issued_at: now(),
        publication: Publication {
            crl_url: Some("http://pki.example/crl".to_owned()),
            ca_issuers_url: Some("http://pki.example/ca".to_owned()),
            ocsp_url: Some("http://pki.example/ocsp".to_owned()),
        },
    }
}

/// A good certificate of `profile`, then `spoil`ed: which lint fires?
fn firing(issuer: &Issuer, profile: &Profile, spoil: impl FnOnce(&mut Tbs)) -> Option<&'static str> {
    let key = key();
    let prepared = issuer.prepare(request(profile.clone(), key.public_key())).unwrap();
    let mut tbs = Tbs::from_der(&prepared.tbs).unwrap();
    let judge = |tbs: &Tbs| {
        let (issuer, public_key) = (issuer.facts(), key.public_key());
        match check(&Subject { tbs, profile, issuer, public_key, issued_at: now() }) {
            Ok(()) => None,
            Err(PrepareError::Lint { name, .. }) => Some(name),
            Err(other @ PrepareError::Encode(_)) => panic!("{other}"),
        }
    };
    assert_eq!(judge(&tbs), None);
    spoil(&mut tbs);
    judge(&tbs)
}

fn refused(issuer: &Issuer, request: CertificateRequest<'_>) -> &'static str {
    match issuer.prepare(request).unwrap_err() {
        PrepareError::Lint { name, .. } => name,
        other @ PrepareError::Encode(_) => panic!("{other}"),
    }
}

fn replace(tbs: &mut Tbs, oid: ObjectIdentifier, critical: bool, value: &impl Encode) {
    for slot in tbs.extensions.iter_mut().filter(|slot| slot.extn_id == oid) {
        *slot = extension(oid, critical, value).unwrap();
    }
}

fn general_time(text: &str) -> Time {
    Time::GeneralTime(GeneralizedTime::from_date_time(text.parse::<DateTime>().unwrap()))
}

fn names(texts: &[&str]) -> SubjectAltName {
    SubjectAltName(texts.iter().map(|text| name::uri(text).unwrap()).collect())
}

fn common_name(text: &str) -> Any {
    name::distinguished_name(&[(NameAttribute::CommonName, text.to_owned())]).unwrap()
}

/// What is wrong with a device certificate, and the lint that says so.
type Spoiling = (&'static str, fn(&mut Tbs));

const SPOILT_DEVICES: &[Spoiling] = &[
    ("version_is_3", |tbs| tbs.version = Version::V1),
    ("serial_positive_and_at_most_20_octets", |tbs| tbs.serial = Int::new(&[0xff; 12]).unwrap()),
    ("serial_positive_and_at_most_20_octets", |tbs| tbs.serial = Int::new(&[0]).unwrap()),
    ("serial_positive_and_at_most_20_octets", |tbs| tbs.serial = Uint::new(&[0x80; 20]).unwrap().into()),
    ("serial_has_room_for_64_random_bits", |tbs| tbs.serial = Int::new(&[1; 8]).unwrap()),
    ("issuer_name_is_the_issuers_subject", |tbs| tbs.issuer = common_name("Test  Devices")),
    ("validity_within_issuer", |tbs| tbs.validity.not_after = general_time("2086-01-01T00:00:00Z")),
    ("validity_within_issuer", |tbs| {
        tbs.validity.not_before = "2020-01-01T00:00:00Z".parse().unwrap();
    }),
    ("lifetime_positive", |tbs| tbs.validity.not_after = tbs.validity.not_before),
    ("lifetime_positive", |tbs| tbs.validity.not_before = "2026-06-01T12:00:01Z".parse().unwrap()),
    ("dates_use_right_time_type", |tbs| tbs.validity.not_after = general_time("2026-08-01T00:00:00Z")),
    ("subject_present", |tbs| tbs.subject = name::distinguished_name(&[]).unwrap()),
    ("subject_present", |tbs| tbs.subject = common_name("")),
    ("subject_present", |tbs| tbs.subject = common_name("a\nb")),
    ("subject_present", |tbs| tbs.subject = common_name(&"x".repeat(65))),
    ("key_is_the_requested_one", |tbs| {
        tbs.public_key = spki::SubjectPublicKeyInfoOwned::from_der(key().public_key().spki_der()).unwrap();
    }),
    ("extensions_unique", |tbs| tbs.extensions.push(tbs.extensions[1].clone())),
    ("no_unknown_critical_extension", |tbs| {
        tbs.extensions.push(Extension {
            extn_id: ObjectIdentifier::new_unwrap("1.3.6.1.4.1.32473.1"),
            critical: true,
            extn_value: OctetString::new([5, 0]).unwrap(),
        });
    }),
    ("critical_bits_right", |tbs| tbs.extensions[0].critical = false),
    ("critical_bits_right", |tbs| tbs.extensions[1].critical = false),
    ("critical_bits_right", |tbs| tbs.extensions[3].critical = true),
    ("ski_present", |tbs| tbs.extensions.retain(|one| one.extn_id != ID_CE_SUBJECT_KEY_IDENTIFIER)),
    ("ski_present", |tbs| {
        let id = SubjectKeyIdentifier(OctetString::new([7; 20]).unwrap());
        replace(tbs, SubjectKeyIdentifier::OID, false, &id);
    }),
    ("aki_matches_issuer", |tbs| {
        let own = tbs.extension::<SubjectKeyIdentifier>().unwrap().unwrap().1;
        let id = AuthorityKeyIdentifier { key_identifier: Some(own.0), ..AuthorityKeyIdentifier::default() };
        replace(tbs, AuthorityKeyIdentifier::OID, false, &id);
    }),
    ("aki_matches_issuer", |tbs| {
        replace(tbs, AuthorityKeyIdentifier::OID, false, &AuthorityKeyIdentifier::default());
    }),
    ("leaf_is_not_ca", |tbs| {
        let constraints = BasicConstraints { ca: true, path_len_constraint: None };
        replace(tbs, BasicConstraints::OID, true, &constraints);
    }),
    ("leaf_is_not_ca", |tbs| {
        replace(tbs, KeyUsage::OID, true, &KeyUsage(KeyUsages::KeyCertSign | KeyUsages::DigitalSignature));
    }),
    ("path_length_matches_profile", |tbs| {
        let constraints = BasicConstraints { ca: false, path_len_constraint: Some(0) };
        replace(tbs, BasicConstraints::OID, true, &constraints);
    }),
    ("key_usage_matches_profile", |tbs| {
        replace(tbs, KeyUsage::OID, true, &KeyUsage(KeyUsages::KeyAgreement.into()));
    }),
    ("eku_matches_profile", |tbs| tbs.extensions.retain(|one| one.extn_id != ExtendedKeyUsage::OID)),
    ("eku_matches_profile", |tbs| {
        replace(tbs, ExtendedKeyUsage::OID, false, &ExtendedKeyUsage(vec![ANY_EXTENDED_KEY_USAGE]));
    }),
    ("no_check_is_for_responders", |tbs| {
        tbs.extensions.push(extension(OCSP_NO_CHECK, false, &der::asn1::Null).unwrap());
    }),
    ("device_has_exactly_one_identity_uri", |tbs| {
        let uri = "spiffe://countersign.internal/tenant/acme/device/d1";
        replace(tbs, SubjectAltName::OID, false, &names(&[uri, uri]));
    }),
    ("device_has_exactly_one_identity_uri", |tbs| {
        let other = "spiffe://countersign.internal/tenant/acme/device/d2";
        replace(tbs, SubjectAltName::OID, false, &names(&[other]));
    }),
    ("device_has_exactly_one_identity_uri", |tbs| {
        tbs.extensions.retain(|one| one.extn_id != SubjectAltName::OID);
    }),
    ("publication_urls_are_http", |tbs| {
        let place = name::uri("ldap://pki.example/ca").unwrap();
        let access = x509_cert::ext::pkix::AccessDescription {
            access_method: const_oid::db::rfc5280::ID_AD_CA_ISSUERS,
            access_location: place,
        };
        replace(tbs, AuthorityInfoAccessSyntax::OID, false, &AuthorityInfoAccessSyntax(vec![access]));
    }),
];

/// Lints that look at requests or at other profiles; their tests are below.
const TESTED_APART: [&str; 6] = [
    ISSUER_MAY_SIGN_PROFILE,
    "ca_has_key_cert_sign",
    "no_reserved_name",
    "path_length_within_issuer",
    "purposes_within_issuer",
    "service_names_well_formed",
];

#[test]
fn each_lint_fires_on_a_device_certificate_spoilt_for_it() {
    let issuer = below(&root(), issuing_device());
    let profile = device_profile("d1");
    for (expected, spoil) in SPOILT_DEVICES {
        assert_eq!(firing(&issuer, &profile, *spoil), Some(*expected));
    }
}

#[test]
fn every_lint_has_a_test_and_a_name_of_its_own() {
    let tested: BTreeSet<&str> = SPOILT_DEVICES.iter().map(|(name, _)| *name).chain(TESTED_APART).collect();
    assert_eq!(tested, lint_names().collect());
    assert_eq!(lint_names().count(), tested.len());
}

#[test]
fn a_ca_that_could_not_sign_or_has_a_longer_path_is_refused() {
    let root = root();
    let no_signing: fn(&mut Tbs) = |tbs| {
        replace(tbs, KeyUsage::OID, true, &KeyUsage(KeyUsages::KeyCertSign.into()));
    };
    let no_ca: fn(&mut Tbs) = |tbs| {
        let constraints = BasicConstraints { ca: false, path_len_constraint: None };
        replace(tbs, BasicConstraints::OID, true, &constraints);
    };
    let long_path: fn(&mut Tbs) = |tbs| {
        let constraints = BasicConstraints { ca: true, path_len_constraint: Some(1) };
        replace(tbs, BasicConstraints::OID, true, &constraints);
    };
    for profile in [issuing_device(), issuing_service()] {
        assert_eq!(firing(&root, &profile, no_signing), Some("ca_has_key_cert_sign"));
        assert_eq!(firing(&root, &profile, no_ca), Some("ca_has_key_cert_sign"));
        assert_eq!(firing(&root, &profile, long_path), Some("path_length_matches_profile"));
    }
}

#[test]
fn each_issuer_signs_its_own_profiles_and_no_others() {
    let root = root();
    let (devices, services) = (below(&root, issuing_device()), below(&root, issuing_service()));
    let between = below(&root, intermediate(&[], None));
    let key = key();
    let (cas, leaves) = (
        [IssuerKind::Root, IssuerKind::Intermediate].as_slice(),
        [IssuerKind::Service, IssuerKind::Intermediate].as_slice(),
    );
    let responder = Profile::Ocsp { subject: subject("CN=Test Responder") };
    let all = [IssuerKind::Root, IssuerKind::Device, IssuerKind::Service, IssuerKind::Intermediate];
    let profiles = [
        (issuing_device(), cas),
        (issuing_service(), cas),
        (intermediate(&[], None), cas),
        (device_profile("d1"), &[IssuerKind::Device]),
        (server_profile(), leaves),
        (client_profile("spiffe://countersign.internal/service/pulse"), leaves),
        (responder, &all),
    ];
    for issuer in [&root, &devices, &services, &between] {
        for (profile, kinds) in profiles.clone() {
            let request = request(profile, key.public_key());
            if kinds.contains(&issuer.kind()) {
                assert!(issuer.prepare(request).is_ok());
            } else {
                assert_eq!(refused(issuer, request), ISSUER_MAY_SIGN_PROFILE);
            }
        }
        let another_root = request(Profile::Root { subject: subject("CN=Test Root") }, key.public_key());
        assert_eq!(refused(issuer, another_root), ISSUER_MAY_SIGN_PROFILE);
    }
}

#[test]
fn no_more_cas_follow_than_the_issuer_allows() {
    let key = key();
    let root = root();
    let (none, one) = (below(&root, intermediate(&[], Some(0))), below(&root, intermediate(&[], Some(1))));
    let judge = |issuer: &Issuer, profile| match issuer.prepare(request(profile, key.public_key())) {
        Ok(_prepared) => None,
        Err(PrepareError::Lint { name, .. }) => Some(name),
        Err(other @ PrepareError::Encode(_)) => panic!("{other}"),
    };
    assert_eq!(judge(&none, issuing_service()), Some("path_length_within_issuer"));
    assert_eq!(judge(&one, issuing_service()), None);
    assert_eq!(judge(&one, intermediate(&[], Some(1))), Some("path_length_within_issuer"));
    assert_eq!(judge(&one, intermediate(&[], None)), None);
    assert_eq!(judge(&none, server_profile()), None);
}

#[test]
fn nothing_is_for_more_than_its_issuer_is() {
    let key = key();
    let clients = below(&root(), intermediate(&[Purpose::ClientAuth], None));
    for profile in [server_profile(), issuing_service(), intermediate(&[], None)] {
        assert_eq!(refused(&clients, request(profile, key.public_key())), "purposes_within_issuer");
    }
    let client = client_profile("spiffe://countersign.internal/service/pulse");
    for profile in [client, issuing_device(), intermediate(&[Purpose::ClientAuth], Some(3))] {
        assert!(clients.prepare(request(profile, key.public_key())).is_ok());
    }
}

#[test]
fn reserved_device_names_are_refused_at_issue() {
    let issuer = below(&root(), issuing_device());
    let key = key();
    for name in ["service_pulse", "countersign-door", "Admin"] {
        assert_eq!(refused(&issuer, request(device_profile(name), key.public_key())), "no_reserved_name");
    }
}

#[test]
fn service_names_that_are_none_are_refused() {
    let issuer = below(&root(), issuing_service());
    let key = key();
    for dns in [
        vec!["a b"],
        vec!["-a.example"],
        vec!["a..example"],
        vec!["*.*.example"],
        vec!["ok.example", "a_b"],
        vec!["x@example"],
    ] {
        let refusal = refused(&issuer, request(server(&dns), key.public_key()));
        assert_eq!(refusal, "service_names_well_formed", "{dns:?}");
    }
    for dns in [vec!["localhost"], vec!["*.door.example"], vec!["A.example", "b.example"]] {
        assert!(issuer.prepare(request(server(&dns), key.public_key())).is_ok(), "{dns:?}");
    }
    // No name at all: neither a subject nor alternative names.
    assert_eq!(refused(&issuer, request(server(&[]), key.public_key())), "subject_present");
    let with_uri = |dns: &[&str], purposes| {
        let uris = vec!["spiffe://countersign.internal/service/pulse".to_owned()];
        let dns = dns.iter().map(|&text| text.to_owned()).collect();
        let alternatives = AlternativeNames { uris, dns, ips: vec![] };
        let names = ServiceNames { subject: Some(subject("CN=pulse")), alternatives };
        Profile::ServiceServer { names, purposes }
    };
    let both = ServerPurposes::ServerAndClient;
    assert!(issuer.prepare(request(with_uri(&["door.example"], both), key.public_key())).is_ok());
    for profile in [with_uri(&[], both), with_uri(&["door.example"], ServerPurposes::Server)] {
        assert_eq!(refused(&issuer, request(profile, key.public_key())), "service_names_well_formed");
    }
    for uri in ["no scheme", "nothing", "x:"] {
        let refusal = refused(&issuer, request(client_profile(uri), key.public_key()));
        assert_eq!(refusal, "service_names_well_formed", "{uri}");
    }
}

#[test]
fn a_service_never_carries_a_device_identity() {
    let issuer = below(&root(), issuing_service());
    let key = key();
    for uri in [
        "spiffe://countersign.internal/tenant/acme/device/d1",
        "SPIFFE://countersign.internal/tenant/acme/device/d1",
        "spiffe://other.example/Tenant/acme/device/d1",
    ] {
        let refusal = refused(&issuer, request(client_profile(uri), key.public_key()));
        assert_eq!(refusal, "device_has_exactly_one_identity_uri", "{uri}");
    }
}

#[test]
fn a_serial_that_would_not_fit_is_refused() {
    let issuer = below(&root(), issuing_device());
    let key = key();
    for (bytes, lint) in [
        (vec![0xff; 20], "serial_positive_and_at_most_20_octets"),
        (vec![0x01; 3], "serial_has_room_for_64_random_bits"),
    ] {
        let serial = SerialNumber::from_be_bytes(&bytes).unwrap();
        let request = CertificateRequest { serial, ..request(device_profile("d1"), key.public_key()) };
        assert_eq!(refused(&issuer, request), lint);
    }
}

#[test]
fn lives_outside_the_issuers_are_cut_or_refused() {
    let issuer = below(&root(), issuing_device());
    let key = key();
    let at = |issued_at, lifetime| CertificateRequest {
        issued_at,
        lifetime,
        ..request(device_profile("d1"), key.public_key())
    };
    let last = issuer.not_after();
    assert_eq!(refused(&issuer, at(last, HOUR)), "lifetime_positive");
    assert_eq!(refused(&issuer, at(now() - HOUR * 25, HOUR * 50)), "lifetime_positive");
    assert_eq!(refused(&issuer, at(now(), Duration::ZERO)), "lifetime_positive");
    assert_eq!(refused(&issuer, at(now(), Duration::from_millis(999))), "lifetime_positive");
    let cut = issuer.prepare(at(last - HOUR, HOUR * 9)).unwrap();
    assert_eq!(cut.lifetime().expires_at, last);
}
