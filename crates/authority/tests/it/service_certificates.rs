//! Services get certificates for their keys, successors that follow a rotation, and an end; what comes from
//! elsewhere comes with its key, which is sealed, and goes with it.

use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::Arc;

use countersign_authority::import_ca::CaImport;
use countersign_authority::plan::ServiceNames;
use countersign_authority::rotation::adoption::Gate;
use countersign_authority::service_certificates::ServiceCertificate;
use countersign_authority::service_certificates::import::{ImportConflict, ImportServiceError, Imported};
use countersign_authority::service_certificates::issue::{
    NoSigner, NotRenewed, ServiceIssueError, WantedService,
};
use countersign_authority::service_certificates::look::{ServiceKey, ServiceQuery, ServiceState};
use countersign_authority::service_certificates::remove::{Left, RemoveServiceError};
use countersign_authority::service_certificates::revoke::RevokeServiceError;
use countersign_authority::service_certificates::wanted::ServiceProfile;
use countersign_authority::{Administer, Forbidden, NoIssuer};
use countersign_ca::{
    CertificateRequest, Issuer, IssuerKind, KeyAlgorithm, Profile, Publication, SigningKey, random_serial,
};
use countersign_core::alternative_names::AlternativeNames;
use countersign_core::audit::AuditEvent;
use countersign_core::certificate::RevocationReason;
use countersign_core::ids::CertificateId;
use countersign_core::time::Timestamp;
use countersign_store::{AuditFilter, ChainScope, IssuerRole, IssuerState, RecordedStanding, Role};
use countersign_testkit::{KeyKind, LeafSpec, Signer, TestCa, TestCertificate, TestKey};

use crate::races::run_until_intended;

use super::house::{Csr, DAY, House, fresh_key, refused, spki};

fn wanted(label: &str) -> WantedService {
    let dns = vec![format!("{label}.example.com")];
    WantedService {
        ca: None,
        profile: ServiceProfile::ServerAndClient,
        names: ServiceNames::from(AlternativeNames { dns, ..AlternativeNames::default() }),
        label: Some(label.parse().unwrap()),
        lifetime: None,
    }
}

impl House {
    async fn try_issue(&self, wanted: WantedService) -> Result<ServiceCertificate, ServiceIssueError> {
        self.authority.issue_service(&self.administer(), wanted, &Csr::of(&fresh_key()).pem).await
    }

    async fn issued(&self, label: &str) -> ServiceCertificate {
        self.try_issue(wanted(label)).await.unwrap()
    }

    async fn try_renew(&self, id: CertificateId) -> Result<ServiceCertificate, ServiceIssueError> {
        self.authority.renew_service(&self.administer(), id, &Csr::of(&fresh_key()).pem, None).await
    }

    async fn service_state(&self, id: CertificateId) -> ServiceState {
        self.authority.service(&self.view(), id).await.unwrap().found.recorded.row.state
    }

    async fn revoke_service(&self, id: CertificateId) -> Result<(), RevokeServiceError> {
        let reason = RevocationReason::KeyCompromise;
        self.authority.revoke_service(&self.administer(), id, reason).await.map(drop)
    }

    async fn import(
        &self,
        certificate: &TestCertificate,
        label: Option<&str>,
    ) -> Result<(CertificateId, Imported), ImportServiceError> {
        let (pem, key) = (certificate.chain_pem(), certificate.key_pem());
        let label = label.map(|label| label.parse().unwrap());
        let imported = self.authority.import_service(&self.administer(), (&pem, &key), label).await;
        imported.map(|(detail, outcome)| (detail.found.recorded.row.id, outcome))
    }

