//! Who may come in on a certificate that is no device's: services of ours and whoever a CA elsewhere
//! vouches for, and never anybody else.

use countersign_core::guest::{GuestClaim, GuestOf};
use countersign_core::snapshot::Standing;
use countersign_core::time::Timestamp;
use countersign_testkit::{LeafSpec, Signer, TestCa, TestCertificate, purpose, usage};
use countersign_tls::{ClientAuth, Peer, UntrustedReason};
use rustls::AlertDescription;

use crate::meeting::{Client, DOMAIN, Door, NOW, VERSIONS};

const TLS13: &rustls::SupportedProtocolVersion = VERSIONS[1];

/// Our CA, somebody else's, and a door that knows both.
struct World {
    ca: TestCa,
    partner: TestCa,
    door: Door,
}

impl World {
    fn new(client_auth: ClientAuth) -> Self {
        let (ca, partner) = (TestCa::new(DOMAIN), TestCa::new("partner.example"));
        let door = Door::new(&ca, client_auth);
        door.change(|snapshot| {
            snapshot.service_issuers.push_back(ca.trusted_service_issuer());
            snapshot.foreign_trusts.push_back(partner.foreign_trust("partner"));
        });
        Self { ca, partner, door }
    }

    async fn peer(&self, certificate: &TestCertificate) -> Peer {
        self.door.meet(&Client::showing(&self.ca, TLS13, certificate)).await.peer()
    }

    async fn refusal(&self, certificate: &TestCertificate) -> (&'static str, AlertDescription) {
        self.door.meet(&Client::showing(&self.ca, TLS13, certificate)).await.refusal()
    }

    fn claim(&self, peer: &Peer, of: &str) -> Result<GuestClaim, Option<UntrustedReason>> {
        let snapshot = self.door.snapshots.borrow().clone();
        let guests = peer.guests(&snapshot, NOW).ok_or(None)?;
        let claim = guests.of(&of.parse().unwrap()).cloned();
        claim.map(|claim| (*claim).clone()).ok_or_else(|| guests.untrusted())
    }

    fn standing(&self, claim: &GuestClaim, now: Timestamp) -> Standing {
        self.door.snapshots.borrow().guest_standing(claim, now)
    }
}

fn billing() -> LeafSpec {
    LeafSpec { uris: vec!["spiffe://partner.example/billing".to_owned()], ..LeafSpec::service("billing") }
}

#[tokio::test]
async fn a_service_is_a_guest_of_services_and_no_device() {
    let world = World::new(ClientAuth::Optional);
    let spec =
        LeafSpec { uris: vec![format!("spiffe://{DOMAIN}/service/pulse")], ..LeafSpec::service("pulse") };
    let certificate = world.ca.mint(&spec);
    let peer = world.peer(&certificate).await;
    assert!(peer.claim().is_none(), "no device");
    let claim = world.claim(&peer, "services").unwrap();
    assert_eq!((&claim.reference, claim.spki), (&certificate.reference, certificate.spki()));
    assert_eq!(world.standing(&claim, NOW), Standing::Valid);
    assert!(world.claim(&peer, "trust:partner").is_err());
    world.door.change(|snapshot| snapshot.denied.insert(certificate.reference.clone()));
    assert_eq!(world.standing(&claim, NOW), Standing::Revoked);

    let twin = world.ca.evil_twin().mint(&spec);
    let refused = world.claim(&world.peer(&twin).await, "services").unwrap_err();
    assert_eq!(refused, Some(UntrustedReason::BadSignature));
}

#[tokio::test]
async fn a_device_is_no_guest_even_where_its_root_is_trusted() {
    let world = World::new(ClientAuth::Optional);
    world.door.change(|snapshot| snapshot.foreign_trusts.push_back(world.ca.foreign_trust("ours")));
    let peer = world.peer(&world.ca.device("acme", "d1")).await;
    assert!(peer.claim().is_some());
    assert_eq!(world.claim(&peer, "trust:ours"), Err(None));
}

