//! The fixture: a door with a control plane and an upstream behind it, and the strings that an
//! authority would pull.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use countersign_api::{Arrival, OfferedUpgrade};
use countersign_core::settings::Enforcement;
use countersign_core::snapshot::{DeviceKey, SnapshotVersion, TrustSnapshot};
use countersign_core::time::{Clock as _, Timestamp};
use countersign_edge::{
    Body, DoorConfig, DoorHandle, DoorInputs, EdgeReport, HttpDoor, Limits, LocalControlPlane, Route,
    RouteScreen, Upstream, UpstreamGroup,
};
use countersign_testkit::{LeafSpec, ManualClock, TestCa, TestCertificate};
use countersign_tls::{
    ClientAuth, ClientIdentity, ClientTls, ServerCredential, ServerCredentials, ServerTrust,
};
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::{Notify, mpsc, watch};

use crate::handed_over;
use crate::visitor::Visitor;

pub(crate) const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// Where an operator's upstream stands and an identity is required.
pub(crate) const REQUIRED: &str = "/required";
/// The same without requirement.
pub(crate) const OPEN: &str = "/open";
/// How much the upstream answers under `…/big`: more than the system keeps for any connection.
pub(crate) const BIG: usize = 48 << 20;
/// The one path of the required upstream that is marked `renewal`.
pub(crate) const RENEWAL: &str = "/required/renewal";

/// What happens while the control plane answers a renewal.
pub(crate) type OnRenewal = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

pub(crate) struct Site {
    pub(crate) ca: TestCa,
    pub(crate) door: DoorHandle,
    pub(crate) snapshots: watch::Sender<Arc<TrustSnapshot>>,
    pub(crate) applied: watch::Receiver<SnapshotVersion>,
    pub(crate) reports: mpsc::Receiver<EdgeReport>,
    pub(crate) clock: Arc<ManualClock>,
}

/// How a test's door differs from the usual one.
pub(crate) struct Plan {
    pub(crate) config: DoorConfig,
    pub(crate) on_renewal: OnRenewal,
    pub(crate) snapshot: Option<Arc<TrustSnapshot>>,
    pub(crate) ca: TestCa,
}

impl Plan {
    pub(crate) async fn usual() -> Self {
        let upstream = upstream().await;
        let to = |prefix: &str, identity| Route {
            host: None,
            path_prefix: prefix.to_owned(),
            upstream: Upstream::from(UpstreamGroup::new(vec![format!("http://{upstream}").parse().unwrap()])),
            identity,
            audience: None,
            renewal_paths: vec![RENEWAL.to_owned()],
            screen: RouteScreen::default(),
        };
        let mut routes = Route::control_plane();
        routes.push(to(REQUIRED, Enforcement::Enforce));
        routes.push(to("/observed", Enforcement::Observe));
        routes.push(to(OPEN, Enforcement::Off));
        let config = DoorConfig {
            addresses: vec![SocketAddr::from(([127, 0, 0, 1], 0))],
            workers: NonZeroUsize::new(2).unwrap(),
            limits: Limits { total: 200, per_address: 200 },
            routes,
            ..DoorConfig::default()
        };
        let ca = TestCa::new("countersign.internal");
        Self { config, on_renewal: Arc::new(|| Box::pin(async {})), snapshot: None, ca }
    }

    pub(crate) fn open(self) -> Site {
        self.open_by(|config, inputs| HttpDoor::start(config, inputs).unwrap())
    }

    /// The same, with the door started in another way.
    pub(crate) fn open_by(self, start: impl FnOnce(DoorConfig, DoorInputs) -> DoorHandle) -> Site {
        let Self { config, on_renewal, snapshot, ca } = self;
        let snapshot = snapshot.unwrap_or_else(|| Arc::new(ca.snapshot(&["acme"], Enforcement::Enforce)));
        let (snapshots, watching) = watch::channel(snapshot);
        let (applying, applied) = watch::channel(SnapshotVersion::default());
        let (reporting, reports) = mpsc::channel(1000);
        let clock = Arc::new(ManualClock::at(NOW));
        let inputs = DoorInputs {
            counts: Arc::default(),
            credentials: credentials(&ca),
            snapshots: watching,
            applied: applying,
            reports: reporting,
            control_plane: Some(control_plane(on_renewal)),
            clock: Arc::clone(&clock) as _,
        };
        let door = start(config, inputs);
        Site { ca, door, snapshots, applied, reports, clock }
    }
}

impl Site {
    pub(crate) async fn usual() -> Self {
        Plan::usual().await.open()
    }

