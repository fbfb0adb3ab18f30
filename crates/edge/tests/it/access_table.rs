//! The who-may-reach-what table at the door: place × state × full, resumed and live.

use std::time::Duration;

use countersign_core::snapshot::{Bar, TenantService, TrustSnapshot};
use countersign_testkit::{LeafSpec, TestCertificate};

use crate::site::{NOW, Site, device_key, let_expire};
use crate::visitor::{Answer, Visitor};

const ENROLL: &str = "/api/v1/agents/enroll";

/// What a place asks for, as the contract's table has it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Column {
    /// Nothing.
    Everyone,
    /// Possession of a key: expired and superseded devices may still show it.
    KeyHolders,
    /// The new certificate, or its key.
    NewKeyHolders,
    /// Any device in good standing, or nobody.
    NotFallen,
    /// A device in good standing.
    Devices,
}

const PLACES: [(&str, Column); 11] = [
    (ENROLL, Column::Everyone),
    ("/api/v1/agents/renew-cert", Column::KeyHolders),
    ("/api/v1/agents/renew-cert/challenge", Column::KeyHolders),
    ("/api/v1/agents/renew-cert/confirm", Column::NewKeyHolders),
    ("/api/v1/agents/x/heartbeat", Column::NotFallen),
    ("/api/v1/agents/x/enroll", Column::NotFallen),
    ("/api/v1/agents/enroll/x", Column::NotFallen),
    ("/pki/bundle.pem", Column::NotFallen),
    ("/open/x", Column::NotFallen),
    ("/required/x", Column::Devices),
    ("/required/renewal", Column::Everyone),
];

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Nothing,
    Untrusted,
    UnknownTenant,
    Valid,
    Pending,
    Superseded,
    Expired,
    NotYetValid,
    Revoked,
    DeniedKey,
    Quarantined,
    Decommissioned,
    Suspended,
}

const STATES: [State; 13] = [
    State::Nothing,
    State::Untrusted,
    State::UnknownTenant,
    State::Valid,
    State::Pending,
    State::Superseded,
    State::Expired,
    State::NotYetValid,
    State::Revoked,
    State::DeniedKey,
    State::Quarantined,
    State::Decommissioned,
    State::Suspended,
];

/// The code of the refusal; `None`: let in.
fn expected(column: Column, state: State) -> Option<&'static str> {
    let fallen = match state {
        State::Valid | State::Pending => return None,
        State::Nothing => return (column == Column::Devices).then_some("MTLS_REQUIRED"),
        State::Untrusted | State::UnknownTenant => {
            return (column == Column::Devices).then_some("CERTIFICATE_UNTRUSTED");
        }
        State::Superseded => "CERTIFICATE_SUPERSEDED",
        State::Expired => "CERTIFICATE_EXPIRED",
        State::NotYetValid => "CERTIFICATE_NOT_YET_VALID",
        State::Revoked | State::DeniedKey => "CERTIFICATE_REVOKED",
        State::Quarantined => "DEVICE_QUARANTINED",
        State::Decommissioned => "DEVICE_DECOMMISSIONED",
        State::Suspended => "TENANT_SUSPENDED",
    };
    match column {
        Column::Everyone => None,
        Column::KeyHolders if matches!(state, State::Expired | State::Superseded) => None,
        Column::KeyHolders | Column::NewKeyHolders | Column::NotFallen | Column::Devices => Some(fallen),
    }
}

/// Brings about a state, for a certificate that was in good standing before.
async fn bring_about(site: &mut Site, certificate: &TestCertificate, state: State) {
    let own = certificate.reference.clone();
    let key = certificate.spki();
    if state == State::Expired {
        let_expire(&site.clock);
    }
    if state == State::NotYetValid {
        site.clock.set(NOW - Duration::from_secs(1001));
    }
    let change = |snapshot: &mut TrustSnapshot| match state {
        State::Pending => drop(snapshot.pending.insert(own)),
        State::Superseded => drop(snapshot.superseded.insert(own, NOW + Duration::from_secs(500))),
        State::Revoked => snapshot.denied.insert(own),
        State::DeniedKey => snapshot.denied_keys.insert(key),
        State::Quarantined => snapshot.barred.insert(device_key("d1"), Bar::Quarantined),
        State::Decommissioned => snapshot.barred.insert(device_key("d1"), Bar::Decommissioned),
        State::Suspended => {
            let tenant = snapshot.tenants.get_mut(&device_key("d1").0).unwrap();
            tenant.service = TenantService::Suspended;
        }
        State::UnknownTenant => drop(snapshot.tenants.remove(&device_key("d1").0)),
        State::Nothing | State::Untrusted | State::Valid | State::Expired | State::NotYetValid => {}
    };
    site.apply(change).await;
}

