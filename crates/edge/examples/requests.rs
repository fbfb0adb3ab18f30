//! What a request through the HTTP door takes: microseconds of the door's processor, over fifty connections that stay
//! open, to an upstream that answers at once. Without the rest of the product, for profiles and for a first
//! look at a change; the bench says how that is beside others.
//!
//! `cargo run --profile dist -p countersign-edge --example requests -- [SECONDS] [ROUNDS]`
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a measurement that people read")]

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use countersign_core::settings::Enforcement;
use countersign_core::snapshot::SnapshotVersion;
use countersign_core::time::SystemClock;
use countersign_edge::{
    DoorConfig, DoorHandle, DoorInputs, HttpDoor, Limits, Route, RouteScreen, Upstream, UpstreamGroup,
};
use countersign_testkit::TestCa;
use countersign_tls::{ClientIdentity, ClientTls, ServerCredential, ServerCredentials, ServerTrust};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;
use tokio::sync::{mpsc, watch};
use tokio::time::sleep_until;

const CONNECTIONS: usize = 50;
const REQUEST: &[u8] = b"GET /app/items?page=2 HTTP/1.1\r\nhost: localhost\r\nuser-agent: bench/1.0\r\n\
    accept: application/json\r\naccept-encoding: gzip\r\n\r\n";
const ANSWER: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 14\r\n\r\nhello, device\n";

fn main() {
    let mut numbers = std::env::args().skip(1).map(|text| text.parse::<u64>().unwrap());
    let (seconds, rounds) = (numbers.next().unwrap_or(3), numbers.next().unwrap_or(3));
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let upstream = listener.local_addr().unwrap();
        tokio::spawn(serve(listener));
        let ca = TestCa::new("countersign.internal");
        let (door, _kept) = open(&ca, upstream);
        let asked = Arc::new(AtomicUsize::new(0));
        for number in 0..CONNECTIONS {
            let device = ca.device("acme", &format!("d{number}"));
            let identity = ClientIdentity::from_pem(device.chain_pem(), device.key_pem());
            let tls = ClientTls::new(&ServerTrust::Roots(ca.root_pem()), Some(&identity)).unwrap();
            tokio::spawn(ask(tls, door.local_addr(), Arc::clone(&asked)));
        }
        // To wake a processor that sleeps costs whoever does it.
        tokio::spawn(async {
            loop {
                tokio::task::yield_now().await;
            }
        });
        // Handshakes are not measured.
        sleep_until((Instant::now() + Duration::from_secs(1)).into()).await;
        for _round in 0..rounds {
            let (before, used) = (asked.load(Ordering::Relaxed), used());
            sleep_until((Instant::now() + Duration::from_secs(seconds)).into()).await;
            let (count, used) = (asked.load(Ordering::Relaxed) - before, self::used() - used);
            let each = used.as_secs_f64() * 1e6 / count as f64;
            println!("{each:.2} µs a request, {:.0} requests a processor second", 1e6 / each);
        }
    });
}

/// A door of one thread, and what must not be let go of.
fn open(ca: &TestCa, upstream: SocketAddr) -> (DoorHandle, impl Sized) {
    let server = ca.server(&["127.0.0.1", "localhost"]);
    let credential = ServerCredential::from_pem(&server.chain_pem(), &server.key_pem()).unwrap();
    let group = UpstreamGroup::new(vec![format!("http://{upstream}").parse().unwrap()]);
    let route = Route {
        host: None,
        path_prefix: "/".to_owned(),
        upstream: Upstream::from(group),
        identity: Enforcement::Enforce,
        audience: None,
        renewal_paths: Vec::new(),
        screen: RouteScreen::default(),
    };
    let config = DoorConfig {
        addresses: vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 0))],
        workers: NonZeroUsize::MIN,
        limits: Limits { total: 200, per_address: 200 },
        routes: vec![route],
        ..DoorConfig::default()
    };
    let snapshot = Arc::new(ca.snapshot(&["acme"], Enforcement::Enforce));
    let (sender, snapshots) = watch::channel(snapshot);
    let (applied, applying) = watch::channel(SnapshotVersion::default());
    let (reports, reported) = mpsc::channel(1000);
    let inputs = DoorInputs {
        counts: Arc::default(),
        credentials: Arc::new(ServerCredentials::new(credential)),
        snapshots,
        applied,
        reports,
        control_plane: None,
        clock: Arc::new(SystemClock),
    };
    (HttpDoor::start(config, inputs).unwrap(), (sender, applying, reported))
}

async fn serve(listener: TcpListener) {
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        tokio::spawn(async move {
            let mut buffer = Vec::with_capacity(16 * 1024);
            while matches!(stream.read_buf(&mut buffer).await, Ok(count) if count > 0) {
                if buffer.ends_with(b"\r\n\r\n") {
                    buffer.clear();
                    stream.write_all(ANSWER).await.unwrap();
                }
            }
        });
    }
}

async fn ask(tls: ClientTls, door: SocketAddr, asked: Arc<AtomicUsize>) {
    let stream = TcpStream::connect(door).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let mut stream = tls.handshake("127.0.0.1", stream).await.unwrap();
    let mut buffer = Vec::with_capacity(16 * 1024);
    loop {
        stream.write_all(REQUEST).await.unwrap();
        buffer.clear();
        while !buffer.ends_with(b"hello, device\n") {
            assert!(stream.read_buf(&mut buffer).await.unwrap() > 0, "the door ended a connection");
        }
        assert!(buffer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&buffer));
        asked.fetch_add(1, Ordering::Relaxed);
    }
}

/// The processor time of the door's thread so far.
fn used() -> Duration {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().map(|task| task.unwrap().path());
    let is_door = |task: &std::path::PathBuf| {
        std::fs::read_to_string(task.join("comm")).is_ok_and(|name| name.trim() == "door-0")
    };
    let door = tasks.into_iter().find(is_door).unwrap();
    let spent = std::fs::read_to_string(door.join("schedstat")).unwrap();
    Duration::from_nanos(spent.split_ascii_whitespace().next().unwrap().parse().unwrap())
}