    /// What was signed and refused is abandoned, and no `web` is in use.
    async fn abandoned_alone(&self) {
        let open = self.read(|r| Box::pin(async move { r.unfinished_intents().await })).await;
        assert!(open.is_empty(), "{open:?}");
        assert_eq!(self.written(AuditEvent::CertificateAbandoned).await, 1);
        let label = Some("web".parse().unwrap());
        let query =
            ServiceQuery { label, state: Some(ServiceState::Active), limit: 10, ..Default::default() };
        let page = self.authority.list_services(&self.view(), query).await.unwrap();
        assert!(page.certificates.is_empty(), "{:?}", page.certificates);
    }

    async fn written(&self, event: AuditEvent) -> usize {
        let filter =
            AuditFilter { scope: ChainScope::Platform, event: Some(event), ..AuditFilter::default() };
        self.audit(filter).await.len()
    }
}

/// A service's certificate of another CA.
fn foreign(name: &str) -> TestCertificate {
    TestCa::new("elsewhere.example").server(&[name])
}

#[tokio::test]
async fn only_the_key_of_the_request_counts_and_the_profile_the_rest() {
    let house = House::new().await;
    let key = fresh_key();
    let issued = house.authority.issue_service(&house.administer(), wanted("web"), &Csr::of(&key).pem).await;
    let row = issued.unwrap().row;
    assert_eq!(
        (row.spki, row.subject.as_str()),
        (spki(&key), "CN=web.example.com"),
        "not what the request says"
    );
    assert_eq!(ServiceProfile::of(&row), Some(ServiceProfile::ServerAndClient));
    assert_eq!(row.lifetime.expires_at, house.now() + DAY * 365);
    let detail = house.authority.service(&house.view(), row.id).await.unwrap();
    assert_eq!(detail.found.ca, Some("service".parse().unwrap()));
    assert_eq!(detail.chain.matches("BEGIN CERTIFICATE").count(), 2);
    assert_eq!(house.written(AuditEvent::ServiceCertificateIssued).await, 1);

    let again = house.issued("web").await.row;
    assert_eq!(house.service_state(row.id).await, ServiceState::Superseded);
    let event = Some(AuditEvent::ServiceCertificateIssued);
    let filter = AuditFilter { scope: ChainScope::Platform, event, ..AuditFilter::default() };
    let told: Vec<_> = house
        .audit(filter)
        .await
        .into_iter()
        .filter_map(|record| record.details.get("supersedes").cloned())
        .collect();
    assert_eq!(told, [row.id.to_string()]);
    let query = ServiceQuery { label: again.label.clone(), limit: 1, ..ServiceQuery::default() };
    let page = house.authority.list_services(&house.view(), query.clone()).await.unwrap();
    assert!(page.next.is_some());
    let rest = ServiceQuery { after: page.next, ..query };
    let rest = house.authority.list_services(&house.view(), rest).await.unwrap();
    let mut ids: Vec<_> =
        [page.certificates, rest.certificates].concat().into_iter().map(|one| one.recorded.row.id).collect();
    ids.sort_unstable();
    let mut expected = [row.id, again.id];
    expected.sort_unstable();
    assert_eq!(ids, expected);
}

