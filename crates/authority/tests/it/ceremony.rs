//! A CA whose certificate is signed elsewhere, and one that was made elsewhere: each is taken in when it is
//! what it is to be, once, and takes another's place by a rotation.

use std::sync::Arc;
use std::time::Duration;

use countersign_authority::ceremony::CeremonyError;
use countersign_authority::import_ca::{CaImport, ImportCaError};
use countersign_authority::plan::{
    DistinguishedName, IssuerRole, KeyAlgorithm, Outcome, PlannedCa, Profile, Purpose,
};
use countersign_authority::rotation::RotationStep;
use countersign_authority::rotation::adoption::Gate;
use countersign_authority::rotation::refused::{Refused, RotationError};
use countersign_ca::{
    CertificateRequest, Issuer, KeyEncryptionKey, PublicKey, Publication, RootFile, SigningKey, VerifiedCsr,
    random_serial,
};
use countersign_core::certificate::CertificateState;
use countersign_core::ids::CaName;
use countersign_store::{CaRequestRow, IssuerState, KeptKey};

use super::house::{DAY, House, refused};

const PASSPHRASE: &str = "a root sleeps well in a drawer";
const YEAR: Duration = Duration::from_secs(365 * 86_400);

fn ca(name: &str) -> CaName {
    name.parse().unwrap()
}

fn subject(text: &str) -> DistinguishedName {
    text.parse().unwrap()
}

fn planned(name: &str, role: IssuerRole) -> PlannedCa {
    PlannedCa {
        name: ca(name),
        role,
        parent: None,
        subject: subject("CN=Example,O=Example"),
        algorithm: KeyAlgorithm::P256,
        lifetime: Duration::ZERO,
        purposes: std::iter::empty().collect(),
        path_length: None,
        environment: None,
    }
}

impl House {
    /// Takes the root to where it is asked by name.
    async fn root_elsewhere(&self) -> RootFile {
        let text = self.authority.root_file(&ca("root"), PASSPHRASE).await.unwrap();
        let file = RootFile::open(&text, PASSPHRASE).unwrap();
        self.authority.take_offline(&ca("root"), &file, YEAR).await.unwrap();
        file
    }

    fn certified(&self, by: &Issuer, key: &PublicKey, profile: Profile, life: Duration) -> Vec<u8> {
        let prepared = by.prepare(CertificateRequest {
            profile,
            public_key: key,
            serial: random_serial(0x7f).unwrap(),
            issued_at: self.now(),
            lifetime: life,
            publication: Publication::default(),
        });
        by.sign(prepared.unwrap()).unwrap().der().to_vec()
    }

    fn state_of(&self, name: &str) -> IssuerState {
        self.authority.cas().into_iter().find(|one| one.name == ca(name)).unwrap().state
    }

    async fn waiting(&self) -> Vec<CaRequestRow> {
        self.read(|r| Box::pin(async move { r.ca_requests().await })).await
    }
}

fn device_profile() -> Profile {
    Profile::IssuingDevice { subject: subject("CN=Example,O=Example") }
}

