//! Routes that admit other than just every device: services, whoever a CA elsewhere vouches for, and of
//! all of them only who is on a list.

use std::sync::Arc;
use std::time::{Duration, Instant};

use countersign_core::settings::Enforcement;
use countersign_core::snapshot::TrustSnapshot;
use countersign_edge::{Audience, Devices, EdgeReport, RequiredAttribute};
use countersign_testkit::{LeafSpec, TestCa, TestCertificate, purpose};
use countersign_tls::ClientAuth;
use http::StatusCode;

use crate::cut::{goes_on, tunnel_to};
use crate::site::{NOW, Plan, REQUIRED, Site, let_expire};
use crate::visitor::{Answer, rfc9440};

const AT_ONCE: Duration = Duration::from_secs(1);
const ORGANIZATIONAL_UNIT: &str = "2.5.4.11";

fn guests(of: &[&str]) -> Audience {
    let guests = of.iter().map(|one| one.parse().unwrap()).collect();
    Audience { devices: Devices::Refused, guests, ..Audience::default() }
}

/// A door whose routes have audiences, and somebody else's CA that it trusts as `partner`.
struct House {
    site: Site,
    partner: TestCa,
}

impl House {
    async fn open(routes: &[(&str, Audience)]) -> Self {
        Self::open_by(Plan::usual().await, routes)
    }

    fn open_by(mut plan: Plan, routes: &[(&str, Audience)]) -> Self {
        let usual = plan.config.routes.iter().find(|route| route.path_prefix == REQUIRED).unwrap().clone();
        for (prefix, audience) in routes {
            let mut route = usual.clone();
            route.path_prefix = (*prefix).to_owned();
            route.audience = Some(Arc::new(audience.clone()));
            plan.config.routes.push(route);
        }
        let partner = TestCa::new("partner.example");
        let mut snapshot = plan.ca.snapshot(&["acme", "other"], Enforcement::Enforce);
        snapshot.service_issuers.push_back(plan.ca.trusted_service_issuer());
        snapshot.foreign_trusts.push_back(partner.foreign_trust("partner"));
        plan.snapshot = Some(Arc::new(snapshot));
        Self { site: plan.open(), partner }
    }

    async fn get(&self, certificate: &TestCertificate, path: &str) -> Answer {
        self.site.visitor(Some(certificate)).get(path).await
    }

    /// The code of a refusal, or the status of what was let in.
    async fn outcome(&self, certificate: &TestCertificate, path: &str) -> String {
        let answer = self.get(certificate, path).await;
        if answer.status == StatusCode::OK { "let in".to_owned() } else { answer.code() }
    }

    fn service(&self) -> TestCertificate {
        self.site.ca.mint(&short(LeafSpec::service("pulse")))
    }

    fn foreign(&self) -> TestCertificate {
        self.partner.mint(&short(LeafSpec::service("billing")))
    }

    fn device_of(&self, tenant: &str, name: &str) -> TestCertificate {
        self.site.ca.mint(&short(self.site.ca.device_spec(tenant, name)))
    }
}

/// Valid from 1000 seconds ago to in 1000 seconds.
fn short(spec: LeafSpec) -> LeafSpec {
    let span = Duration::from_secs(1000);
    LeafSpec { not_before: NOW - span, not_after: NOW + span, ..spec }
}

async fn usual() -> House {
    House::open(&[("/services", guests(&["services"])), ("/partner", guests(&["trust:partner"]))]).await
}

#[tokio::test]
async fn each_guest_is_let_in_where_it_is_admitted_and_nowhere_else() {
    let house = usual().await;
    let (service, foreign, device) = (house.service(), house.foreign(), house.site.device("d1"));
    let refused = "NOT_ADMITTED_HERE";
    for (certificate, services, partner, required) in [
        (&service, "let in", refused, refused),
        (&foreign, refused, "let in", refused),
        (&device, refused, refused, "let in"),
    ] {
        assert_eq!(house.outcome(certificate, "/services/x").await, services);
        assert_eq!(house.outcome(certificate, "/partner/x").await, partner);
        assert_eq!(house.outcome(certificate, "/required/x").await, required);
        assert_eq!(house.outcome(certificate, "/open/x").await, "let in");
    }
}

