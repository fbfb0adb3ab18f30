//! Proves that a new process takes an old one's place under load, on either database, at an edge, and under a
//! service manager that holds the sockets: no connection is refused, no request fails, and what is decided
//! afterwards holds.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use countersign_testkit::{Connection, DoorClient, TestCa};
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinSet;

use crate::harness::{Database, Device, Edge, HeldSockets, Installation, Time, done, until};

/// What the clients of a test have seen.
#[derive(Default)]
struct Seen {
    answered: AtomicUsize,
    failures: Mutex<Vec<String>>,
    stop: AtomicBool,
}

impl Seen {
    fn failure(&self, what: String) {
        self.failures.lock().unwrap().push(what);
    }
}

/// Whether connections are used again.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Habit {
    OneRequestEach,
    KeepAlive,
}

async fn ask(client: DoorClient, address: SocketAddr, habit: Habit, seen: Arc<Seen>) {
    let mut kept: Option<Connection> = None;
    while !seen.stop.load(Ordering::SeqCst) {
        let mut connection = match kept.take().filter(|kept| !kept.is_closed()) {
            Some(kept) => kept,
            None => match client.connect(address).await {
                Ok(connection) => connection,
                Err(error) => {
                    seen.failure(format!("connect: {error:?}"));
                    continue;
                }
            },
        };
        match connection.json("GET", "/health", None, None).await {
            Ok(answer) if answer.status == 200 => {
                seen.answered.fetch_add(1, Ordering::SeqCst);
                // As any client of HTTP/1.1 does.
                let is_last = answer.header("connection").eq_ignore_ascii_case("close");
                kept = (habit == Habit::KeepAlive && !is_last).then_some(connection);
            }
            Ok(answer) => seen.failure(format!("{}: {}", answer.status, answer.text())),
            Err(error) => seen.failure(format!("request: {error:?}")),
        }
    }
}

/// Clients that ask without end, until they are told to stop.
struct Load {
    seen: Arc<Seen>,
    clients: JoinSet<()>,
}

impl Load {
    fn start(client: &DoorClient, door: SocketAddr) -> Self {
        let (seen, mut clients) = (Arc::new(Seen::default()), JoinSet::new());
        for habit in [Habit::OneRequestEach, Habit::OneRequestEach, Habit::KeepAlive, Habit::KeepAlive] {
            clients.spawn(ask(client.clone(), door, habit, Arc::clone(&seen)));
        }
        Self { seen, clients }
    }

    /// Waits until so many more were answered.
    async fn more(&self, count: usize) {
        let wanted = self.seen.answered.load(Ordering::SeqCst) + count;
        until("requests are answered", async || self.seen.answered.load(Ordering::SeqCst) >= wanted).await;
    }

    async fn end(self) {
        self.seen.stop.store(true, Ordering::SeqCst);
        self.clients.join_all().await;
        assert_eq!(*self.seen.failures.lock().unwrap(), Vec::<String>::new());
    }
}

async fn is_cut_when_revoked(installation: &Installation, device: &Device, door: SocketAddr) {
    let client = device.client(installation);
    let mut connection = client.connect(door).await.unwrap();
    assert_eq!(device.heartbeat(&mut connection).await.status, 200);
    let certificate = installation.admin().active(device.id).await.unwrap().id;
    done(&installation.admin().revoke(certificate, "keyCompromise").await);
    connection.closed().await;
    let answer = device.heartbeat(&mut client.connect(door).await.unwrap()).await;
    assert_eq!(answer.status, 403, "{}", answer.text());
}

