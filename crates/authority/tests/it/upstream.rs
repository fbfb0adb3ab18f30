//! Cloudflare as issuer: its certificates open doors by what is on record about them, its outages cost
//! nobody an enrolment, and what is revoked here is revoked there, once, whatever happens in between.

use std::sync::Arc;
use std::time::Duration;

use countersign_authority::agent::Possession;
use countersign_authority::enrol::{Enrolled, NoCertificate};
use countersign_authority::presence::Renewal;
use countersign_authority::renew::RenewError;
use countersign_authority::{Authority, AuthorityConfig, IssuerMode, OpenWith};
use countersign_ca::upstream::{
    ApiMethod, ApiRequest, ApiResponse, Cloudflare, Sending, Transport, TransportError,
};
use countersign_core::audit::AuditEvent;
use countersign_core::certificate::{CertificateState, RevocationReason};
use countersign_core::ids::SerialNumber;
use countersign_core::snapshot::{CertificateClaim, Standing};
use countersign_store::AuditFilter;
use countersign_testkit::{CLOUDFLARE_TOKEN, CLOUDFLARE_ZONE, FakeCloudflare, Trouble};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::house::{Csr, DAY, Device, HOUR, House, MINUTE, address, claim, fresh_key, refused, request};

/// The way to the API, without TLS.
#[derive(Debug)]
struct Plain {
    address: String,
}

impl Transport for Plain {
    fn send(&self, request: ApiRequest) -> Sending<'_> {
        Box::pin(async move {
            let unreachable = |error: std::io::Error| TransportError::Unreachable {
                address: self.address.clone(),
                source: error.into(),
            };
            let lost = |error: std::io::Error| TransportError::NoAnswer {
                address: self.address.clone(),
                source: error.into(),
            };
            let mut stream = TcpStream::connect(&self.address).await.map_err(unreachable)?;
            let method = match request.method {
                ApiMethod::Get => "GET",
                ApiMethod::Post => "POST",
                ApiMethod::Put => "PUT",
                ApiMethod::Delete => "DELETE",
            };
            let body = request.body.unwrap_or_default();
            let head = format!(
                "{method} /client/v4{} HTTP/1.1\r\nhost: api\r\nauthorization: Bearer {CLOUDFLARE_TOKEN}\r\n\
                 content-length: {}\r\n\r\n",
                request.path,
                body.len()
            );
            stream.write_all(&[head.as_bytes(), &body].concat()).await.map_err(lost)?;
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await.map_err(lost)?;
            let text = String::from_utf8_lossy(&answer).into_owned();
            let closed = || lost(std::io::ErrorKind::UnexpectedEof.into());
            let (head, body) = text.split_once("\r\n\r\n").ok_or_else(closed)?;
            let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(closed)?;
            let retry_after = head
                .lines()
                .find_map(|line| line.strip_prefix("retry-after: "))
                .and_then(|seconds| seconds.parse().ok())
                .map(Duration::from_secs);
            Ok(ApiResponse { status, retry_after, body: body.as_bytes().to_vec() })
        })
    }
}

fn api(fake: &FakeCloudflare) -> Cloudflare {
    let address = fake.url().trim_start_matches("http://").trim_end_matches("/client/v4").to_owned();
    Cloudflare::new(Arc::new(Plain { address }), CLOUDFLARE_ZONE.parse().unwrap())
}

/// Another authority on the house's database, with Cloudflare as issuer.
async fn authority(house: &House, fake: &FakeCloudflare) -> Arc<Authority> {
    let config = AuthorityConfig { issuer: IssuerMode::Cloudflare, ..house.config() };
    let with = OpenWith { upstream: Some(api(fake)), ..OpenWith::default() };
    Authority::open_with(house.store.clone(), house.clock.clone(), config, with).await.unwrap()
}

async fn house() -> (House, FakeCloudflare) {
    let mut house = House::new().await;
    let fake = FakeCloudflare::start(house.clock.clone()).await;
    house.authority = authority(&house, &fake).await;
    (house, fake)
}

async fn enrolled(house: &House, name: &str) -> (Enrolled, Device) {
    let key = fresh_key();
    let enrolled = house.enrol(&request(&house.key().await, name, Some(&key))).await.unwrap();
    let device = Device::new(&enrolled, key);
    (enrolled, device)
}

fn statuses(fake: &FakeCloudflare) -> Vec<&'static str> {
    fake.certificates().iter().map(|certificate| certificate.status).collect()
}

async fn sweep(house: &House) {
    house.authority.sweep_upstream().await.unwrap();
}

async fn revoke(house: &House, device: &Device) {
    let active = house.in_state(device.id, CertificateState::Active).await;
    let by = house.operate();
    house.authority.revoke_certificate(&by, active.id, RevocationReason::KeyCompromise).await.unwrap();
}

