//! Issuers: what they issue over all identities and lives, what they refuse to sign or to open.

use std::sync::LazyLock;
use std::time::Duration;

use countersign_ca::{
    CertificateRequest, IssueError, IssuedCertificate, Issuer, IssuerKind, KeyAlgorithm, PrepareError,
    Profile, SignError, SigningKey, random_serial,
};
use countersign_core::Identity;
use countersign_core::time::Timestamp;
use countersign_testkit::property_cases;
use der::Decode as _;
use der::asn1::Ia5String;
use proptest::prelude::*;
use x509_cert::Certificate;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{AuthorityKeyIdentifier, SubjectAltName, SubjectKeyIdentifier};

use crate::hierarchy::{Hierarchy, device, identity, issue, key, now, request};

static HIERARCHY: LazyLock<Hierarchy> = LazyLock::new(|| Hierarchy::new(KeyAlgorithm::P256));
static DEVICE_KEY: LazyLock<SigningKey> = LazyLock::new(|| key(KeyAlgorithm::P256));

const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn an_issuer_opens_again_from_its_certificate_and_key() {
    let hierarchy = &*HIERARCHY;
    for (issuer, kind) in [
        (&hierarchy.root, IssuerKind::Root),
        (&hierarchy.devices, IssuerKind::Device),
        (&hierarchy.services, IssuerKind::Service),
    ] {
        assert_eq!(issuer.kind(), kind);
    }
    let key = key(KeyAlgorithm::P256);
    let copy = SigningKey::from_pkcs8_der(key.pkcs8_der()).unwrap();
    let serial = random_serial(1).unwrap();
    let root = Issuer::create_root("Another Root", key, serial, now()).unwrap();
    let again = Issuer::open(root.certificate_der(), copy).unwrap();
    assert_eq!(
        (again.kind(), again.key_id(), again.not_after()),
        (IssuerKind::Root, root.key_id(), root.not_after())
    );
}

#[test]
fn certificate_and_key_of_different_cas_do_not_open() {
    let error = Issuer::open(HIERARCHY.devices.certificate_der(), key(KeyAlgorithm::P256)).unwrap_err();
    assert!(matches!(error, IssueError::KeyMismatch(_)), "{error}");
    let error = Issuer::open(b"not a certificate", key(KeyAlgorithm::P256)).unwrap_err();
    assert!(matches!(error, IssueError::Malformed(_)), "{error}");
}

#[test]
fn a_leaf_does_not_open_as_an_issuer() {
    let key = key(KeyAlgorithm::P256);
    let leaf = issue(&HIERARCHY.devices, request(device("d1"), key.public_key()));
    assert!(matches!(Issuer::open(leaf.der(), key), Err(IssueError::NotAnIssuer("not a CA"))));
}

#[test]
fn what_one_issuer_prepared_no_other_signs() {
    let twin = Hierarchy::new(KeyAlgorithm::P256);
    let prepared = HIERARCHY.devices.prepare(request(device("d1"), DEVICE_KEY.public_key())).unwrap();
    assert!(matches!(twin.devices.sign(prepared), Err(SignError::OtherIssuer)));
}

#[test]
fn a_root_without_a_proper_name_is_refused() {
    for name in ["", "a\u{0}b", &"x".repeat(65)] {
        let serial = random_serial(1).unwrap();
        let error = Issuer::create_root(name, key(KeyAlgorithm::P256), serial, now()).unwrap_err();
        assert!(
            matches!(error, IssueError::Prepare(PrepareError::Lint { name: "subject_present", .. })),
            "{error:?}"
        );
    }
}

fn not_before(issued: &IssuedCertificate) -> Timestamp {
    let parsed = Certificate::from_der(issued.der()).unwrap();
    let seconds = parsed.tbs_certificate().validity().not_before.to_unix_duration().as_secs();
    Timestamp::from_secs(i64::try_from(seconds).unwrap())
}