async fn nobody_notices_a_restart(mut installation: Installation, turn: &str) {
    let device = Device::enrol(&installation, "ws-01").await;
    let load = Load::start(&device.client(&installation), installation.door());
    load.more(100).await;
    assert_eq!(installation.hand_over().await.code(), Some(0), "the old one ends well");
    assert!(installation.log().contains(turn), "{turn}");
    load.more(100).await;
    load.end().await;
    is_cut_when_revoked(&installation, &device, installation.door()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_load_no_connection_is_refused_and_no_request_fails() {
    nobody_notices_a_restart(Installation::start().await, "turn=After").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_postgresql_both_processes_work_beside_one_another() {
    let installation = Installation::on(Database::Postgres, "", Time::Real).await;
    nobody_notices_a_restart(installation, "turn=Beside").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edge_is_restarted_while_its_authority_goes_on() {
    let installation = Installation::start().await;
    let admin = installation.admin();
    let mut edge = Edge::start(&installation, "berlin").await;
    edge.until(&admin, "attached").await;
    let device = Device::enrol(&installation, "ws-01").await;
    let load = Load::start(&device.client(&installation), edge.door());
    load.more(100).await;
    let (before, other) = (edge.listed(&admin).await.unwrap(), Device::enrol(&installation, "ws-02").await);
    assert_eq!(edge.hand_over().await.code(), Some(0), "the old one ends well");
    // It counts all the while, whether it can be reached at this moment or not.
    let denied = done(&admin.deny(other.id).await);
    assert_eq!(denied["appliedEdges"]["total"], installation.applied_by_all(1)["total"]);
    load.more(100).await;
    load.end().await;
    edge.until(&admin, "attached").await;
    assert_eq!(edge.listed(&admin).await.unwrap()["createdAt"], before["createdAt"], "the same edge");
    let answer = other.heartbeat(&mut edge.connect(&installation, &other).await).await;
    assert_eq!(answer.code(), "CERTIFICATE_REVOKED", "{}", answer.text());
    is_cut_when_revoked(&installation, &device, edge.door()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_edge_on_a_data_directory_is_refused_and_changes_nothing() {
    let installation = Installation::start().await;
    let edge = Edge::start(&installation, "berlin").await;
    let data = edge.folder().join("data");
    let arguments = ["edge", "run", "--listen-http", "127.0.0.1:0", "--authority", "https://127.0.0.1:1"];
    let ran = crate::program::run(edge.folder(), &[("COUNTERSIGN_DATA_DIR", "data")], &arguments);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert!(ran.stderr.contains("another edge runs on the data directory data"), "{}", ran.stderr);
    assert!(data.join("edge.json").exists());
    let device = Device::enrol(&installation, "ws-01").await;
    assert_eq!(device.heartbeat(&mut edge.connect(&installation, &device).await).await.status, 200);
}

/// An egress at a port and one at a path; what is asked of them leads nowhere, which they say.
fn egress(folder: &Path) -> String {
    let ca = TestCa::new("countersign.internal");
    let (service, place) = (ca.device("default", "service"), folder.join("service"));
    fs_err::create_dir(&place).unwrap();
    fs_err::write(place.join("service-cert.pem"), service.chain_pem()).unwrap();
    fs_err::write(place.join("service-key.pem"), service.key_pem()).unwrap();
    let table = |listen: &str| {
        format!(
            "[[egress]]\nlisten = \"{listen}\"\nhost = \"api.example.com\"\nupstream = \"https://127.0.0.1:1\"\n\
             system_roots = true\nclient_certificate = \"{}\"\n",
            place.display()
        )
    };
    table("127.0.0.1:0") + &table(&format!("unix:{}", folder.join("egress.sock").display()))
}

/// Asks an egress for a host that it does not know.
async fn asked(stream: std::io::Result<impl AsyncRead + AsyncWrite + Unpin>) -> Result<(), String> {
    let mut stream = stream.map_err(|error| format!("connect: {error}"))?;
    let request = "GET / HTTP/1.1\r\nHost: nobody.example.com\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await.map_err(|error| format!("ask: {error}"))?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.map_err(|error| format!("hear: {error}"))?;
    if answer.contains("EGRESS_UPSTREAM_UNKNOWN") { Ok(()) } else { Err(answer) }
}

async fn ask_egress(port: u16, path: std::path::PathBuf, seen: Arc<Seen>) {
    while !seen.stop.load(Ordering::SeqCst) {
        let over_tcp = asked(TcpStream::connect(("127.0.0.1", port)).await).await;
        let over_unix = asked(UnixStream::connect(&path).await).await;
        match over_tcp.and(over_unix) {
            Ok(()) => drop(seen.answered.fetch_add(1, Ordering::SeqCst)),
            Err(error) => seen.failure(error),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sockets_of_an_egress_go_to_the_successor_too() {
    let folder = tempfile::tempdir().unwrap();
    let installation = Installation::start().await;
    let mut edge = Edge::unstarted(&installation, "berlin", json!({})).await;
    edge.configure(&egress(folder.path()));
    edge.start_again().await;
    let log = edge.log();
    let (_, listening) = log.split_once("egress open").unwrap();
    let (_, port) = listening.split_once("127.0.0.1:").unwrap();
    let port = port.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap();
    let (seen, mut clients) = (Arc::new(Seen::default()), JoinSet::new());
    for _ in 0..2 {
        clients.spawn(ask_egress(port, folder.path().join("egress.sock"), Arc::clone(&seen)));
    }
    let load = Load { seen, clients };
    load.more(50).await;
    assert_eq!(edge.hand_over().await.code(), Some(0), "the old one ends well");
    load.more(50).await;
    load.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_between_two_starts_under_a_service_manager_waits_and_is_served() {
    let mut installation = Installation::start().await;
    let device = Device::enrol(&installation, "ws-01").await;
    let client = device.client(&installation);
    assert!(installation.terminate().await.success());
    installation.hold(HeldSockets::named(["http-door", "admin"]));
    installation.start_again().await;
    let mut edge = Edge::unstarted(&installation, "berlin", json!({})).await;
    edge.hold(HeldSockets::named(["http-door"]));
    edge.start_again().await;
    for _restart in 0..2 {
        assert!(edge.terminate().await.success());
        assert!(installation.terminate().await.success());
        // Nobody is there to answer; the connections are taken all the same.
        let doors = [installation.own_door(), edge.door()];
        let waiting = doors.map(|door| {
            let client = client.clone();
            tokio::spawn(async move {
                let mut connection = client.connect(door).await.unwrap();
                connection.json("GET", "/health", None, None).await.unwrap().status
            })
        });
        installation.start_again().await;
        edge.start_again().await;
        for answered in waiting {
            assert_eq!(answered.await.unwrap(), 200);
        }
    }
    is_cut_when_revoked(&installation, &device, edge.door()).await;
}