#[tokio::test]
async fn what_was_asked_for_is_taken_in_once_and_rotated_to() {
    let house = House::new().await;
    let root = house.root_elsewhere().await;
    let wanted = planned("device-2", IssuerRole::Device);
    let pending = house.authority.request_ca(&wanted).await.unwrap();
    let again = house.authority.request_ca(&wanted).await.unwrap();
    assert_eq!((pending.outcome, again.outcome), (Outcome::Made, Outcome::Exists));
    assert_eq!(pending.csr, again.csr);
    let other = PlannedCa { algorithm: KeyAlgorithm::P384, ..wanted.clone() };
    let differs = refused(house.authority.request_ca(&other).await);
    assert!(matches!(differs, CeremonyError::Differs(_, "key algorithm")), "{differs:?}");

    let key = VerifiedCsr::from_der(&pending.csr).unwrap().public_key().clone();
    let certificate = house.certified(root.issuer(), &key, device_profile(), YEAR);
    // A restart in between loses nothing.
    let house = house.restarted(countersign_authority::IssuerMode::Embedded).await;
    let taken = house.authority.take_in_signed(&certificate).await.unwrap();
    assert_eq!((taken.state, taken.parent), (IssuerState::Prepared, Some(ca("root"))));
    assert!(house.waiting().await.is_empty());
    let again = refused(house.authority.take_in_signed(&certificate).await);
    assert!(matches!(again, CeremonyError::NotAsked), "{again:?}");

    let own = house.own();
    let to = ca("device-2");
    let prepared = house.authority.prepare_rotation(&own, &ca("device"), Some(&to)).await.unwrap();
    assert_eq!(prepared.0, to);
    let twice = refused(house.authority.prepare_rotation(&own, &ca("device"), Some(&to)).await);
    assert!(matches!(twice, RotationError::Refused(Refused::GoesOn(_, RotationStep::Prepared))), "{twice:?}");
    house.authority.activate_rotation(&own, &ca("device"), Gate::default(), None).await.unwrap();
    let device = house.device("pump").await;
    let row = house.in_state(device.id, CertificateState::Active).await;
    assert_eq!(row.reference.issuer, key.sha256().into());
}

#[tokio::test]
async fn an_intermediate_is_active_at_once_with_the_limits_it_was_asked_with() {
    let house = House::new().await;
    let root = house.root_elsewhere().await;
    let wanted = PlannedCa {
        purposes: [Purpose::ServerAuth].into_iter().collect(),
        path_length: Some(0),
        ..planned("web", IssuerRole::Intermediate)
    };
    let pending = house.authority.request_ca(&wanted).await.unwrap();
    let key = VerifiedCsr::from_der(&pending.csr).unwrap().public_key().clone();
    let profile = |purposes: &[Purpose], path_length| Profile::Intermediate {
        subject: subject("CN=Example,O=Example"),
        purposes: purposes.iter().copied().collect(),
        path_length,
    };
    for (purposes, path_length, lint) in [
        (&[Purpose::ServerAuth, Purpose::ClientAuth][..], Some(0), "eku_matches_profile"),
        (&[Purpose::ServerAuth], None, "path_length_matches_profile"),
    ] {
        let wrong = house.certified(root.issuer(), &key, profile(purposes, path_length), YEAR);
        let CeremonyError::Certificate(refusal) = refused(house.authority.take_in_signed(&wrong).await)
        else {
            panic!("not refused for what it is");
        };
        let cause = std::error::Error::source(&refusal).unwrap().to_string();
        assert!(cause.contains(lint), "{lint} in {cause}");
    }
    let right = house.certified(root.issuer(), &key, profile(&[Purpose::ServerAuth], Some(0)), YEAR);
    assert_eq!(house.authority.take_in_signed(&right).await.unwrap().state, IssuerState::Active);
}

#[tokio::test]
async fn what_is_over_or_of_a_retired_ca_is_not_taken_in() {
    let house = House::new().await;
    let root = house.root_elsewhere().await;
    let pending = house.authority.request_ca(&planned("device-2", IssuerRole::Device)).await.unwrap();
    let key = VerifiedCsr::from_der(&pending.csr).unwrap().public_key().clone();
    let short = house.certified(root.issuer(), &key, device_profile(), DAY);
    house.pass(DAY * 2);
    let over = refused(house.authority.take_in_signed(&short).await);
    assert!(std::error::Error::source(&over).unwrap().to_string().contains("valid from"), "{over:?}");
    house.authority.withdraw_ca_request(&ca("device-2")).await.unwrap();
    let gone = refused(house.authority.withdraw_ca_request(&ca("device-2")).await);
    assert!(matches!(gone, CeremonyError::Unknown(_)), "{gone:?}");
    let taken = refused(house.authority.request_ca(&planned("service", IssuerRole::Service)).await);
    assert!(matches!(taken, CeremonyError::Exists(_)), "{taken:?}");
}