fn certificate_for(site: &Site, state: State) -> Option<TestCertificate> {
    if state == State::Nothing {
        return None;
    }
    let ca = if state == State::Untrusted { site.ca.evil_twin() } else { site.ca.clone() };
    Some(ca.mint(&LeafSpec {
        not_before: NOW - Duration::from_secs(1000),
        not_after: NOW + Duration::from_secs(1000),
        ..ca.device_spec("acme", "d1")
    }))
}

fn check(answer: &Answer, path: &str, column: Column, state: State, how: &str) {
    let cell = format!("{path} × {state:?} × {how}: {:?}", answer.body);
    match expected(column, state) {
        None => assert_eq!(answer.status, 200, "{cell}"),
        Some(code) => {
            assert_eq!(answer.status, 403, "{cell}");
            assert_eq!(answer.code(), code, "{cell}");
        }
    }
}

/// The state is there before the first handshake.
async fn full(state: State) {
    let mut site = Site::usual().await;
    let certificate = certificate_for(&site, state);
    if let Some(certificate) = &certificate {
        bring_about(&mut site, certificate, state).await;
    }
    for (path, column) in PLACES {
        let visitor = site.visitor(certificate.as_ref());
        check(&visitor.get(path).await, path, column, state, "full");
        check(&visitor.http2().await.get(path).await.unwrap(), path, column, state, "full, HTTP/2");
    }
}

/// The session was opened in good standing and is resumed afterwards.
async fn resumed(state: State) {
    let mut site = Site::usual().await;
    let certificate = certificate_for(&site, state);
    let mut visitors: Vec<Visitor> = Vec::new();
    for _ in PLACES {
        let visitor = site.visitor(certificate.as_ref());
        assert_eq!(visitor.get(ENROLL).await.told("resumed"), false);
        visitors.push(visitor);
    }
    if let Some(certificate) = &certificate {
        bring_about(&mut site, certificate, state).await;
    }
    for ((path, column), visitor) in PLACES.into_iter().zip(visitors) {
        let mut line = visitor.http1().await;
        assert_eq!(line.get(ENROLL).await.unwrap().told("resumed"), true, "{state:?}");
        check(&line.get(path).await.unwrap(), path, column, state, "resumed");
    }
}

/// The connection was opened in good standing and is still open: it is cut, or answers by the table.
async fn live(state: State) {
    let mut site = Site::usual().await;
    let certificate = certificate_for(&site, state);
    let mut lines = Vec::new();
    for place in PLACES {
        for is_http2 in [false, true] {
            let visitor = site.visitor(certificate.as_ref());
            let mut line = if is_http2 { visitor.http2().await } else { visitor.http1().await };
            assert_eq!(line.get(ENROLL).await.unwrap().status, 200);
            lines.push((place, line));
        }
    }
    if let Some(certificate) = &certificate {
        bring_about(&mut site, certificate, state).await;
    }
    let stays = matches!(state, State::Nothing | State::Untrusted | State::Valid | State::Pending);
    for ((path, column), mut line) in lines {
        match line.get(path).await {
            Ok(answer) => check(&answer, path, column, state, "live"),
            Err(error) => assert!(!stays, "{path} × {state:?} × live: {error}"),
        }
        if !stays {
            line.closed().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_handshake_is_judged_by_the_table() {
    for state in STATES {
        full(state).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_resumed_session_is_judged_by_the_table() {
    for state in STATES {
        resumed(state).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_live_connection_is_judged_by_the_table() {
    for state in STATES {
        live(state).await;
    }
}