#[tokio::test]
async fn a_device_gets_a_certificate_that_doors_know_by_what_is_on_record() {
    let (house, fake) = house().await;
    let (enrolled, device) = enrolled(&house, "ws-01").await;
    let mtls = enrolled.mtls.unwrap();
    assert!(mtls.private_key_pem.is_none() && mtls.chain_pem.is_empty());
    assert_eq!(mtls.lifetime.expires_at, house.now() + DAY * 90);
    let row = house.in_state(device.id, CertificateState::Active).await;
    assert_eq!(row.der, fake.certificates()[0].der);
    assert_eq!(house.standing(&row).await, Standing::Valid);
    // Neither another serial number of that CA, nor this one as another device's, is anybody's.
    let serial: SerialNumber = "01abcdef".parse().unwrap();
    let mut other = claim(&row);
    other.reference.serial = serial;
    let identity =
        countersign_core::Identity::from_uri("spiffe://countersign.internal/tenant/default/device/ws-02");
    let stolen = CertificateClaim { identity: identity.unwrap(), ..claim(&row) };
    for foreign in [other, stolen] {
        assert_eq!(house.authority.snapshot().standing(&foreign, house.now()), Standing::Foreign);
    }
    // A start from the records alone comes to the same, whoever issues by then.
    let bindings = house.authority.snapshot().bindings.clone();
    assert_eq!(
        (bindings.len(), house.reopened(IssuerMode::Embedded).await.snapshot().bindings.clone()),
        (1, bindings)
    );
    let events = house.events(device.id).await;
    assert!(
        events.contains(&AuditEvent::CertificateIntended) && events.contains(&AuditEvent::CertificateIssued)
    );
}

#[tokio::test]
async fn an_outage_costs_no_enrolment_and_ends_with_the_next_renewal() {
    for trouble in [Trouble::Forbidden, Trouble::Failing(503), Trouble::Garbage, Trouble::AnswerLost] {
        let (house, fake) = house().await;
        fake.has(Some(trouble));
        let (enrolled, device) = enrolled(&house, "ws-01").await;
        assert_eq!(enrolled.mtls.err(), Some(NoCertificate::IssuerUnavailable), "{trouble:?}");
        assert!(house.row(device.id).await.pending_key.is_some());
        let by_proof = house.renew_by_proof(&device, &device.key, &device.key).await;
        assert!(matches!(refused(by_proof), RenewError::IssuerUnavailable), "{trouble:?}");

        fake.has(None);
        house.pass(MINUTE);
        let caller = house.caller(&device).await;
        let heard = house.authority.heartbeat(&caller, None, address()).await.unwrap();
        assert_eq!(heard.renewal, Renewal::Due);
        let renewed = house.renew_by_proof(&device, &device.key, &device.key).await.unwrap();
        house.confirm(&device, renewed.id).await.unwrap();
        let row = house.in_state(device.id, CertificateState::Active).await;
        assert_eq!(house.standing(&row).await, Standing::Valid);

        // What was made without our hearing of it is found by its key and revoked; what is in use is not.
        house.pass(MINUTE * 5);
        sweep(&house).await;
        sweep(&house).await;
        let expected = if trouble == Trouble::AnswerLost {
            vec!["pending_revocation", "pending_revocation", "active"]
        } else {
            vec!["active"]
        };
        assert_eq!(statuses(&fake), expected, "{trouble:?}");
        assert_eq!(house.standing(&row).await, Standing::Valid);
    }
}

#[tokio::test]
async fn a_certificate_for_another_key_is_not_handed_out_and_is_revoked() {
    let (house, fake) = house().await;
    fake.has(Some(Trouble::OtherKey));
    let (enrolled, device) = enrolled(&house, "ws-01").await;
    assert_eq!(enrolled.mtls.err(), Some(NoCertificate::IssuerUnavailable));
    assert!(house.certificates(device.id).await.is_empty());
    sweep(&house).await;
    assert_eq!(statuses(&fake), ["pending_revocation"]);
}

#[tokio::test]
async fn the_quota_and_a_block_are_outages_and_a_block_is_sat_out() {
    let (house, fake) = house().await;
    fake.set_quota(1);
    assert!(enrolled(&house, "ws-01").await.0.mtls.is_ok());
    assert!(enrolled(&house, "ws-02").await.0.mtls.is_err());
    fake.set_quota(100);
    fake.set_budget(2);
    assert!(enrolled(&house, "ws-03").await.0.mtls.is_err(), "one too many: blocked");
    let calls = fake.asked().len();
    assert!(enrolled(&house, "ws-04").await.0.mtls.is_err());
    sweep(&house).await;
    assert_eq!(fake.asked().len(), calls, "nothing is asked during a block");
    fake.set_budget(1200);
    house.pass(MINUTE * 6);
    assert!(enrolled(&house, "ws-05").await.0.mtls.is_ok());
}