#[tokio::test]
async fn fails_closed_on_bad_requests_names_cas_and_people() {
    let house = House::new().await;
    let one = Csr::of(&fresh_key()).pem;
    let mut changed = one.clone();
    let near_the_end = one.find("\n-----END").unwrap() - 8;
    let other = if one.as_bytes().get(near_the_end) == Some(&b'A') { "B" } else { "A" };
    changed.replace_range(near_the_end..=near_the_end, other);
    let bad = house.authority.issue_service(&house.administer(), wanted("web"), &changed).await;
    assert!(matches!(refused(bad), ServiceIssueError::Csr(_)));

    let mut uri_for_a_server = wanted("web");
    uri_for_a_server.profile = ServiceProfile::Server;
    uri_for_a_server.names.alternatives.uris = vec!["https://web.example.com".into()];
    let mut a_device = WantedService { profile: ServiceProfile::Client, ..wanted("web") };
    a_device.names.alternatives.uris = vec!["spiffe://countersign.internal/tenant/acme/device/pump".into()];
    let nameless = WantedService { names: ServiceNames::default(), ..wanted("web") };
    let by_the_device_ca = WantedService { ca: Some("device".parse().unwrap()), ..wanted("web") };
    for wanted in [uri_for_a_server, a_device, nameless, by_the_device_ca] {
        let refusal = refused(house.try_issue(wanted).await);
        assert!(matches!(refusal, ServiceIssueError::Refused(_)), "{refusal:?}");
    }
    let nobody = WantedService { ca: Some("nobody".parse().unwrap()), ..wanted("web") };
    let refusal = refused(house.try_issue(nobody).await);
    assert!(matches!(refusal, ServiceIssueError::Ca(NoSigner::Missing(NoIssuer::Unknown(_)))), "{refusal:?}");

    let tenant = house.read(|r| Box::pin(async move { r.tenants().await })).await.remove(0).id;
    let bound = house.person(Role::Owner, Some(tenant)).await.authorize::<Administer>().unwrap();
    let refusal = house.authority.issue_service(&bound, wanted("web"), &one).await;
    assert!(matches!(refused(refusal), ServiceIssueError::Forbidden(Forbidden::OtherTenant)));
    assert!(house.person(Role::Operator, None).await.authorize::<Administer>().is_err());
    assert_eq!(house.written(AuditEvent::ServiceCertificateIssued).await, 0);
    let open = house.read(|r| Box::pin(async move { r.unfinished_intents().await })).await;
    assert!(open.is_empty());
}

#[tokio::test]
async fn a_successor_has_the_same_names_and_can_be_asked_for_twice() {
    let house = House::new().await;
    let first = house
        .try_issue(WantedService { label: None, lifetime: Some(DAY * 30), ..wanted("web") })
        .await
        .unwrap();
    house.pass(DAY * 20);
    let second = house.try_renew(first.row.id).await.unwrap().row;
    assert_eq!((&second.names, &second.subject), (&first.row.names, &first.row.subject));
    assert_eq!(ServiceProfile::of(&second), Some(ServiceProfile::ServerAndClient));
    assert_eq!(second.lifetime.expires_at, house.now() + DAY * 30);
    assert_ne!(second.spki, first.row.spki);
    assert_eq!(house.service_state(first.row.id).await, ServiceState::Superseded);
    // The answer was lost, and even the old one's time is over.
    house.pass(DAY * 20);
    let third = house.try_renew(first.row.id).await.unwrap().row;
    assert_eq!(house.service_state(third.id).await, ServiceState::Active);

    let door =
        countersign_authority::door_certificate::DoorNames { dns: vec!["d.example".into()], ips: vec![] };
    house.authority.issue_door_certificate(&door).await.unwrap();
    let query = ServiceQuery { label: Some("door".parse().unwrap()), limit: 1, ..ServiceQuery::default() };
    let door = house.authority.list_services(&house.view(), query).await.unwrap().certificates.remove(0);
    let own = refused(house.try_renew(door.recorded.row.id).await);
    assert!(matches!(own, ServiceIssueError::NotRenewed(NotRenewed::Own)), "{own:?}");
    let unknown = refused(house.try_renew(CertificateId::random()).await);
    assert!(matches!(unknown, ServiceIssueError::Unknown));
}

#[tokio::test]
async fn a_successor_comes_from_the_ca_that_took_the_others_place() {
    let house = House::new().await;
    let ca = "service".parse().unwrap();
    let old = house.issued("web").await.row;
    house.authority.prepare_rotation(&house.own(), &ca, None).await.unwrap();
    assert_eq!(house.try_renew(old.id).await.unwrap().row.reference.issuer, old.reference.issuer);
    house.authority.activate_rotation(&house.own(), &ca, Gate::default(), None).await.unwrap();
    let new = house.try_renew(old.id).await.unwrap().row;
    assert_ne!(new.reference.issuer, old.reference.issuer);
    let named = refused(house.try_issue(WantedService { ca: Some(ca.clone()), ..wanted("web") }).await);
    assert!(matches!(named, ServiceIssueError::Ca(NoSigner::Idle(_, IssuerState::Retiring))), "{named:?}");
    house.authority.roll_back_rotation(&house.own(), &ca, None).await.unwrap();
    let back = house.try_renew(new.id).await.unwrap().row;
    assert_eq!(back.reference.issuer, old.reference.issuer);
}

