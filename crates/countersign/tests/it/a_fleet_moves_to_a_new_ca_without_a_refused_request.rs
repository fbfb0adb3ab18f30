//! Proves that a fleet under traffic moves from one issuing CA to the next with no request refused: old and
//! new side by side, a canary that is taken back and chosen again, and the old CA let go only when nobody
//! depends on it any more. All steps through the command line, all requests through the real door.
//!
//! `COUNTERSIGN_TEST_FLEET` says how many agents there are.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use countersign_api::wire::agent::{HeartbeatResponse, RenewResponse};
use countersign_testkit::{Answer, KeyKind, TestKey};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use crate::harness::{Device, Installation, Time, eventually, read};
use crate::program::Ran;

const PATIENCE: Duration = Duration::from_secs(300);

/// Between two heartbeats of an agent.
const BEAT: Duration = Duration::from_secs(1);

fn fleet_size() -> usize {
    std::env::var("COUNTERSIGN_TEST_FLEET").ok().map_or(24, |size| size.parse().unwrap())
}

/// What the fleet has seen.
#[derive(Debug, Default)]
struct Tally {
    requests: AtomicU64,
    moved: AtomicU64,
    refused: Mutex<Vec<String>>,
}

impl Tally {
    fn note(&self, what: &str, answer: &Answer) -> bool {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let served = answer.status == 200;
        if !served {
            self.refused.lock().unwrap().push(format!("{what}: {} {}", answer.status, answer.text()));
        }
        served
    }
}

/// An agent: heartbeats over one connection, and a renewal when it is asked for one.
async fn live(
    installation: Arc<Installation>,
    mut device: Device,
    tally: Arc<Tally>,
    mut ends: watch::Receiver<bool>,
) {
    let mut connection = device.connect(&installation).await;
    let mut beats = tokio::time::interval(BEAT);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _tick = beats.tick() => {}
            _end = ends.wait_for(|end| *end) => return,
        }
        let answer = device.heartbeat(&mut connection).await;
        if !tally.note("heartbeat", &answer) {
            continue;
        }
        if !read::<HeartbeatResponse>(&answer).renew_cert {
            continue;
        }
        let fresh = TestKey::generate(KeyKind::P256);
        let csr = fresh.signing_request_der(&device.name);
        let answer = device.renew_over_own(&installation, &mut connection, &csr).await;
        if !tally.note("renewal", &answer) {
            continue;
        }
        let renewed: RenewResponse = read(&answer);
        device = Device { key: fresh, mtls: Some(renewed.mtls), ..device };
        let mut over_it = device.connect(&installation).await;
        let answer = device.confirm(&mut over_it, renewed.certificate_id, None).await;
        tally.note("confirmation", &answer);
        connection = over_it;
        tally.moved.fetch_add(1, Ordering::Relaxed);
    }
}

/// `countersign ca rotate …`.
fn rotate(installation: &Installation, arguments: &[&str]) -> Ran {
    let rest = ["--token-file", "owner.token", "--config", "countersign.toml", "--ports-file", "ports.json"];
    installation.run(&[&["ca", "rotate"], arguments, &rest, &["--json"]].concat())
}

fn done(ran: &Ran) -> Value {
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    serde_json::from_str(&ran.stdout).unwrap()
}

fn status(installation: &Installation) -> Value {
    done(&rotate(installation, &["status", "device"]))["rotation"].clone()
}

fn refused(ran: &Ran, code: &str) {
    assert_eq!(ran.code, 3, "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stderr.contains(code), "{}", ran.stderr);
}

async fn fleet(installation: &Installation, size: usize) -> Vec<Device> {
    let key = installation.admin().enrollment_key(json!({ "maxUses": size })).await.key;
    let mut devices = Vec::with_capacity(size);
    for number in 0..size {
        let key_pair = TestKey::generate(KeyKind::P256);
        devices.push(Device::enrol_with(installation, &key, &format!("agent-{number}"), key_pair).await);
    }
    devices
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_refused_while_a_fleet_moves() {
    let size = fleet_size();
    let installation = Installation::configured("", Time::Real).await;
    fs_err::write(installation.folder().join("owner.token"), installation.admin().token()).unwrap();
    // Replaced certificates are done with at once: there are no sessions but those that are replaced too.
    installation.admin().set(json!({ "enforcement": "enforce", "renewalOverlapHours": 0 })).await;
    let installation = Arc::new(installation);
    let devices = fleet(&installation, size).await;
    let (tally, (end, ends)) = (Arc::new(Tally::default()), watch::channel(false));
    let agents: Vec<_> = devices
        .into_iter()
        .map(|device| tokio::spawn(live(Arc::clone(&installation), device, Arc::clone(&tally), ends.clone())))
        .collect();

    let prepared = done(&rotate(&installation, &["device"]));
    assert_eq!(prepared["rotation"]["step"], "prepared", "{prepared}");
    assert_eq!(prepared["appliedEdges"], installation.applied_by_all(0));
    refused(&rotate(&installation, &["device", "--step", "retire"]), "ROTATION_STATE");

    eventually(PATIENCE, "all are there", async || {
        (tally.requests.load(Ordering::Relaxed) >= size as u64).then_some(())
    })
    .await;
    let first = (size / 3).to_string();
    let chosen = done(&rotate(&installation, &["device", "--canary-devices", &first, "--renew-now=0"]));
    assert_eq!(chosen["rotation"]["canary"], format!("devices:{first}"));
    eventually(PATIENCE, "the canary has moved", async || {
        let rotation = status(&installation);
        rotation["missing"].as_array().unwrap().is_empty().then_some(())
    })
    .await;
    let back = done(&rotate(&installation, &["rollback", "device"]));
    assert_eq!(back["rotation"]["step"], "prepared");
    assert!(back["rotation"]["atNew"]["active"].as_u64().unwrap() > 0);
    // Who has a certificate of it keeps it in use.
    refused(&rotate(&installation, &["rollback", "device"]), "CA_IN_USE");

    let active = done(&rotate(&installation, &["device", "--renew-now=3"]));
    assert_eq!(active["rotation"]["step"], "active", "{active}");
    refused(&rotate(&installation, &["device"]), "CA_IN_USE");
    eventually(PATIENCE, "everybody has moved", async || {
        let at_old = status(&installation)["atOld"].clone();
        let left = ["active", "pending", "superseded"].map(|state| at_old[state].as_u64().unwrap());
        (left == [0, 0, 0]).then_some(())
    })
    .await;
    let moved = || tally.moved.load(Ordering::Relaxed);
    eventually(PATIENCE, "everybody was told so", async || (moved() >= size as u64).then_some(())).await;
    assert_eq!(moved(), size as u64, "each of them once");
    let retired = done(&rotate(&installation, &["device"]));
    assert_eq!(retired["rotation"]["step"], "retired", "{retired}");
    let after = tally.requests.load(Ordering::Relaxed) + 2 * size as u64;
    eventually(PATIENCE, "they go on", async || {
        (tally.requests.load(Ordering::Relaxed) >= after).then_some(())
    })
    .await;

    end.send_replace(true);
    for agent in agents {
        agent.await.unwrap();
    }
    let refusals = std::mem::take(&mut *tally.refused.lock().unwrap());
    assert!(refusals.is_empty(), "{} of {:?}: {refusals:?}", refusals.len(), tally.requests);
}
