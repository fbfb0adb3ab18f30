//! Proves with OpenSSL as the client, over TLS 1.2 and 1.3, that a resumed session is judged like a new one:
//! whoever fell is refused on full, resumed and live connections, within a second.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::{Device, Installation, SClient, Session, Time, Visit, done, hours, within};
use crate::upstream::Upstream;

const AT_ONCE: Duration = Duration::from_secs(1);

async fn site(time: Time) -> (Upstream, Installation) {
    let upstream = Upstream::start().await;
    let installation = Installation::configured(&upstream.routes(), time).await;
    (upstream, installation)
}

async fn decide(installation: &Installation, decision: &str, device: &Device) {
    let admin = installation.admin();
    done(&match decision {
        "quarantine" => admin.quarantine(device.id, "stolen laptop").await,
        "decommission" => admin.decommission(device.id).await,
        "revoke" => admin.revoke(admin.active(device.id).await.unwrap().id, "keyCompromise").await,
        other => panic!("{other} is no decision"),
    });
}

/// Has been served in full and by its session, of which the second shows that resumption is on.
fn known(clients: &[SClient]) {
    for client in clients {
        assert_eq!(client.visit(Session::New), Visit::of(false, ""));
        assert_eq!(client.visit(Session::Kept), Visit::of(true, ""), "{}", client.version);
    }
}

/// One by a session of before, one that is new, of each version.
fn live(clients: &[SClient]) -> Vec<std::process::Child> {
    let sessions = |client: &SClient| [Session::Kept, Session::New].map(|session| client.live(session));
    clients.iter().flat_map(sessions).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_fell_is_refused_on_full_resumed_and_live_connections_within_a_second() {
    let (_upstream, installation) = site(Time::Real).await;
    let bystander = Device::enrol(&installation, "bystander").await;
    let bystanders =
        SClient::VERSIONS.map(|version| SClient::of(&installation, &bystander, version, "bystander"));
    known(&bystanders);
    let mut bystanding = live(&bystanders);
    let decisions = [
        ("revoke", "CERTIFICATE_REVOKED"),
        ("quarantine", "DEVICE_QUARANTINED"),
        ("decommission", "CERTIFICATE_REVOKED"),
    ];
    for (decision, code) in decisions {
        let device = Device::enrol(&installation, decision).await;
        let clients = SClient::VERSIONS.map(|version| SClient::of(&installation, &device, version, decision));
        known(&clients);
        let sessions = live(&clients);
        let began = Instant::now();
        decide(&installation, decision, &device).await;
        for mut session in sessions {
            let left = AT_ONCE.saturating_sub(began.elapsed());
            assert!(within(left, &mut session).await, "{decision}: cut at once");
        }
        for client in &clients {
            let version = client.version;
            assert_eq!(client.visit(Session::Kept), Visit::of(true, code), "{decision} {version}");
            assert_eq!(client.visit(Session::New), Visit::of(false, code), "{decision} {version}");
        }
    }
    for bystander in &mut bystanding {
        assert!(bystander.try_wait().unwrap().is_none(), "others' connections stay");
        bystander.kill().unwrap();
        bystander.wait().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_expires_is_refused_with_a_session_from_before() {
    let (_upstream, installation) = site(Time::Fake).await;
    installation.admin().set(json!({ "certLifetimeDays": 1 })).await;
    let device = Device::enrol(&installation, "short-lived").await;
    let clients = SClient::VERSIONS.map(|version| SClient::of(&installation, &device, version, "expiring"));
    // A session does not live as long as a certificate: one of its last hour.
    installation.time().advance(hours(23));
    known(&clients);
    let sessions = live(&clients);
    installation.time().advance(hours(2));
    for mut session in sessions {
        assert!(within(AT_ONCE, &mut session).await, "cut at once");
    }
    for client in &clients {
        let version = client.version;
        assert_eq!(client.visit(Session::Kept), Visit::of(true, "CERTIFICATE_EXPIRED"), "{version}");
        assert_eq!(client.visit(Session::New), Visit::of(false, "CERTIFICATE_EXPIRED"), "{version}");
    }
}
