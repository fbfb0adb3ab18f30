//! Proves that the configuration is reloaded again and again under load and no request fails, over HTTP/1.1 and
//! HTTP/2, over new connections and over old ones.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use countersign_testkit::{Connection, DoorClient, HttpVersion};
use rustix::process::Signal;
use tokio::task::JoinSet;

use crate::harness::{Installation, Time, until};
use crate::upstream::{OPEN, Upstream};

const RELOADS: usize = 20;

#[derive(Default)]
struct Seen {
    answered: AtomicUsize,
    failures: Mutex<Vec<String>>,
    stop: AtomicBool,
}

/// How many requests a connection is used for.
#[derive(Clone, Copy)]
enum Habit {
    OneRequestEach,
    KeepAlive,
}

async fn ask(client: DoorClient, address: std::net::SocketAddr, habit: Habit, seen: Arc<Seen>) {
    let mut kept: Option<Connection> = None;
    while !seen.stop.load(Ordering::SeqCst) {
        let mut connection = match kept.take() {
            Some(kept) => kept,
            None => client.connect(address).await.unwrap(),
        };
        match connection.request("POST", OPEN, &[], "a body").await {
            Ok(answer) if answer.status == 200 && answer.text() == "ok" => {
                seen.answered.fetch_add(1, Ordering::SeqCst);
            }
            Ok(answer) => seen.failures.lock().unwrap().push(format!("{}: {}", answer.status, answer.text())),
            Err(error) => seen.failures.lock().unwrap().push(format!("{error:?}")),
        }
        match habit {
            Habit::KeepAlive => kept = Some(connection),
            Habit::OneRequestEach => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_changed_meanwhile() {
    let upstreams = [Upstream::start().await, Upstream::start().await];
    let changed = |at: usize| {
        let limits = format!("[http_door]\nmax_connections = {}\n", 1000 + at);
        upstreams[at % 2].routes() + &limits
    };
    let installation = Installation::configured(&changed(0), Time::Real).await;
    let seen = Arc::new(Seen::default());
    let mut clients = JoinSet::new();
    for (habit, version) in [
        (Habit::OneRequestEach, HttpVersion::Http1),
        (Habit::KeepAlive, HttpVersion::Http1),
        (Habit::OneRequestEach, HttpVersion::Http2),
        (Habit::KeepAlive, HttpVersion::Http2),
    ] {
        let client = installation.client().http(version);
        clients.spawn(ask(client, installation.own_door(), habit, Arc::clone(&seen)));
    }
    for at in 1..=RELOADS {
        let wanted = seen.answered.load(Ordering::SeqCst) + 20;
        until("requests are answered", async || seen.answered.load(Ordering::SeqCst) >= wanted).await;
        fs_err::write(installation.folder().join("countersign.toml"), changed(at)).unwrap();
        installation.signal(Signal::HUP);
        until("it is reloaded", async || installation.log().matches("configuration reloaded").count() == at)
            .await;
    }
    seen.stop.store(true, Ordering::SeqCst);
    clients.join_all().await;
    assert_eq!(*seen.failures.lock().unwrap(), Vec::<String>::new());
    assert!(upstreams.iter().all(|upstream| !upstream.received().is_empty()), "both had requests");
}