#[tokio::test]
async fn a_key_that_waits_is_sealed_anew_with_the_others() {
    let house = House::new().await;
    house.authority.request_ca(&planned("device-2", IssuerRole::Device)).await.unwrap();
    let sealed = |rows: Vec<CaRequestRow>| {
        let key = rows.into_iter().next().unwrap();
        let KeptKey::Sealed(bytes) = key.key else { panic!("not sealed") };
        (key.key_id, countersign_ca::SealedKey::from(bytes))
    };
    let before = sealed(house.waiting().await);
    let folder = tempfile::tempdir().unwrap();
    let to = countersign_authority::KeySource::File(folder.path().join("new"));
    let from = house.config().key_encryption_key;
    let done = countersign_authority::reseal::reseal(&house.store, (&from, &to), house.now()).await.unwrap();
    assert_eq!(done.cas, 4);
    let (id, after) = sealed(house.waiting().await);
    assert_ne!(before.1, after);
    let new = KeyEncryptionKey::load(&folder.path().join("new")).unwrap();
    assert!(new.open(&after, id).is_ok() && new.open(&before.1, id).is_err());
}

/// Somebody's PKI: a root and an issuing CA below it.
struct Elsewhere {
    root: Issuer,
    issuing: Vec<u8>,
    key: SigningKey,
}

impl Elsewhere {
    fn new(house: &House) -> Self {
        let made = || SigningKey::generate(KeyAlgorithm::P384).unwrap();
        let (name, serial) = (subject("CN=Corporate Root"), random_serial(0x01).unwrap());
        let root = Issuer::create_root(name, Arc::new(made()), serial, (house.now(), YEAR)).unwrap();
        let key = made();
        let profile = Profile::IssuingDevice { subject: subject("CN=Corporate Devices") };
        let issuing = house.certified(&root, key.public_key(), profile, YEAR);
        Self { root, issuing, key }
    }

    fn import(&self, name: &str) -> CaImport {
        CaImport {
            name: ca(name),
            role: IssuerRole::Device,
            environment: None,
            certificate: self.issuing.clone(),
            chain: vec![self.root.certificate_der().to_vec()],
            key: SigningKey::from_pkcs8_der(self.key.pkcs8_der()).unwrap(),
        }
    }
}

#[tokio::test]
async fn a_ca_from_elsewhere_is_prepared_and_its_root_is_a_certificate_alone() {
    let house = House::new().await;
    let elsewhere = Elsewhere::new(&house);
    let taken = house.authority.import_ca(&elsewhere.import("corporate")).await.unwrap();
    assert_eq!((taken.state, taken.parent), (IssuerState::Prepared, Some(ca("corporate-root"))));
    assert_eq!(house.state_of("corporate-root"), IssuerState::Active);
    let root = house.authority.root_file(&ca("corporate-root"), PASSPHRASE).await;
    assert!(root.is_err(), "its key was never here");
    // What agents pin and anchors name stays.
    let own_root = house.authority.cas().into_iter().find(|one| one.name == ca("root")).unwrap();
    assert_eq!(house.authority.root_pem(), own_root.certificate_pem());

    let again = refused(house.authority.import_ca(&elsewhere.import("other")).await);
    assert!(matches!(again, ImportCaError::KeyOnRecord(_)), "{again:?}");
    let second = Elsewhere::new(&house);
    let named = refused(house.authority.import_ca(&second.import("corporate")).await);
    assert!(matches!(named, ImportCaError::Exists(_)), "{named:?}");
    let stranger = CaImport { chain: vec![elsewhere.root.certificate_der().to_vec()], ..second.import("x") };
    let refusal = refused(house.authority.import_ca(&stranger).await);
    assert!(matches!(refusal, ImportCaError::Incomplete(_) | ImportCaError::Above(_)), "{refusal:?}");
    assert!(house.authority.cas().iter().all(|one| one.name != ca("x")), "all or nothing");

    house.authority.prepare_rotation(&house.own(), &ca("device"), Some(&ca("corporate"))).await.unwrap();
    house.authority.activate_rotation(&house.own(), &ca("device"), Gate::default(), None).await.unwrap();
    let device = house.device("pump").await;
    let row = house.in_state(device.id, CertificateState::Active).await;
    assert_eq!(row.reference.issuer, elsewhere.key.public_key().sha256().into());
    assert!(house.authority.crls_due().await.unwrap().is_empty(), "its root's lists are its owner's");
}
