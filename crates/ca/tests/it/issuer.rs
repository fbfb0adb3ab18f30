//! Issuers: what they issue over all identities and lives, what they refuse to sign or to open.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use countersign_ca::{
    CertificateRequest, IssueError, IssuedCertificate, Issuer, IssuerKind, KeyAlgorithm, KeyError,
    PrepareError, Profile, PublicKey, Purpose, SignError, Signer, SigningKey, random_serial,
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

use crate::hierarchy::{Hierarchy, ROOT_LIFE, device, identity, issue, key, now, request, server, subject};

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
    let another = subject("CN=Another Root,O=Example,C=US");
    let root = Issuer::create_root(another, Arc::new(key), serial, (now(), ROOT_LIFE)).unwrap();
    let again = Issuer::open(root.certificate_der(), Arc::new(copy), IssuerKind::Root).unwrap();
    assert_eq!(
        (again.kind(), again.key_id(), again.not_after()),
        (IssuerKind::Root, root.key_id(), root.not_after())
    );
}

#[test]
fn certificate_and_key_of_different_cas_do_not_open() {
    let another = Arc::new(key(KeyAlgorithm::P256));
    let devices = HIERARCHY.devices.certificate_der();
    let error = Issuer::open(devices, another.clone(), IssuerKind::Device).unwrap_err();
    assert!(matches!(error, IssueError::KeyMismatch(_)), "{error}");
    let error = Issuer::open(b"not a certificate", another, IssuerKind::Device).unwrap_err();
    assert!(matches!(error, IssueError::Malformed(_)), "{error}");
}

#[test]
fn a_leaf_does_not_open_as_an_issuer() {
    let key = key(KeyAlgorithm::P256);
    let leaf = issue(&HIERARCHY.devices, request(device("d1"), key.public_key()));
    let opened = Issuer::open(leaf.der(), Arc::new(key), IssuerKind::Device);
    assert!(matches!(opened, Err(IssueError::NotAnIssuer("not a CA"))));
}

#[test]
fn a_ca_opens_only_as_what_its_certificate_allows() {
    let hierarchy = Hierarchy::new(KeyAlgorithm::P256);
    let kinds = [IssuerKind::Root, IssuerKind::Device, IssuerKind::Service, IssuerKind::Intermediate];
    let clients = |path_length| Profile::Intermediate {
        subject: subject("CN=Example Clients"),
        purposes: [Purpose::ClientAuth].into(),
        path_length,
    };
    let profiles = [
        (Profile::IssuingDevice { subject: subject("CN=D") }, [false, true, false, true]),
        (Profile::IssuingService { subject: subject("CN=S") }, [false, false, true, true]),
        // Which CA makes devices is the registry's word, as far as the certificate bears it out.
        (clients(Some(0)), [false, true, false, true]),
        (clients(None), [false, false, false, true]),
    ];
    for (profile, expected) in profiles {
        let key = Arc::new(key(KeyAlgorithm::P256));
        let issued = issue(&hierarchy.root, request(profile.clone(), key.public_key()));
        let opened = kinds.map(|kind| Issuer::open(issued.der(), key.clone(), kind).is_ok());
        assert_eq!(opened, expected, "{profile:?}");
    }
}

/// A custody that signs with another key than it says.
#[derive(Debug)]
struct Liar {
    claimed: PublicKey,
    key: SigningKey,
}

impl Signer for Liar {
    fn public_key(&self) -> &PublicKey {
        &self.claimed
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        self.key.sign(message)
    }
}

#[test]
fn what_a_custody_signs_wrongly_is_not_let_out() {
    let claimed = key(KeyAlgorithm::P256).public_key().clone();
    let liar = Arc::new(Liar { claimed, key: key(KeyAlgorithm::P256) });
    let serial = random_serial(1).unwrap();
    let error = Issuer::create_root(subject("CN=Liar"), liar, serial, (now(), ROOT_LIFE)).unwrap_err();
    assert!(matches!(error, IssueError::Sign(SignError::Signature(_))), "{error}");
}

#[test]
fn what_one_issuer_prepared_no_other_signs() {
    let twin = Hierarchy::new(KeyAlgorithm::P256);
    let prepared = HIERARCHY.devices.prepare(request(device("d1"), DEVICE_KEY.public_key())).unwrap();
    assert!(matches!(twin.devices.sign(prepared), Err(SignError::OtherIssuer)));
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
    let server = server(&["a.example"], &[]);
    let server = issue(&HIERARCHY.services, request(server, DEVICE_KEY.public_key()));
    assert_eq!(not_before(&server), a_day_ago);
}

#[test]
fn names_that_no_certificate_can_hold_are_refused() {
    let profile = server(&["tür.example"], &[]);
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