#[tokio::test]
async fn whoever_shows_the_path_to_a_foreign_ca_is_its_guest() {
    let world = World::new(ClientAuth::Optional);
    let certificate = world.partner.mint(&billing());
    let peer = world.peer(&certificate).await;
    let claim = world.claim(&peer, "trust:partner").unwrap();
    assert_eq!(claim.anchor.as_ref(), world.partner.root_der());
    assert_eq!(claim.issuer.as_ref(), certificate.chain[1]);
    assert_eq!(claim.of, "trust:partner".parse::<GuestOf>().unwrap());
    assert!(world.claim(&peer, "services").is_err() && peer.claim().is_none());

    let alone = TestCertificate { chain: vec![certificate.der().to_vec()], ..certificate.clone() };
    let refused = world.claim(&world.peer(&alone).await, "trust:partner");
    assert!(refused.is_err(), "the CA between is missing");
    let twin = world.partner.evil_twin().mint(&billing());
    assert!(world.claim(&world.peer(&twin).await, "trust:partner").is_err());
    let mut mixed = twin.clone();
    mixed.chain.truncate(1);
    mixed.chain.extend_from_slice(&certificate.chain[1..]);
    let refused = world.claim(&world.peer(&mixed).await, "trust:partner").unwrap_err();
    assert_eq!(refused, Some(UntrustedReason::BadSignature));
}