    /// What a second door beside this one would be made of.
    pub(crate) fn another_door(&self, change: impl FnOnce(&mut DoorConfig)) -> (DoorConfig, DoorInputs) {
        let mut config = DoorConfig {
            addresses: vec![SocketAddr::from(([127, 0, 0, 1], 0))],
            routes: Vec::new(),
            ..DoorConfig::default()
        };
        change(&mut config);
        let inputs = DoorInputs {
            counts: Arc::default(),
            credentials: credentials(&self.ca),
            snapshots: self.snapshots.subscribe(),
            applied: watch::channel(SnapshotVersion::default()).0,
            reports: mpsc::channel(1).0,
            control_plane: None,
            clock: Arc::clone(&self.clock) as _,
        };
        (config, inputs)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.door.local_addr()
    }

    /// Publishes a changed snapshot.
    pub(crate) fn change<R>(&self, change: impl FnOnce(&mut TrustSnapshot) -> R) -> SnapshotVersion {
        self.snapshots.send_modify(|snapshot| {
            let snapshot = Arc::make_mut(snapshot);
            snapshot.version.epoch += 1;
            change(snapshot);
        });
        self.snapshots.borrow().version
    }

    /// The same, and waits until the door has applied it.
    pub(crate) async fn apply<R>(&mut self, change: impl FnOnce(&mut TrustSnapshot) -> R) {
        let version = self.change(change);
        let applied = self.applied.wait_for(|applied| *applied >= version);
        tokio::time::timeout(PATIENCE, applied).await.unwrap().unwrap();
    }

    /// A device whose certificate lives from 1000 seconds ago to in 1000 seconds.
    pub(crate) fn device(&self, name: &str) -> TestCertificate {
        self.ca.mint(&LeafSpec {
            not_before: NOW - Duration::from_secs(1000),
            not_after: NOW + Duration::from_secs(1000),
            ..self.ca.device_spec("acme", name)
        })
    }

    pub(crate) fn visitor(&self, certificate: Option<&TestCertificate>) -> Visitor {
        let identity = certificate.map(|own| ClientIdentity::from_pem(own.chain_pem(), own.key_pem()));
        let trust = ServerTrust::Roots(self.ca.root_pem());
        Visitor::new(ClientTls::new(&trust, identity.as_ref()).unwrap(), self.address())
    }

    pub(crate) async fn next_report(&mut self) -> EdgeReport {
        tokio::time::timeout(PATIENCE, self.reports.recv()).await.expect("a report in time").unwrap()
    }
}

pub(crate) fn credentials(ca: &TestCa) -> Arc<ServerCredentials> {
    let server = ca.server(&["127.0.0.1", "localhost", "door.test"]);
    let credential = ServerCredential::from_pem(&server.chain_pem(), &server.key_pem()).unwrap();
    Arc::new(ServerCredentials::new(credential))
}

/// Holds renewals back until the test lets them go.
pub(crate) struct Release {
    waiting: watch::Receiver<usize>,
    go: watch::Sender<bool>,
}

impl Release {
    pub(crate) fn of(plan: &mut Plan) -> Self {
        let (arrive, waiting) = watch::channel(0);
        let (go, gone) = watch::channel(false);
        plan.on_renewal = Arc::new(move || {
            let mut gone = gone.clone();
            arrive.send_modify(|count| *count += 1);
            Box::pin(async move { drop(gone.wait_for(|gone| *gone).await.unwrap()) })
        });
        Self { waiting, go }
    }

    pub(crate) async fn until_waiting(&self, count: usize) {
        let mut waiting = self.waiting.clone();
        let arrived = waiting.wait_for(|waiting| *waiting >= count);
        drop(tokio::time::timeout(PATIENCE, arrived).await.unwrap().unwrap());
    }

    pub(crate) fn all(&self) {
        self.go.send_replace(true);
    }
}

pub(crate) fn device_key(name: &str) -> DeviceKey {
    ("acme".parse().unwrap(), name.parse().unwrap())
}

/// Sets the door's clock past the end of every certificate of [`Site::device`].
pub(crate) fn let_expire(clock: &ManualClock) {
    clock.set(clock.now().max(NOW) + Duration::from_secs(1001));
}

/// A control plane that tells what it was given.
fn control_plane(on_renewal: OnRenewal) -> LocalControlPlane {
    let service = tower::service_fn(move |request: Request<Body>| {
        let on_renewal = Arc::clone(&on_renewal);
        async move {
            let arrival = request.extensions().get::<Arrival>().expect("every request has an arrival");
            let offer = request.extensions().get::<OfferedUpgrade>();
            let told = json!({
                "behind": "control plane",
                "path": request.uri().to_string(),
                "device": arrival.peer.claim().map(|claim| claim.identity.uri()),
                "resumed": arrival.peer.is_resumed(),
                "address": arrival.address.ip().to_string(),
                "headers": names(request.headers()),
                "offered": offer.is_some(),
            });
            let taken = offer.and_then(|offer| handed_over::accept(offer, request.uri().path()));
            if let Some(switch) = taken {
                return Ok(switch);
            }
            if request.uri().path().starts_with("/api/v1/agents/renew-cert") {
                on_renewal().await;
            }
            Ok::<_, Infallible>(Response::new(json_body(&told)))
        }
    });
    LocalControlPlane {
        service: tower::util::BoxCloneSyncService::new(service),
        runtime: tokio::runtime::Handle::current(),
    }
}