#[tokio::test]
async fn nobody_is_let_in_on_what_the_evil_twins_sign() {
    let house = usual().await;
    let service = house.site.ca.evil_twin().mint(&LeafSpec::service("pulse"));
    let foreign = house.partner.evil_twin().mint(&LeafSpec::service("billing"));
    let stranger = TestCa::new("stranger.example").mint(&LeafSpec::service("billing"));
    for certificate in [&service, &foreign, &stranger] {
        for path in ["/services/x", "/partner/x", "/required/x"] {
            assert_eq!(house.outcome(certificate, path).await, "CERTIFICATE_UNTRUSTED");
        }
    }
    for path in ["/services/x", "/partner/x"] {
        assert_eq!(house.site.visitor(None).get(path).await.code(), "MTLS_REQUIRED");
    }
}

#[tokio::test]
async fn a_guest_in_bad_standing_or_for_another_purpose_is_refused_and_says_why() {
    let mut house = usual().await;
    let billing = || short(LeafSpec::service("billing"));
    let over = LeafSpec { not_after: NOW - Duration::from_secs(1), ..billing() };
    assert_eq!(house.outcome(&house.partner.mint(&over), "/partner/x").await, "CERTIFICATE_EXPIRED");
    let server = LeafSpec { purposes: vec![purpose::SERVER_AUTH], ..billing() };
    assert_eq!(house.outcome(&house.partner.mint(&server), "/partner/x").await, "CERTIFICATE_UNTRUSTED");
    let (service, foreign) = (house.service(), house.foreign());
    let key = foreign.spki();
    house.site.apply(|snapshot| snapshot.denied_keys.insert(key)).await;
    assert_eq!(house.outcome(&foreign, "/partner/x").await, "CERTIFICATE_REVOKED");
    house.site.apply(|snapshot| snapshot.denied.insert(service.reference.clone())).await;
    assert_eq!(house.outcome(&service, "/services/x").await, "CERTIFICATE_REVOKED");
}

#[tokio::test]
async fn a_guest_is_no_device_in_front_of_the_control_plane() {
    let house = usual().await;
    for certificate in [house.service(), house.foreign()] {
        let answer = house.get(&certificate, "/api/v1/agents/x/heartbeat").await;
        assert_eq!(answer.told("behind"), "control plane");
        assert_eq!(answer.told("device"), serde_json::Value::Null);
    }
}

#[tokio::test]
async fn a_foreign_certificate_that_names_our_device_makes_nobody_a_device() {
    let mut house = usual().await;
    let spec = short(LeafSpec {
        uris: vec!["spiffe://countersign.internal/tenant/acme/device/d1".to_owned()],
        ..LeafSpec::service("acme/d1")
    });
    let borrowed = house.partner.mint(&spec);
    assert_eq!(house.outcome(&borrowed, "/partner/x").await, "CERTIFICATE_UNTRUSTED");
    let EdgeReport::Refused(refused) = house.site.next_report().await else { panic!("a refusal") };
    assert_eq!((refused.untrusted, refused.certificate), (Some("NAME_BORROWED"), None));
    assert_eq!(house.outcome(&borrowed, "/required/x").await, "CERTIFICATE_UNTRUSTED");
    let agent = house.get(&borrowed, "/api/v1/agents/x/heartbeat").await;
    assert_eq!(agent.told("device"), serde_json::Value::Null);
}

#[tokio::test]
async fn upstreams_are_told_of_a_guest_and_of_no_device() {
    let house = usual().await;
    for (certificate, path, of) in
        [(house.service(), "/services/x", "services"), (house.foreign(), "/partner/x", "trust:partner")]
    {
        let answer = house.get(&certificate, path).await;
        assert_eq!(answer.told_header("countersign-guest").as_deref(), Some(of));
        assert_eq!(answer.told_header("client-cert"), Some(rfc9440(certificate.der())));
        assert_eq!(answer.told_header("client-cert-chain"), Some(rfc9440(&certificate.chain[1])));
        assert_eq!(answer.told_header("countersign-device"), None);
        assert_eq!(answer.told_header("countersign-tenant"), None);
        let elsewhere = house.get(&certificate, "/open/x").await;
        for header in ["countersign-guest", "client-cert", "client-cert-chain"] {
            assert_eq!(elsewhere.told_header(header), None, "{header}");
        }
    }
    let device = house.get(&house.site.device("d1"), "/required/x").await;
    assert_eq!(device.told_header("countersign-guest"), None);
}