#[tokio::test]
async fn fails_closed_on_every_unfit_certificate() {
    use UntrustedReason as R;
    let world = World::new(ClientAuth::Optional);
    let good = billing();
    let with = |purposes: &[&'static str]| LeafSpec { purposes: purposes.to_vec(), ..good.clone() };
    let uri = |uri: &str| LeafSpec { uris: vec![uri.to_owned()], ..good.clone() };
    let sign_certificates = Some(usage::DIGITAL_SIGNATURE | usage::KEY_CERT_SIGN);
    let wrong = [
        ("no purpose", with(&[]), R::WrongExtendedKeyUsage),
        ("for servers", with(&[purpose::SERVER_AUTH]), R::WrongExtendedKeyUsage),
        ("for anything", with(&[purpose::CLIENT_AUTH, purpose::ANY]), R::WrongExtendedKeyUsage),
        ("signs certificates", LeafSpec { key_usage: sign_certificates, ..good.clone() }, R::WrongKeyUsage),
        ("is a CA", LeafSpec { is_ca: true, ..good.clone() }, R::WrongKeyUsage),
        (
            "not understood",
            LeafSpec { unknown_critical_extension: true, ..good.clone() },
            R::UnknownCriticalExtension,
        ),
        ("our device", uri("spiffe://countersign.internal/tenant/acme/device/d1"), R::BorrowedName),
        ("our device, shouted", uri("SPIFFE://COUNTERSIGN.INTERNAL/tenant/acme/device/d1"), R::BorrowedName),
        ("our service", uri("spiffe://countersign.internal/service/pulse"), R::BorrowedName),
        ("our trust domain", uri("spiffe://countersign.internal"), R::BorrowedName),
    ];
    for (what, spec, reason) in wrong {
        let peer = world.peer(&world.partner.mint(&spec)).await;
        assert_eq!(world.claim(&peer, "trust:partner"), Err(Some(reason)), "{what}");
        assert!(peer.claim().is_none(), "{what}: no device either");
    }
    for uri in ["spiffe://countersign.internal.example/x", "https://countersign.internal/x"] {
        let spec = LeafSpec { uris: vec![uri.to_owned()], ..good.clone() };
        assert!(world.claim(&world.peer(&world.partner.mint(&spec)).await, "trust:partner").is_ok(), "{uri}");
    }
    for uri in
        ["spiffe://countersign.internal/tenant/acme/device/d1", "spiffe://countersign.internal/edge/e1"]
    {
        let spec = LeafSpec { uris: vec![uri.to_owned()], ..LeafSpec::service("pulse") };
        let peer = world.peer(&world.ca.mint(&spec)).await;
        assert_eq!(world.claim(&peer, "services"), Err(Some(R::BorrowedName)), "{uri}");
    }
}

#[tokio::test]
async fn what_our_other_cas_sign_makes_no_service() {
    let world = World::new(ClientAuth::Optional);
    for signer in [Signer::Root, Signer::Device] {
        let spec = LeafSpec { signer, ..LeafSpec::service("pulse") };
        let peer = world.peer(&world.ca.mint(&spec)).await;
        assert!(world.claim(&peer, "services").is_err(), "{signer:?}");
    }
}

#[tokio::test]
async fn dates_are_judged_after_the_path_and_each_time() {
    let world = World::new(ClientAuth::Optional);
    let over = LeafSpec { not_after: NOW - std::time::Duration::from_secs(10), ..billing() };
    let claim = world.claim(&world.peer(&world.partner.mint(&over)).await, "trust:partner").unwrap();
    assert_eq!(world.standing(&claim, NOW), Standing::Expired);
    assert_eq!(world.standing(&claim, over.not_after), Standing::Valid);
    let early = LeafSpec { not_before: NOW + std::time::Duration::from_secs(10), ..billing() };
    let claim = world.claim(&world.peer(&world.partner.mint(&early)).await, "trust:partner").unwrap();
    assert_eq!(world.standing(&claim, NOW), Standing::NotYetValid);
}

#[tokio::test]
async fn an_open_connection_follows_what_is_trusted() {
    let world = World::new(ClientAuth::Optional);
    let stranger = TestCa::new("stranger.example");
    let peer = world.peer(&stranger.mint(&LeafSpec::service("x"))).await;
    assert!(world.claim(&peer, "trust:stranger").is_err());
    world.door.change(|snapshot| snapshot.foreign_trusts.push_back(stranger.foreign_trust("stranger")));
    let claim = world.claim(&peer, "trust:stranger").unwrap();
    assert_eq!(world.standing(&claim, NOW), Standing::Valid);
    world.door.change(|snapshot| {
        snapshot.foreign_trusts.retain(|trust| trust.name.as_str() != "stranger");
    });
    assert!(world.claim(&peer, "trust:stranger").is_err());
    assert_eq!(world.standing(&claim, NOW), Standing::Foreign);
}

#[tokio::test]
async fn a_door_that_requires_a_certificate_lets_only_the_listed_guests_through() {
    let world = World::new(ClientAuth::Required);
    let service = world.ca.mint(&LeafSpec::service("pulse"));
    let foreign = world.partner.mint(&billing());
    for certificate in [&service, &foreign] {
        assert_eq!(world.refusal(certificate).await.0, "CERTIFICATE_UNTRUSTED");
    }
    world.door.tls.admit_guests(vec![GuestOf::Services]);
    assert!(world.peer(&service).await.claim().is_none());
    assert_eq!(world.refusal(&foreign).await.0, "CERTIFICATE_UNTRUSTED");
    let twin = world.ca.evil_twin().mint(&LeafSpec::service("pulse"));
    assert_eq!(world.refusal(&twin).await.0, "CERTIFICATE_UNTRUSTED");
    world.door.change(|snapshot| snapshot.denied.insert(service.reference.clone()));
    let revoked = ("CERTIFICATE_REVOKED", AlertDescription::CertificateRevoked);
    assert_eq!(world.refusal(&service).await, revoked);
    world.door.tls.admit_guests(vec![GuestOf::Services, "trust:partner".parse().unwrap()]);
    assert!(world.peer(&foreign).await.is_presented());
    let over = LeafSpec { not_after: NOW - std::time::Duration::from_secs(1), ..billing() };
    let expired = ("CERTIFICATE_EXPIRED", AlertDescription::CertificateExpired);
    assert_eq!(world.refusal(&world.partner.mint(&over)).await, expired);
}

#[tokio::test]
async fn a_resumed_session_of_a_guest_that_fell_is_refused() {
    let world = World::new(ClientAuth::Required);
    world.door.tls.admit_guests(vec![GuestOf::Services]);
    let service = world.ca.mint(&LeafSpec::service("pulse"));
    let client = Client::showing(&world.ca, TLS13, &service);
    assert!(!world.door.meet(&client).await.peer().is_resumed());
    assert!(world.door.meet(&client).await.peer().is_resumed());
    world.door.change(|snapshot| snapshot.denied.insert(service.reference.clone()));
    assert_eq!(world.door.meet(&client).await.peer.expect_err("refused").code(), "CERTIFICATE_REVOKED");
}