#[tokio::test]
async fn a_revocation_counts_at_our_doors_at_once_and_there_in_its_time() {
    let (house, fake) = house().await;
    let (_, device) = enrolled(&house, "ws-01").await;
    let row = house.in_state(device.id, CertificateState::Active).await;
    fake.has(Some(Trouble::Failing(500)));
    revoke(&house, &device).await;
    assert_eq!(house.standing(&row).await, Standing::Revoked);
    sweep(&house).await;
    assert_eq!((fake.count("DELETE", ""), statuses(&fake)), (1, vec!["active"]));
    let open = house.authority.open_upstream_revocations().await.unwrap();
    assert_eq!(open[0].problem.as_deref(), Some("failing"));

    // Tried again after 60 s, then 120 s, also by whoever comes after a restart.
    fake.has(None);
    house.pass(Duration::from_secs(59));
    sweep(&house).await;
    assert_eq!(fake.count("DELETE", ""), 1);
    house.pass(Duration::from_secs(1));
    let next = authority(&house, &fake).await;
    next.sweep_upstream().await.unwrap();
    assert_eq!((fake.count("DELETE", ""), statuses(&fake)), (2, vec!["pending_revocation"]));
    assert_eq!(next.open_upstream_revocations().await.unwrap().len(), 1, "it is still under way");

    fake.finish_revocations();
    house.pass(MINUTE);
    next.sweep_upstream().await.unwrap();
    assert!(next.open_upstream_revocations().await.unwrap().is_empty());
    let asked = |event| AuditFilter { event: Some(event), ..AuditFilter::default() };
    for event in [AuditEvent::UpstreamRevocationAsked, AuditEvent::UpstreamRevoked] {
        assert_eq!(house.audit(asked(event)).await.len(), 1, "{event:?}");
    }
    house.pass(DAY);
    next.sweep_upstream().await.unwrap();
    assert_eq!(fake.count("DELETE", ""), 2, "done is done");
}

#[tokio::test]
async fn what_is_not_known_there_is_done_and_what_is_brought_back_there_is_revoked_again() {
    let (house, fake) = house().await;
    let (_, device) = enrolled(&house, "ws-01").await;
    revoke(&house, &device).await;
    sweep(&house).await;
    fake.reactivate_all();
    house.pass(MINUTE);
    sweep(&house).await;
    assert_eq!((fake.count("DELETE", ""), statuses(&fake)), (2, vec!["pending_revocation"]));
    fake.forget_certificates();
    house.pass(MINUTE * 2);
    sweep(&house).await;
    assert!(house.authority.open_upstream_revocations().await.unwrap().is_empty());
}

#[tokio::test]
async fn of_several_authorities_one_asks() {
    let (house, fake) = house().await;
    for name in ["ws-01", "ws-02", "ws-03"] {
        let (_, device) = enrolled(&house, name).await;
        revoke(&house, &device).await;
    }
    let (second, third) = (authority(&house, &fake).await, authority(&house, &fake).await);
    let (a, b, c) =
        tokio::join!(house.authority.sweep_upstream(), second.sweep_upstream(), third.sweep_upstream());
    a.and(b).and(c).unwrap();
    assert_eq!(fake.count("DELETE", ""), 3);
}

#[tokio::test]
async fn a_replaced_certificate_is_revoked_there_when_its_overlap_is_over() {
    let (house, fake) = house().await;
    let (_, device) = enrolled(&house, "ws-01").await;
    house.pass(DAY * 61);
    let device = house.renewed(device).await;
    let row = house.in_state(device.id, CertificateState::Active).await;
    assert_eq!(house.standing(&row).await, Standing::Valid);
    sweep(&house).await;
    assert_eq!(statuses(&fake), ["active", "active"]);
    house.pass(HOUR * 25);
    house.authority.sweep().await.unwrap();
    sweep(&house).await;
    assert_eq!(statuses(&fake), ["pending_revocation", "active"]);
}

#[tokio::test]
async fn without_the_api_nothing_is_signed() {
    let mut house = House::new().await;
    house.authority = house.reopened(IssuerMode::Cloudflare).await;
    let (enrolled, device) = enrolled(&house, "ws-01").await;
    assert_eq!(enrolled.mtls.err(), Some(NoCertificate::IssuerUnavailable));
    let caller = house.caller(&device).await;
    let possession = Possession::Handshake(CertificateClaim {
        reference: countersign_core::ids::CertificateRef {
            issuer: [1; 32].into(),
            serial: "01".parse().unwrap(),
        },
        identity: countersign_core::Identity::from_uri(
            "spiffe://countersign.internal/tenant/default/device/ws-01",
        )
        .unwrap(),
        spki: super::house::spki(&device.key),
        not_before: house.now(),
        not_after: house.now() + DAY,
    });
    let renewed = house.authority.renew(&caller, &Csr::of(&device.key).pem, &possession).await;
    assert!(matches!(refused(renewed), RenewError::ProofNeeded));
    house.authority.sweep_upstream().await.unwrap();
}