#[tokio::test]
async fn a_revoked_one_is_denied_and_neither_it_nor_its_key_comes_back() {
    let house = House::new().await;
    let key = fresh_key();
    let csr = Csr::of(&key).pem;
    let row = house.authority.issue_service(&house.administer(), wanted("web"), &csr).await.unwrap().row;
    house.revoke_service(row.id).await.unwrap();
    assert!(house.authority.snapshot().denied.contains(&row.reference));
    let reference = row.reference.clone();
    let standing = house.read(move |r| Box::pin(async move { r.recorded_standing(&reference).await })).await;
    assert!(matches!(standing, RecordedStanding::Revoked { .. }), "{standing:?}");
    assert_eq!(house.written(AuditEvent::ServiceCertificateRevoked).await, 1);
    assert!(matches!(refused(house.revoke_service(row.id).await), RevokeServiceError::AlreadyRevoked));
    let renewed = refused(house.try_renew(row.id).await);
    assert!(matches!(renewed, ServiceIssueError::NotRenewed(NotRenewed::Revoked)));
    let again = house.authority.issue_service(&house.administer(), wanted("web"), &csr).await;
    assert!(matches!(refused(again), ServiceIssueError::KeyDenied));
    let device = super::house::request(&house.key().await, "pump", Some(&key));
    refused(house.enrol(&device).await);

    let late = house.issued("late").await.row;
    house.pass(DAY * 366);
    assert!(matches!(refused(house.revoke_service(late.id).await), RevokeServiceError::Expired));
    let unknown = refused(house.revoke_service(CertificateId::random()).await);
    assert!(matches!(unknown, RevokeServiceError::Unknown));
}

#[tokio::test]
async fn a_key_that_is_denied_before_the_record_gets_no_certificate() {
    let house = House::new().await;
    let device = house.device("pump").await;
    let (csr, by) = (Csr::of(&device.key).pem, house.administer());
    let mut issuing = pin!(house.authority.issue_service(&by, wanted("web"), &csr));
    assert!(run_until_intended(&house.store, issuing.as_mut()).await.is_none(), "it looked at the key");
    house.authority.deny(&house.operate(), device.id).await.unwrap();
    assert!(matches!(refused(issuing.await), ServiceIssueError::KeyDenied));
    house.abandoned_alone().await;
}

#[tokio::test]
async fn what_is_revoked_before_its_successor_is_on_record_gets_none() {
    let house = House::new().await;
    let (old, by) = (house.issued("web").await.row, house.administer());
    let csr = Csr::of(&fresh_key()).pem;
    let mut renewing = pin!(house.authority.renew_service(&by, old.id, &csr, None));
    assert!(run_until_intended(&house.store, renewing.as_mut()).await.is_none(), "it looked at the old one");
    house.revoke_service(old.id).await.unwrap();
    let renewed = refused(renewing.await);
    assert!(matches!(renewed, ServiceIssueError::NotRenewed(NotRenewed::Revoked)), "{renewed:?}");
    house.abandoned_alone().await;
}

