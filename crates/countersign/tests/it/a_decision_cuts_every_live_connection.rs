//! Proves that a decision about a device ends every connection it has, of every kind, in under a
//! second from the call, and nobody else's; and that a renewal is gentler.

use std::time::{Duration, Instant};

use countersign_testkit::{Answer, Connection, DoorClient, HttpVersion, KeyKind, TestKey};
use http::{Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use crate::harness::{Admin, Device, Installation, Time, done};
use crate::upstream::Upstream;

const AT_ONCE: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(20);

/// Every kind of connection that a device can have, open and in use.
struct Sessions {
    keep_alive: Connection,
    multiplexed: Connection,
    streamed: Response<Incoming>,
    tunnel: TokioIo<Upgraded>,
    /// Its answer became the tunnel.
    _upgraded: Connection,
}

impl Sessions {
    async fn open(installation: &Installation, device: &Device) -> Self {
        let client = device.client(installation);
        let mut keep_alive = client.connect(installation.door()).await.unwrap();
        assert_eq!(device.heartbeat(&mut keep_alive).await.status, 200);
        let mut multiplexed =
            client.clone().http(HttpVersion::Http2).connect(installation.door()).await.unwrap();
        assert_eq!(device.heartbeat(&mut multiplexed).await.status, 200);
        let mut streamed = multiplexed.begin("GET", "/required/stream", &[], "").await.unwrap();
        assert_eq!(next_piece(&mut streamed).await.unwrap(), "begun");
        let mut upgraded = client.connect(installation.door()).await.unwrap();
        let wish = [("connection", "Upgrade"), ("upgrade", "websocket")];
        let switched = upgraded.begin("GET", "/required/upgrade", &wish, "").await.unwrap();
        assert_eq!(switched.status(), StatusCode::SWITCHING_PROTOCOLS);
        let mut tunnel = TokioIo::new(hyper::upgrade::on(switched).await.unwrap());
        assert!(echoes(&mut tunnel).await);
        Self { keep_alive, multiplexed, streamed, tunnel, _upgraded: upgraded }
    }

    /// Waits until all of them are gone.
    async fn until_cut(&mut self) {
        let all = async {
            self.keep_alive.closed().await;
            assert_eq!(next_piece(&mut self.streamed).await, None, "the stream is cut off");
            self.multiplexed.closed().await;
            assert!(!echoes(&mut self.tunnel).await);
        };
        timeout(PATIENCE, all).await.unwrap();
    }

    async fn assert_alive(&mut self, device: &Device) {
        assert_eq!(device.heartbeat(&mut self.keep_alive).await.status, 200);
        assert_eq!(device.heartbeat(&mut self.multiplexed).await.status, 200);
        assert!(echoes(&mut self.tunnel).await);
    }
}

/// The next piece of a streamed answer; `None` when it has ended, or is cut off.
async fn next_piece(response: &mut Response<Incoming>) -> Option<String> {
    loop {
        let frame = timeout(PATIENCE, response.body_mut().frame()).await.unwrap()?.ok()?;
        let piece = frame.into_data().ok()?;
        if !piece.is_empty() {
            return Some(String::from_utf8(piece.to_vec()).unwrap());
        }
    }
}

/// Whether what is sent comes back.
async fn echoes(tunnel: &mut TokioIo<Upgraded>) -> bool {
    let mut back = [0; 5];
    let exchange = async {
        tunnel.write_all(b"hello").await?;
        tunnel.read_exact(&mut back).await
    };
    timeout(PATIENCE, exchange).await.unwrap().is_ok() && back == *b"hello"
}

async fn decide(admin: &Admin, decision: &str, device: &Device) -> Answer {
    match decision {
        "deny" => admin.deny(device.id).await,
        "decommission" => admin.decommission(device.id).await,
        "quarantine" => admin.quarantine(device.id, "stolen laptop").await,
        _ => {
            let certificate = admin.active(device.id).await.unwrap().id;
            admin.revoke(certificate, "keyCompromise").await
        }
    }
}

/// The code of what a client that shows this device's certificate is told.
async fn code_at_upstream(client: &DoorClient, installation: &Installation) -> (bool, String) {
    let mut connection = client.connect(installation.door()).await.unwrap();
    let answer = connection.request("GET", "/required/x", &[], "").await.unwrap();
    (connection.is_resumed(), answer.code())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deny_revoke_quarantine_and_decommission_cut_all_in_under_a_second() {
    let upstream = Upstream::start().await;
    let installation = super::configured(&upstream.routes(), Time::Real).await;
    let admin = installation.admin();
    let bystander = Device::enrol(&installation, "bystander").await;
    let mut bystanding = Sessions::open(&installation, &bystander).await;
    let decisions = [
        ("deny", "CERTIFICATE_REVOKED"),
        ("revoke", "CERTIFICATE_REVOKED"),
        ("quarantine", "DEVICE_QUARANTINED"),
        ("decommission", "CERTIFICATE_REVOKED"),
    ];
    for (decision, code) in decisions {
        let device = Device::enrol(&installation, decision).await;
        let mut sessions = Sessions::open(&installation, &device).await;
        let resuming = device.client(&installation).resuming();
        assert_eq!(code_at_upstream(&resuming, &installation).await, (false, String::new()));

        let began = Instant::now();
        let decided = done(&decide(&admin, decision, &device).await);
        let answered = began.elapsed();
        sessions.until_cut().await;
        let cut = began.elapsed();
        assert!(cut < AT_ONCE, "{decision}: answered after {answered:?}, all cut after {cut:?}");
        assert_eq!(decided["appliedEdges"], installation.applied_by_all(0), "{decision}");

        assert_eq!(code_at_upstream(&resuming, &installation).await, (true, code.to_owned()), "{decision}");
        let full = device.client(&installation);
        assert_eq!(code_at_upstream(&full, &installation).await, (false, code.to_owned()), "{decision}");
        bystanding.assert_alive(&bystander).await;
    }
    upstream.end_streams();
    assert_eq!(next_piece(&mut bystanding.streamed).await.unwrap(), " ended");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_superseded_certificate_gets_its_answers_and_keeps_its_tunnels() {
    let upstream = Upstream::start().await;
    let installation = super::configured(&upstream.routes(), Time::Real).await;
    let device = Device::enrol(&installation, "renewing").await;
    let client = device.client(&installation);
    let mut sessions = Sessions::open(&installation, &device).await;
    let mut answering = client.connect(installation.door()).await.unwrap();
    let mut streamed = answering.begin("GET", "/required/stream", &[], "").await.unwrap();
    assert_eq!(next_piece(&mut streamed).await.unwrap(), "begun");

    let fresh = TestKey::generate(KeyKind::P256);
    let renewed = device.renewed(&installation, &fresh).await.unwrap();
    let renewed_device = Device { key: fresh, mtls: Some(renewed.mtls), ..device.clone() };
    let mut over_new = renewed_device.connect(&installation).await;
    let confirmed = done(&renewed_device.confirm(&mut over_new, renewed.certificate_id, None).await);
    assert_eq!(confirmed, json!({ "success": true }));

    timeout(PATIENCE, sessions.keep_alive.closed()).await.expect("an idle connection closes");
    assert!(!answering.is_closed() && !sessions.multiplexed.is_closed());
    upstream.end_streams();
    for response in [&mut streamed, &mut sessions.streamed] {
        assert_eq!(next_piece(response).await.unwrap(), " ended");
        assert_eq!(next_piece(response).await, None);
    }
    timeout(PATIENCE, answering.closed()).await.expect("closed after its answer");
    timeout(PATIENCE, sessions.multiplexed.closed()).await.expect("closed after its answer");
    assert!(echoes(&mut sessions.tunnel).await, "tunnels last until they reconnect");
    let refused = (false, "CERTIFICATE_SUPERSEDED".to_owned());
    assert_eq!(code_at_upstream(&client, &installation).await, refused);
    assert_eq!(renewed_device.heartbeat(&mut over_new).await.json()["renewCert"], Value::Bool(false));
}
