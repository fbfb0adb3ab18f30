//! A control plane over a fresh database, with two tenants, people of every role and devices that
//! really enrolled.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use countersign_api::Arrival;
use countersign_authority::door_certificate::DoorNames;
use countersign_authority::ingest::Incoming;
use countersign_authority::refusals::RefusalReport;
use countersign_authority::{Authority, AuthorityConfig, IssuerMode, KeySource};
use countersign_core::identity::Identity;
use countersign_core::ids::{CertificateRef, RequestId, TenantId};
use countersign_core::time::{Clock, SystemClock};
use countersign_server::{
    AdminOnDoor, AllowedHosts, ControlPlane, DoorService, ExchangedBody, admin_router, door_router,
    door_service,
};
use countersign_store::{Store, StoreUrl};
use countersign_testkit::{ManualClock, PostgresDatabase};
use countersign_tls::{
    ClientAuth, ClientTls, DoorTls, Peer, ServerCredential, ServerCredentials, ServerTrust,
};
use http::{Method, Request, header};
use http_body_util::{BodyExt as _, Full};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::mpsc;
use tower::ServiceExt as _;

use super::Answer;
use super::people::{self, People};
use crate::harness::Database;

/// The tenant that the tests are about.
pub(crate) const OWN: &str = "acme";
/// The tenant whose people must not see it.
pub(crate) const ANOTHER: &str = "other";

/// The control plane and what was put into it.
pub(crate) struct Plane {
    pub(crate) authority: Arc<Authority>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) owner: String,
    pub(crate) people: People,
    pub(crate) refusals: mpsc::Receiver<RefusalReport>,
    admin: DoorService,
    door: DoorService,
    exposed: DoorService,
    peer: Peer,
    enrolled: AtomicU32,
    records: Records,
}

/// What is gone with it.
struct Records {
    folder: TempDir,
    _database: Option<PostgresDatabase>,
}

/// A device that enrolled.
pub(crate) struct Device {
    pub(crate) id: String,
    pub(crate) agent: String,
    pub(crate) token: String,
    pub(crate) certificate: String,
}

/// A request.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) body: Bytes,
    pub(crate) headers: Vec<(String, String)>,
}

impl Call {
    pub(crate) fn new(method: Method, path: impl Into<String>) -> Self {
        Self { method, path: path.into(), body: Bytes::new(), headers: Vec::new() }
    }

    pub(crate) fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path)
    }

    pub(crate) fn post(path: impl Into<String>, body: &Value) -> Self {
        Self::new(Method::POST, path).json(body)
    }

    pub(crate) fn json(mut self, body: &Value) -> Self {
        self.body = Bytes::from(body.to_string());
        self
    }

    /// A form with these fields.
    pub(crate) fn form(path: impl Into<String>, fields: &[(&str, &str)]) -> Self {
        let pairs: Vec<String> =
            fields.iter().map(|(name, value)| format!("{name}={}", escaped(value))).collect();
        let call = Self::new(Method::POST, path).body(pairs.join("&"));
        call.header("content-type", "application/x-www-form-urlencoded")
    }

    pub(crate) fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    pub(crate) fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    pub(crate) fn bearer(self, token: &str) -> Self {
        self.header("authorization", format!("Bearer {token}"))
    }

    fn request(self) -> Request<ExchangedBody> {
        let mut request = Request::builder().method(self.method).uri(self.path);
        if !self.headers.iter().any(|(name, _)| name == "host") {
            request = request.header(header::HOST, "127.0.0.1:8080");
        }
        for (name, value) in self.headers {
            request = request.header(name, value);
        }
        request.body(Full::new(self.body).map_err(|never| match never {}).boxed_unsync()).unwrap()
    }
}

impl Plane {
    /// A fresh installation with its tenants and its people.
    pub(crate) async fn start() -> Self {
        Self::on(Database::Sqlite).await
    }

    /// The same with its records in such a database.
    pub(crate) async fn on(database: Database) -> Self {
        let (records, store, clock, authority) = installation(database).await;
        let mut plane = Self::over(records, authority, clock).await;
        let now = plane.clock.now();
        plane.owner = people::insert_owner(&store, now).await;
        let (own, another) = (plane.tenant(OWN).await, plane.tenant(ANOTHER).await);
        plane.people = People::insert(&store, own, another, now).await;
        plane
    }