#[tokio::test]
async fn what_is_imported_keeps_its_key_sealed_and_is_imported_once() {
    let house = House::new().await;
    let certificate = foreign("peer.example.com");
    let (id, outcome) = house.import(&certificate, Some("peer")).await.unwrap();
    assert_eq!(outcome, Imported::Now);
    assert_eq!(house.import(&certificate, None).await.unwrap(), (id, Imported::Before));
    assert_eq!(house.written(AuditEvent::ServiceCertificateImported).await, 1);
    let query = ServiceQuery { key: Some(ServiceKey::Here), limit: 10, ..ServiceQuery::default() };
    let page = house.authority.list_services(&house.view(), query).await.unwrap();
    let [listed] = page.certificates.as_slice() else { panic!("{page:?}") };
    assert_eq!((listed.recorded.row.id, &listed.ca), (id, &None));
    assert_eq!(listed.recorded.row.names.dns, ["peer.example.com"]);

    let sealed = house.read(move |r| Box::pin(async move { r.sealed_service_key(id).await })).await.unwrap();
    let plain = certificate.key.pkcs8_der();
    assert!(!sealed.sealed_key.windows(32).any(|part| plain.windows(32).any(|own| own == part)));
    let credential = house.authority.service_credential(id).await.unwrap().unwrap();
    assert_eq!(credential.key.pkcs8_der(), plain);
    assert_eq!(credential.chain.matches("BEGIN CERTIFICATE").count(), 3);

    let conflict = refused(house.import(&certificate, Some("another")).await);
    assert!(matches!(conflict, ImportServiceError::Conflict(ImportConflict::OnRecord(_))), "{conflict:?}");
    assert!(matches!(refused(house.revoke_service(id).await), RevokeServiceError::Imported));
    let renewed = refused(house.try_renew(id).await);
    assert!(matches!(renewed, ServiceIssueError::NotRenewed(NotRenewed::Imported)));
    assert_eq!(house.authority.remove_service(&house.administer(), id).await.unwrap(), Left::Nothing);
    assert!(house.authority.service_credential(id).await.unwrap().is_none());
    assert_eq!(house.written(AuditEvent::ServiceCertificateRemoved).await, 1);
    let gone = refused(house.authority.remove_service(&house.administer(), id).await);
    assert!(matches!(gone, RemoveServiceError::Unknown));
}

#[tokio::test]
async fn one_from_here_can_leave_its_key_with_us_and_take_it_away() {
    let house = House::new().await;
    let key = fresh_key();
    let csr = Csr::of(&key).pem;
    let issued = house.authority.issue_service(&house.administer(), wanted("web"), &csr).await.unwrap();
    let id = issued.row.id;
    let own = refused(house.authority.remove_service(&house.administer(), id).await);
    assert!(matches!(own, RemoveServiceError::IssuedHere));
    let (pem, key) = (issued.certificate.pem(), key.pkcs8_pem());
    let import = async || house.authority.import_service(&house.administer(), (&pem, &key), None).await;
    let (detail, outcome) = import().await.unwrap();
    assert_eq!((detail.found.recorded.row.id, outcome), (id, Imported::Now));
    assert_eq!(house.authority.remove_service(&house.administer(), id).await.unwrap(), Left::Record);
    assert_eq!(house.service_state(id).await, ServiceState::Active);
    import().await.unwrap();
    house.revoke_service(id).await.unwrap();
    assert!(house.authority.service_credential(id).await.unwrap().is_none(), "its key went");
    let conflict = refused(import().await);
    assert!(matches!(conflict, ImportServiceError::Conflict(ImportConflict::Revoked)), "{conflict:?}");
}