#[test]
fn issuance_moments_are_whole_seconds_and_backdating_stays_within_the_issuer() {
    let issued_at = now() + Duration::from_millis(1999);
    let prepared = HIERARCHY
        .devices
        .prepare(CertificateRequest { issued_at, ..request(device("d1"), DEVICE_KEY.public_key()) })
        .unwrap();
    assert_eq!(prepared.lifetime().issued_at, now() + Duration::from_secs(1));
    let leaf = HIERARCHY.devices.sign(prepared).unwrap();
    assert_eq!(not_before(&leaf), now() - Duration::from_secs(299));
    // As old as its issuer says it is, and no older.
    let a_day_ago = now() - Duration::from_secs(86_400);
    let early = CertificateRequest {
        issued_at: a_day_ago + Duration::from_secs(120),
        ..request(device("d1"), DEVICE_KEY.public_key())
    };
    assert_eq!(not_before(&issue(&HIERARCHY.devices, early)), a_day_ago);
    // Those that devices judge by their own clocks are good for clocks a day behind.
    let server = Profile::ServiceServer { dns: vec!["a.example".to_owned()], ips: Vec::new() };
    let server = issue(&HIERARCHY.services, request(server, DEVICE_KEY.public_key()));
    assert_eq!(not_before(&server), a_day_ago);
}

#[test]
fn names_that_no_certificate_can_hold_are_refused() {
    let profile = Profile::ServiceServer { dns: vec!["tür.example".to_owned()], ips: vec![] };
    let refused = HIERARCHY.services.prepare(request(profile, DEVICE_KEY.public_key()));
    assert!(matches!(refused, Err(PrepareError::Encode(_))));
}

#[test]
fn issuers_are_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Issuer>();
    shared::<countersign_ca::KeyEncryptionKey>();
}

fn key_identifiers(certificate: &Certificate) -> (Vec<u8>, Vec<u8>) {
    let tbs = certificate.tbs_certificate();
    let (_, subject) = tbs.get_extension::<SubjectKeyIdentifier>().unwrap().unwrap();
    let (_, authority) = tbs.get_extension::<AuthorityKeyIdentifier>().unwrap().unwrap();
    (subject.0.as_bytes().to_vec(), authority.key_identifier.unwrap().as_bytes().to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(property_cases(256)))]

    #[test]
    fn every_identity_and_life_gives_a_certificate_that_says_so(
        tenant in "[a-z0-9][a-z0-9-]{0,62}",
        name in "[A-Za-z0-9][A-Za-z0-9._-]{0,127}",
        after_hours in 0_u32..40_000,
        lifetime_hours in 1_u32..20_000,
    ) {
        let identity = identity(&tenant, &name);
        prop_assume!(!identity.device().is_reserved());
        let issuer = &HIERARCHY.devices;
        let issued_at: Timestamp = now() + HOUR * after_hours;
        prop_assume!(issued_at < issuer.not_after());
        let leaf = issue(issuer, CertificateRequest {
            issued_at,
            lifetime: HOUR * lifetime_hours,
            ..request(Profile::Device { identity: identity.clone() }, DEVICE_KEY.public_key())
        });
        let lifetime = leaf.lifetime();
        prop_assert_eq!(lifetime.issued_at, issued_at);
        prop_assert_eq!(lifetime.expires_at, (issued_at + HOUR * lifetime_hours).min(issuer.not_after()));
        prop_assert_eq!(&leaf.reference().issuer, &issuer.key_id());
        prop_assert_eq!(leaf.spki(), DEVICE_KEY.public_key().sha256());

        let parsed = Certificate::from_der(leaf.der()).unwrap();
        let tbs = parsed.tbs_certificate();
        prop_assert_eq!(tbs.serial_number().as_bytes(), leaf.reference().serial.as_bytes());
        let seconds = |time: x509_cert::time::Time| i64::try_from(time.to_unix_duration().as_secs()).unwrap();
        prop_assert_eq!(seconds(tbs.validity().not_after), lifetime.expires_at.secs());
        prop_assert_eq!(seconds(tbs.validity().not_before), (issued_at - Duration::from_secs(300)).secs());
        let (_, names) = tbs.get_extension::<SubjectAltName>().unwrap().unwrap();
        let uri = Ia5String::new(&identity.uri()).unwrap();
        prop_assert_eq!(names.0, vec![GeneralName::UniformResourceIdentifier(uri.clone())]);
        prop_assert_eq!(Identity::from_uri(uri.as_str()).unwrap(), identity.clone());
        let subject: Vec<String> = tbs.subject().iter().map(ToString::to_string).collect();
        prop_assert_eq!(subject.len(), 2);
        let common_name = subject.iter().find(|attribute| attribute.starts_with("CN=")).unwrap();
        prop_assert!(common_name.len() <= 3 + 64);
        let issuer_certificate = Certificate::from_der(issuer.certificate_der()).unwrap();
        prop_assert_eq!(key_identifiers(&parsed).1, key_identifiers(&issuer_certificate).0);
    }
}