    /// A fresh installation with nobody in it.
    pub(crate) async fn start_empty() -> Self {
        Self::empty_on(Database::Sqlite).await
    }

    /// The same with its records in such a database.
    pub(crate) async fn empty_on(database: Database) -> Self {
        let (records, _store, clock, authority) = installation(database).await;
        Self::over(records, authority, clock).await
    }

    async fn over(records: Records, authority: Arc<Authority>, clock: Arc<ManualClock>) -> Self {
        let (sender, refusals) = mpsc::channel(10_000);
        let plane = ControlPlane::new(Arc::clone(&authority), sender);
        plane.set_door_url("https://door.example.com:8443".to_owned());
        let hosts = AllowedHosts::new(["admin.example.com".to_owned()]);
        Self {
            admin: door_service(admin_router(plane.clone(), hosts)),
            exposed: door_service(door_router(plane.clone(), AdminOnDoor::Exposed)),
            door: door_service(door_router(plane, AdminOnDoor::Hidden)),
            peer: stranger(&authority).await,
            enrolled: AtomicU32::new(0),
            authority,
            clock,
            owner: String::new(),
            people: People::default(),
            refusals,
            records,
        }
    }

    /// Where its files are.
    pub(crate) fn folder(&self) -> &str {
        self.records.folder.path().to_str().unwrap()
    }

    /// Asks the admin listener.
    pub(crate) async fn admin(&self, call: Call) -> Answer {
        let answer = Answer::read(self.admin.clone().oneshot(call.request()).await.unwrap()).await;
        answer.check_shape();
        answer
    }

    /// Asks the admin listener for a page of the console, as a browser with this session does.
    pub(crate) async fn page(&self, call: Call, session: &str) -> Answer {
        let call = call.header("cookie", format!("countersign_session={session}"));
        let answer = Answer::read(self.admin.clone().oneshot(call.request()).await.unwrap()).await;
        answer.check_page();
        answer
    }

    /// Asks the admin listener for what pages are made with.
    pub(crate) async fn asset(&self, call: Call) -> Answer {
        Answer::read(self.admin.clone().oneshot(call.request()).await.unwrap()).await
    }

    /// Asks what stands behind the door, as the door does for a peer without a certificate.
    pub(crate) async fn through_door(&self, call: Call) -> Answer {
        self.arrive(&self.door, call).await
    }

    /// The same where the operator wants admin routes behind the door too.
    pub(crate) async fn through_exposed_door(&self, call: Call) -> Answer {
        self.arrive(&self.exposed, call).await
    }

    async fn arrive(&self, door: &DoorService, call: Call) -> Answer {
        let mut request = call.request();
        let address: SocketAddr = "192.0.2.7:50000".parse().unwrap();
        let request_id = RequestId::random();
        request.extensions_mut().insert(Arrival { peer: self.peer.clone(), address, request_id });
        let answer = Answer::read(door.clone().oneshot(request).await.unwrap()).await;
        answer.check_shape();
        assert_eq!(answer.headers["x-request-id"], request_id.to_string());
        answer
    }

    /// Asks what stands behind the door without having come through it.
    pub(crate) async fn past_door(&self, call: Call) -> Answer {
        let answer = Answer::read(self.door.clone().oneshot(call.request()).await.unwrap()).await;
        answer.check_shape();
        answer
    }

    /// Asks the admin listener as the owner of everything; it must work.
    pub(crate) async fn as_owner(&self, call: Call) -> Answer {
        let answer = self.admin(call.bearer(&self.owner)).await;
        assert!(answer.status.is_success(), "{answer:?}");
        answer
    }

    /// Sets a message of the tenant's newest device aside, the first one of all; without a device, of one that is
    /// not on record.
    pub(crate) async fn message_set_aside(&self, tenant: &str) {
        let call = Call::get(format!("/api/v1/devices?tenant={tenant}"));
        let devices = self.as_owner(call).await.json();
        let name = devices["devices"][0]["name"].as_str().unwrap_or("nobody").to_owned();
        let domain = self.authority.trust_domain().clone();
        let identity = Identity::new(domain, tenant.parse().unwrap(), name.parse().unwrap());
        let payload = json!({ "ts": 1, "metrics": { "note": "<script>alert(1)</script>" } });
        let message = Incoming {
            topic: format!("tenant/{tenant}/device/{name}/telemetry"),
            identity,
            certificate: CertificateRef { issuer: [7; 32].into(), serial: "0a".parse().unwrap() },
            qos: 1,
            is_dup: false,
            received_at: self.clock.now(),
            token: countersign_authority::ingest::TokenAsked::No,
            payload: payload.to_string().into_bytes(),
        };
        let length = message.payload.len();
        self.authority.set_message_aside(message, "MISSING_SITE_ID", length).await.unwrap();
    }