#[tokio::test]
async fn fails_closed_on_what_does_not_fit_or_is_over_or_not_on_record() {
    let house = House::new().await;
    let certificate = foreign("peer.example.com");
    let other = TestKey::generate(KeyKind::P256).pkcs8_pem();
    let import = async |pem: &str, key: &str| {
        refused(house.authority.import_service(&house.administer(), (pem, key), None).await)
    };
    assert!(matches!(import(&certificate.chain_pem(), &other).await, ImportServiceError::Certificate(_)));
    assert!(matches!(import(&certificate.chain_pem(), "no key").await, ImportServiceError::Key(_)));
    assert!(matches!(import("none", &other).await, ImportServiceError::Certificate(_)));
    let spec = LeafSpec { not_after: house.now() - DAY, ..LeafSpec::server(&["old.example.com"]) };
    let over = TestCa::new("elsewhere.example").mint(&LeafSpec { signer: Signer::Service, ..spec });
    let refusal = refused(house.import(&over, None).await);
    assert!(matches!(refusal, ImportServiceError::Expired(_)), "{refusal:?}");

    // A device's certificate is no service's, whoever has its key.
    let device = house.device("pump").await;
    let row = house.certificates(device.id).await.remove(0);
    let pem = countersign_authority::certificate_pem(&row.der);
    let refusal = import(&pem, &device.key.pkcs8_pem()).await;
    assert!(matches!(refusal, ImportServiceError::NoRecord(_)), "{refusal:?}");

    let bound = house.read(|r| Box::pin(async move { r.tenants().await })).await.remove(0).id;
    let bound = house.person(Role::Owner, Some(bound)).await.authorize::<Administer>().unwrap();
    let (pem, key) = (certificate.chain_pem(), certificate.key_pem());
    let refusal = refused(house.authority.import_service(&bound, (&pem, &key), None).await);
    assert!(matches!(refusal, ImportServiceError::Forbidden(Forbidden::OtherTenant)));
    assert_eq!(house.written(AuditEvent::ServiceCertificateImported).await, 0);
}

fn asked(profile: Profile, key: &SigningKey, now: Timestamp) -> CertificateRequest<'_> {
    CertificateRequest {
        profile,
        public_key: key.public_key(),
        serial: random_serial(1).unwrap(),
        issued_at: now,
        lifetime: DAY * 365,
        publication: Publication::default(),
    }
}

/// A CA that was made elsewhere, and a client's certificate and key of it in PEM.
fn corporate(house: &House) -> (CaImport, String, String) {
    let now = house.now();
    let key = || SigningKey::generate(KeyAlgorithm::P256).unwrap();
    let copy = |key: &SigningKey| SigningKey::from_pkcs8_der(key.pkcs8_der()).unwrap();
    let root = Issuer::create_root(
        "CN=Corporate".parse().unwrap(),
        Arc::new(key()),
        random_serial(1).unwrap(),
        (now, DAY * 730),
    );
    let root = root.unwrap();
    let (below, leaf) = (key(), key());
    let profile = Profile::Intermediate {
        subject: "CN=Corporate services".parse().unwrap(),
        purposes: BTreeSet::new(),
        path_length: Some(0),
    };
    let certificate = root.sign(root.prepare(asked(profile, &below, now)).unwrap()).unwrap().der().to_vec();
    let issuer = Issuer::open(&certificate, Arc::new(copy(&below)), IssuerKind::Intermediate).unwrap();
    let client = Profile::ServiceClient { names: wanted("client").names };
    let client = issuer.sign(issuer.prepare(asked(client, &leaf, now)).unwrap()).unwrap();
    let import = CaImport {
        name: "corporate".parse().unwrap(),
        role: IssuerRole::Intermediate,
        environment: None,
        certificate,
        chain: vec![root.certificate_der().to_vec()],
        key: below,
    };
    (import, client.pem(), leaf.pkcs8_pem().to_string())
}

#[tokio::test]
async fn what_an_imported_ca_signed_before_comes_too_and_is_revoked_here() {
    let house = House::new().await;
    let (ca, pem, key) = corporate(&house);
    house.authority.import_ca(&ca).await.unwrap();
    let imported = house.authority.import_service(&house.administer(), (&pem, &key), None).await.unwrap();
    let (found, row) = (imported.0.found.clone(), imported.0.found.recorded.row);
    assert_eq!((found.ca, row.reference.issuer), (Some(ca.name.clone()), ca.key_id()));
    house.revoke_service(row.id).await.unwrap();
    assert!(house.authority.snapshot().denied.contains(&row.reference));
    assert!(house.authority.service_credential(row.id).await.unwrap().is_none());
}