async fn a_fall_cuts(prefix: &str, change: fn(&mut TrustSnapshot, &TestCertificate)) {
    let mut house = usual().await;
    let is_service = prefix == "/services";
    let path = &format!("{prefix}/x");
    let certificate = if is_service { house.service() } else { house.foreign() };
    let bystander = if is_service { house.foreign() } else { house.service() };
    let other = if is_service { "/partner/upgrade" } else { "/services/upgrade" };
    let visitor = house.site.visitor(Some(&certificate));
    let mut line = visitor.http2().await;
    assert_eq!(line.get(path).await.unwrap().status, 200);
    let (_line, mut cut) = tunnel_to(&visitor, &format!("{prefix}/upgrade")).await;
    let (_other_line, mut kept) = tunnel_to(&house.site.visitor(Some(&bystander)), other).await;
    let began = Instant::now();
    house.site.apply(|snapshot| change(snapshot, &certificate)).await;
    line.closed().await;
    assert!(!goes_on(&mut cut).await);
    assert!(began.elapsed() < AT_ONCE, "{:?}", began.elapsed());
    assert!(goes_on(&mut kept).await, "nobody else's");
    assert_ne!(visitor.get(path).await.status, 200, "resumed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trust_that_is_removed_cuts_the_live_connections_of_its_guests() {
    a_fall_cuts("/partner", |snapshot, _certificate| snapshot.foreign_trusts.clear()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_service_is_cut() {
    a_fall_cuts("/services", |snapshot, certificate| {
        snapshot.denied.insert(certificate.reference.clone());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_whose_certificate_ends_is_cut_by_the_clock() {
    let house = usual().await;
    let visitor = house.site.visitor(Some(&house.foreign()));
    let (_line, mut tunnel) = tunnel_to(&visitor, "/partner/upgrade").await;
    let_expire(&house.site.clock);
    while goes_on(&mut tunnel).await {}
    assert_eq!(visitor.get("/partner/x").await.code(), "CERTIFICATE_EXPIRED");
}

#[tokio::test]
async fn a_trust_that_comes_later_admits_at_once() {
    let mut house = House::open(&[("/late", guests(&["trust:late"]))]).await;
    let late = TestCa::new("late.example");
    let certificate = late.mint(&short(LeafSpec::service("x")));
    let mut line = house.site.visitor(Some(&certificate)).http1().await;
    assert_eq!(line.get("/late/x").await.unwrap().code(), "CERTIFICATE_UNTRUSTED");
    house.site.apply(|snapshot| snapshot.foreign_trusts.push_back(late.foreign_trust("late"))).await;
    assert_eq!(line.get("/late/x").await.unwrap().status, 200, "over the same connection");
    house.site.apply(|snapshot| snapshot.foreign_trusts.clear()).await;
    line.closed().await;
}

#[tokio::test]
async fn devices_are_narrowed_by_tenant_and_name() {
    let tenant = Audience { tenants: vec!["acme".parse().unwrap()], ..Audience::default() };
    let names = Audience { device_names: vec!["pump-*".parse().unwrap()], ..tenant.clone() };
    let house = House::open(&[("/tenant", tenant), ("/names", names)]).await;
    for (owner, name, tenant, names) in [
        ("acme", "pump-1", "let in", "let in"),
        ("acme", "valve-1", "let in", "NOT_ADMITTED_HERE"),
        ("other", "pump-1", "NOT_ADMITTED_HERE", "NOT_ADMITTED_HERE"),
    ] {
        let device = house.device_of(owner, name);
        assert_eq!(house.outcome(&device, "/tenant/x").await, tenant, "{owner}/{name}");
        assert_eq!(house.outcome(&device, "/names/x").await, names, "{owner}/{name}");
    }
    assert_eq!(house.outcome(&house.service(), "/tenant/x").await, "NOT_ADMITTED_HERE");
}

fn attribute(kind: &str, value: Option<&str>) -> RequiredAttribute {
    RequiredAttribute { kind: kind.parse().unwrap(), value: value.map(str::to_owned) }
}

#[tokio::test]
async fn a_name_inside_another_attribute_is_no_name() {
    let list = Audience { common_names: vec!["admin".to_owned()], ..guests(&["trust:partner"]) };
    let house = House::open(&[("/list", list)]).await;
    let named = |common_name: &str, organization: &str| LeafSpec {
        organization: organization.to_owned(),
        ..short(LeafSpec::service(common_name))
    };
    let outcome = async |spec| house.outcome(&house.partner.mint(&spec), "/list/x").await;
    assert_eq!(outcome(named("admin", "Partner")).await, "let in");
    let second = LeafSpec { subject: vec![("2.5.4.3", "admin".to_owned())], ..named("x", "Partner") };
    for refused in [
        named("d1", r"Evil\,CN=admin"),
        named("d1", "Evil,CN=admin"),
        named("d1,CN=admin", "Evil"),
        named("d1/CN=admin", "Evil"),
        named("Admin", "Partner"),
        named("admin ", "Partner"),
        named("admin\0.example", "Partner"),
        second,
    ] {
        let shown = format!("{} {}", refused.common_name, refused.organization);
        assert_eq!(outcome(refused).await, "NOT_ADMITTED_HERE", "{shown}");
    }
}

#[tokio::test]
async fn a_subject_must_have_what_the_route_asks_for() {
    let subject = vec![attribute("CN", None), attribute("O", Some("Enterprise")), attribute("OU", None)];
    let house = House::open(&[("/subject", Audience { subject, ..guests(&["services"]) })]).await;
    let with = |organization: &str, unit: &[&str]| LeafSpec {
        organization: organization.to_owned(),
        subject: unit.iter().map(|unit| (ORGANIZATIONAL_UNIT, (*unit).to_owned())).collect(),
        ..short(LeafSpec::service("pulse"))
    };
    for (organization, unit, expected) in [
        ("Enterprise", &["Platform"][..], "let in"),
        ("Enterprise", &["Platform", "Ops"][..], "let in"),
        ("Enterprise", &[][..], "NOT_ADMITTED_HERE"),
        ("Enterprise", &[""][..], "NOT_ADMITTED_HERE"),
        ("enterprise", &["Platform"][..], "NOT_ADMITTED_HERE"),
        ("Other,O=Enterprise", &["Platform"][..], "NOT_ADMITTED_HERE"),
    ] {
        let certificate = house.site.ca.mint(&with(organization, unit));
        assert_eq!(house.outcome(&certificate, "/subject/x").await, expected, "{organization} {unit:?}");
    }
}

#[tokio::test]
async fn alternative_names_are_compared_whole() {
    let names = vec![
        "uri:spiffe://partner.example/billing".parse().unwrap(),
        "dns:billing.partner.example".parse().unwrap(),
    ];
    let house = House::open(&[("/names", Audience { names, ..guests(&["trust:partner"]) })]).await;
    let with = |uris: &[&str], dns: &[&str]| LeafSpec {
        uris: uris.iter().map(|uri| (*uri).to_owned()).collect(),
        dns: dns.iter().map(|name| (*name).to_owned()).collect(),
        ..short(LeafSpec::service("spiffe://partner.example/billing"))
    };
    for (uris, dns, expected) in [
        (&["spiffe://partner.example/billing"][..], &[][..], "let in"),
        (&[][..], &["Billing.Partner.Example"][..], "let in"),
        (&["spiffe://partner.example/billing/x"][..], &[][..], "NOT_ADMITTED_HERE"),
        (&["https://x/?spiffe://partner.example/billing"][..], &[][..], "NOT_ADMITTED_HERE"),
        (&[][..], &["x.billing.partner.example", "billing.partner.example.x"][..], "NOT_ADMITTED_HERE"),
        (&[][..], &["spiffe://partner.example/billing"][..], "NOT_ADMITTED_HERE"),
        (&[][..], &[][..], "NOT_ADMITTED_HERE"),
    ] {
        let certificate = house.partner.mint(&with(uris, dns));
        assert_eq!(house.outcome(&certificate, "/names/x").await, expected, "{uris:?} {dns:?}");
    }
}

#[tokio::test]
async fn under_observation_whoever_would_be_refused_is_let_in_and_recorded() {
    let mut plan = Plan::usual().await;
    let mut watched =
        plan.config.routes.iter().find(|route| route.path_prefix == "/observed").unwrap().clone();
    watched.audience =
        Some(Arc::new(Audience { tenants: vec!["other".parse().unwrap()], ..Audience::default() }));
    watched.path_prefix = "/watched".to_owned();
    plan.config.routes.push(watched);
    let mut house = House::open_by(plan, &[]);
    let answer = house.get(&house.site.device("d1"), "/watched/x").await;
    assert_eq!(answer.told_header("countersign-device").as_deref(), Some("d1"), "still that device");
    let EdgeReport::WouldRefuse(would) = house.site.next_report().await else { panic!("a refusal") };
    assert_eq!(would.code, "NOT_ADMITTED_HERE");
}

#[tokio::test]
async fn a_door_that_requires_a_certificate_lets_the_guests_of_its_routes_through() {
    let mut plan = Plan::usual().await;
    plan.config.client_auth = ClientAuth::Required;
    let house = House::open_by(plan, &[("/services", guests(&["services"]))]);
    assert_eq!(house.outcome(&house.service(), "/services/x").await, "let in");
    assert_eq!(house.outcome(&house.service(), "/required/x").await, "NOT_ADMITTED_HERE");
    let stranger = house.site.visitor(Some(&house.foreign()));
    let heard = stranger.raw("GET /services/x HTTP/1.1\r\nHost: door.test\r\n\r\n").await;
    assert_eq!(heard, "", "in the handshake");
}