    /// Enrols a device in this tenant; it has an active certificate.
    pub(crate) async fn device(&self, tenant: &str) -> Device {
        let key = self.as_owner(Call::post("/api/v1/enrollment-keys", &json!({ "tenant": tenant }))).await;
        let number = self.enrolled.fetch_add(1, Ordering::Relaxed);
        let enrolled = self
            .through_door(Call::post(
                "/api/v1/agents/enroll",
                &json!({
                    "enrollmentKey": key.field("key"),
                    "hostname": format!("{tenant}-machine-{number}"),
                    "osType": "linux",
                }),
            ))
            .await;
        assert_eq!(enrolled.status, 201, "{enrolled:?}");
        let id = enrolled.field("deviceId");
        let shown = self.as_owner(Call::get(format!("/api/v1/devices/{id}"))).await.json();
        Device {
            agent: enrolled.field("agentId"),
            token: enrolled.field("authToken"),
            certificate: shown["certificate"]["id"].as_str().unwrap().to_owned(),
            id,
        }
    }

    /// Makes a tenant whose devices get their keys from the server.
    async fn tenant(&self, slug: &str) -> TenantId {
        let made = self.as_owner(Call::post("/api/v1/tenants", &json!({ "slug": slug, "name": slug }))).await;
        let path = format!("/api/v1/agents/org/{slug}/settings/mtls");
        let change = json!({ "allowServerGeneratedKeys": true });
        self.as_owner(Call::new(Method::PATCH, path).json(&change)).await;
        made.field("id").parse().unwrap()
    }
}

/// A text as forms carry it.
fn escaped(text: &str) -> String {
    text.bytes()
        .map(
            |byte| {
                if byte.is_ascii_alphanumeric() {
                    char::from(byte).to_string()
                } else {
                    format!("%{byte:02X}")
                }
            },
        )
        .collect()
}

async fn installation(database: Database) -> (Records, Store, Arc<ManualClock>, Arc<Authority>) {
    let (folder, database) = (tempfile::tempdir().unwrap(), database.fresh());
    let url = match &database {
        Some(database) => database.url().parse().unwrap(),
        None => StoreUrl::sqlite(folder.path().join("countersign.db")),
    };
    let store = Store::open(&url).await.unwrap();
    store.migrate().await.unwrap();
    let clock = Arc::new(ManualClock::at(SystemClock.now()));
    let config = AuthorityConfig {
        trust_domain: "countersign.internal".parse().unwrap(),
        key_encryption_key: KeySource::File(folder.path().join("key-encryption-key")),
        token: None,
        issuer: IssuerMode::Embedded,
        public_base_url: None,
        rules: Vec::new(),
        lists: Vec::new(),
        session_life: std::time::Duration::from_secs(12 * 3600),
    };
    let authority = Authority::open(store.clone(), Arc::<ManualClock>::clone(&clock), config).await.unwrap();
    authority.refresh_crls().await.unwrap();
    (Records { folder, _database: database }, store, clock, authority)
}

/// A peer that finished a handshake and showed no certificate.
async fn stranger(authority: &Authority) -> Peer {
    let names = DoorNames { dns: vec!["localhost".to_owned()], ips: Vec::new() };
    let issued = authority.issue_door_certificate(&names).await.unwrap();
    let credential = ServerCredential::from_der(issued.chain, &issued.key).unwrap();
    let credentials = Arc::new(ServerCredentials::new(credential));
    let clock = Arc::new(SystemClock);
    let door = DoorTls::new(credentials, authority.snapshots(), ClientAuth::Optional, clock).unwrap();
    let client = ClientTls::new(&ServerTrust::Roots(authority.root_pem()), None).unwrap();
    let (ours, theirs) = tokio::io::duplex(1 << 16);
    let (accepted, connected) = tokio::join!(door.accept(ours), client.handshake("localhost", theirs));
    connected.unwrap();
    accepted.unwrap().1
}
