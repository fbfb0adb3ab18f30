//! Proves that a new process takes an old one's place under load: no connection is refused, no request
//! fails, and what is decided afterwards holds.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use countersign_testkit::{Connection, DoorClient};
use tokio::task::JoinSet;

use crate::harness::{Device, Installation, done, until};

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

async fn ask(client: DoorClient, address: std::net::SocketAddr, habit: Habit, seen: Arc<Seen>) {
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_load_no_connection_is_refused_and_no_request_fails() {
    let mut installation = Installation::start().await;
    let device = Device::enrol(&installation, "ws-01").await;
    let seen = Arc::new(Seen::default());
    let mut clients = JoinSet::new();
    for habit in [Habit::OneRequestEach, Habit::OneRequestEach, Habit::KeepAlive, Habit::KeepAlive] {
        clients.spawn(ask(device.client(&installation), installation.door(), habit, Arc::clone(&seen)));
    }
    let more = async |count: usize| {
        let wanted = seen.answered.load(Ordering::SeqCst) + count;
        until("requests are answered", async || seen.answered.load(Ordering::SeqCst) >= wanted).await;
    };
    more(100).await;
    assert_eq!(installation.hand_over().await.code(), Some(0), "the old one ends well");
    more(100).await;
    seen.stop.store(true, Ordering::SeqCst);
    clients.join_all().await;
    assert_eq!(*seen.failures.lock().unwrap(), Vec::<String>::new());

    let mut connection = device.connect(&installation).await;
    assert_eq!(device.heartbeat(&mut connection).await.status, 200);
    let certificate = installation.admin().active(device.id).await.unwrap().id;
    done(&installation.admin().revoke(certificate, "keyCompromise").await);
    connection.closed().await;
    let answer = device.heartbeat(&mut device.connect(&installation).await).await;
    assert_eq!(answer.status, 403, "{}", answer.text());
}
