//! Proves that a rotation of the device CA under MQTT load drops nobody: each device moves its session to its new
//! certificate when it likes, every message on the way is acknowledged and kept, and the old CA is let go.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use countersign_api::wire::agent::{HeartbeatResponse, RenewResponse};
use countersign_testkit::{KeyKind, TestKey};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};

use crate::harness::{Device, Installation, MqttSession, done, eventually, read};

const PATIENCE: Duration = Duration::from_secs(120);
const FLEET: usize = 8;
/// Between two messages of a device.
const PACE: Duration = Duration::from_millis(20);
/// Between two heartbeats of a device.
const BEAT: Duration = Duration::from_secs(1);

/// What the fleet has done.
#[derive(Debug, Default)]
struct Tally {
    acknowledged: AtomicU64,
    moved: AtomicU64,
}

/// One device: messages over MQTT all the time, and a move to a new certificate when a heartbeat asks for one.
async fn live(
    installation: Arc<Installation>,
    mut device: Device,
    tally: Arc<Tally>,
    ends: watch::Receiver<bool>,
) -> Result<(), String> {
    let body = serde_json::to_value(installation.admin().device(device.id).await).unwrap();
    let topic = format!("tenant/{}/device/{}/telemetry", body["tenant"].as_str().unwrap(), device.name);
    let payload = json!({ "site_id": body["site"], "metrics": {} }).to_string();
    let mut session = MqttSession::open(&installation, &device, "first").await?;
    let mut connection = device.connect(&installation).await;
    let mut ticks = tokio::time::interval(PACE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut beats = Instant::now();
    while !*ends.borrow() {
        ticks.tick().await;
        session.say(&topic, &payload).await?;
        tally.acknowledged.fetch_add(1, Ordering::Relaxed);
        if Instant::now() < beats {
            continue;
        }
        beats = Instant::now() + BEAT;
        let answer = device.heartbeat(&mut connection).await;
        if answer.status != 200 || !read::<HeartbeatResponse>(&answer).renew_cert {
            continue;
        }
        let fresh = TestKey::generate(KeyKind::P256);
        let csr = fresh.signing_request_der(&device.name);
        let renewed: RenewResponse = read(&device.renew_over_own(&installation, &mut connection, &csr).await);
        device = Device { key: fresh, mtls: Some(renewed.mtls), ..device };
        // It is in use from here on, and takes the place of the other.
        let next = MqttSession::open(&installation, &device, "second").await?;
        std::mem::replace(&mut session, next).leave().await;
        connection = device.connect(&installation).await;
        tally.moved.fetch_add(1, Ordering::Relaxed);
    }
    session.leave().await;
    Ok(())
}

/// `countersign ca rotate device …`, which must work.
fn rotate(installation: &Installation, arguments: &[&str]) -> Value {
    let rest = ["--token-file", "owner.token", "--config", "countersign.toml", "--ports-file", "ports.json"];
    let ran = installation.run(&[&["ca", "rotate"], arguments, &rest, &["--json"]].concat());
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    serde_json::from_str(&ran.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_dropped_while_a_fleet_moves() {
    let installation = Installation::start().await;
    fs_err::write(installation.folder().join("owner.token"), installation.admin().token()).unwrap();
    installation.admin().set(json!({ "enforcement": "enforce", "renewalOverlapHours": 0 })).await;
    let installation = Arc::new(installation);
    let (tally, (end, ends)) = (Arc::new(Tally::default()), watch::channel(false));
    let mut fleet = Vec::new();
    for number in 0..FLEET {
        let device = Device::enrol(&installation, &format!("pump-{number}")).await;
        let living = live(Arc::clone(&installation), device, Arc::clone(&tally), ends.clone());
        fleet.push(tokio::spawn(living));
    }
    let more = async |count: u64| {
        let enough = tally.acknowledged.load(Ordering::Relaxed) + count;
        let all_live = || fleet.iter().all(|device| !device.is_finished());
        eventually(PATIENCE, "messages are acknowledged", async || {
            assert!(all_live(), "a device was dropped");
            (tally.acknowledged.load(Ordering::Relaxed) >= enough).then_some(())
        })
        .await;
    };

    more(100).await;
    assert_eq!(rotate(&installation, &["device"])["rotation"]["step"], "prepared");
    more(100).await;
    assert_eq!(rotate(&installation, &["device", "--renew-now=1"])["rotation"]["step"], "active");
    eventually(PATIENCE, "everybody has moved", async || {
        let at_old = rotate(&installation, &["status", "device"])["rotation"]["atOld"].clone();
        let left = ["active", "pending", "superseded"].map(|state| at_old[state].as_u64().unwrap());
        (left == [0, 0, 0]).then_some(())
    })
    .await;
    assert_eq!(rotate(&installation, &["device"])["rotation"]["step"], "retired");
    more(100).await;
    end.send_replace(true);
    for device in fleet {
        assert_eq!(device.await.unwrap(), Ok(()));
    }
    assert_eq!(tally.moved.load(Ordering::Relaxed), FLEET as u64, "each of them once");

    let acknowledged = tally.acknowledged.load(Ordering::Relaxed);
    let newest = done(&installation.admin().get("/telemetry?limit=1").await);
    assert_eq!(newest["messages"][0]["id"], acknowledged, "each of them is kept");
}