fn json_body(value: &Value) -> Body {
    Full::new(Bytes::from(value.to_string())).map_err(|never| match never {}).boxed_unsync()
}

fn names(headers: &http::HeaderMap) -> Value {
    let pairs = headers.iter().map(|(name, value)| {
        (name.as_str().to_owned(), Value::from(String::from_utf8_lossy(value.as_bytes()).into_owned()))
    });
    Value::Object(pairs.collect())
}

/// An upstream that tells what it was given, once it has all of it under `…/gather`; answers much under
/// `…/big`, echoes under `…/echo`, upgrades under `…/upgrade`, and waits under `…/wait` until the client of `…/go` comes.
pub(crate) async fn upstream() -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let gate = Arc::new(Notify::new());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let gate = Arc::clone(&gate);
            let service = service_fn(move |request| answer(request, Arc::clone(&gate)));
            tokio::spawn(async move {
                http1::Builder::new().serve_connection(TokioIo::new(stream), service).with_upgrades().await
            });
        }
    });
    address
}

/// The same over HTTP/2 without TLS, with WebSockets as RFC 8441 has them.
pub(crate) async fn upstream_http2() -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let gate = Arc::new(Notify::new());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let gate = Arc::clone(&gate);
            let service = service_fn(move |request| answer(request, Arc::clone(&gate)));
            tokio::spawn(async move {
                let mut builder = http2::Builder::new(TokioExecutor::new());
                builder.enable_connect_protocol();
                builder.serve_connection(TokioIo::new(stream), service).await
            });
        }
    });
    address
}

/// What proves that the handshake of a WebSocket was understood (RFC 6455 section 4.2.2).
fn websocket_accept(key: &str) -> String {
    let text = format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes());
    STANDARD.encode(hash)
}

async fn answer(mut request: Request<Incoming>, gate: Arc<Notify>) -> Result<Response<Body>, Infallible> {
    let path = request.uri().path().to_owned();
    if path.ends_with("/echo") {
        let trailers = request.headers().get(header::TRAILER).cloned();
        let body = request.into_body().map_err(Into::into).boxed_unsync();
        let mut response = Response::new(body);
        if let Some(trailers) = trailers {
            response.headers_mut().insert(header::TRAILER, trailers);
        }
        return Ok(response);
    }
    if path.ends_with("/upgrade") {
        let upgrading = hyper::upgrade::on(&mut request);
        tokio::spawn(async move {
            let mut io = TokioIo::new(upgrading.await.unwrap());
            let mut buffer = [0; 1024];
            while let Ok(read @ 1..) = io.read(&mut buffer).await {
                io.write_all(buffer.get(..read).unwrap()).await.unwrap();
            }
        });
        if request.method() == http::Method::CONNECT {
            let protocol = request.extensions().get::<hyper::ext::Protocol>().unwrap();
            assert_eq!(protocol.as_str(), "websocket");
            let device = request.headers().get("countersign-device").cloned();
            let granted =
                Response::builder().header("x-device", device.unwrap_or_else(|| "nobody".parse().unwrap()));
            return Ok(granted.body(Full::default().map_err(|never| match never {}).boxed_unsync()).unwrap());
        }
        let mut switch = Response::builder()
            .status(StatusCode::SWITCHING_PROTOCOLS)
            .header(header::CONNECTION, "upgrade")
            .header(header::UPGRADE, "websocket");
        if let Some(key) =
            request.headers().get(header::SEC_WEBSOCKET_KEY).filter(|_| !path.contains("/wrong/"))
        {
            switch = switch.header(header::SEC_WEBSOCKET_ACCEPT, websocket_accept(key.to_str().unwrap()));
        }
        return Ok(switch.body(json_body(&Value::Null)).unwrap());
    }
    if path.ends_with("/big") {
        let much = Full::new(Bytes::from(vec![b'x'; BIG]));
        return Ok(Response::new(much.map_err(|never| match never {}).boxed_unsync()));
    }
    if path.ends_with("/gather") {
        drop(request.body_mut().collect().await);
    }
    if path.ends_with("/wait") {
        gate.notified().await;
    }
    if path.ends_with("/go") {
        gate.notify_one();
    }
    let told = json!({
        "behind": "upstream",
        "path": request.uri().to_string(),
        "headers": names(request.headers()),
    });
    Ok(Response::new(json_body(&told)))
}

pub(crate) const fn client_auth_required(mut config: DoorConfig) -> DoorConfig {
    config.client_auth = ClientAuth::Required;
    config
}
