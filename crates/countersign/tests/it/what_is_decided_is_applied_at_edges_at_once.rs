//! Proves that a decision is enforced at an edge elsewhere well within a second, and measures how fast: from the
//! admin's call to the answer that says that all have applied it, on disk at the edge included.

use std::io::Write as _;
use std::time::{Duration, Instant};

use crate::harness::{Cable, Database, Device, Edge, Installation, Time, done, eventually};

const AT_ONCE: Duration = Duration::from_secs(1);
/// The same by way of the database, while other tests want the machine.
const SOON: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(60);
const DECISIONS: usize = 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn decisions_are_applied_at_the_edge_in_under_a_second() {
    let installation = Installation::start().await;
    let admin = installation.admin();
    let edge = Edge::start(&installation, "berlin").await;
    edge.until(&admin, "attached").await;
    let mut times = Vec::with_capacity(DECISIONS);
    for number in 0..DECISIONS {
        let device = Device::enrol(&installation, &format!("ws-{number}")).await;
        let mut connection = edge.connect(&installation, &device).await;
        assert_eq!(device.heartbeat(&mut connection).await.status, 200);
        let began = Instant::now();
        let denied = done(&admin.deny(device.id).await);
        times.push(began.elapsed());
        assert_eq!(denied["appliedEdges"], installation.applied_by_all(1));
        connection.closed().await;
    }
    times.sort();
    let (median, slowest) = (times[DECISIONS / 2], times[DECISIONS - 1]);
    let said = format!("decided and applied at the edge: median {median:?}, slowest {slowest:?}\n");
    std::io::stderr().write_all(said.as_bytes()).unwrap();
    // A generous bound: other tests want the machine meanwhile.
    assert!(median < AT_ONCE, "{times:?}");
}

/// A decision of this authority cuts a device at the edge.
async fn decides(authority: &Installation, edge: &Edge, name: &str) {
    let device = Device::enrol(authority, name).await;
    let mut connection = edge.connect(authority, &device).await;
    assert_eq!(device.heartbeat(&mut connection).await.status, 200);
    let began = Instant::now();
    let denied = done(&authority.admin().deny(device.id).await);
    connection.closed().await;
    assert!(began.elapsed() < SOON, "{name}: {:?}", began.elapsed());
    // The authority's own doors, and the edge.
    assert_eq!(denied["appliedEdges"]["total"], authority.applied_by_all(1)["total"], "{name}");
    let answer = device.heartbeat(&mut edge.connect(authority, &device).await).await;
    assert_eq!(answer.code(), "CERTIFICATE_REVOKED", "{}", answer.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edge_hears_what_any_of_several_authorities_decides_and_may_change_between_them() {
    let first = Installation::on(Database::Postgres, "", Time::Real).await;
    let second = first.beside().await;
    let cable = Cable::to(first.own_door()).await;
    let mut edge = Edge::unstarted(&first, "berlin", serde_json::json!({})).await.by_way_of(cable.address());
    edge.start_again().await;
    edge.until(&first.admin(), "attached").await;
    decides(&first, &edge, "pump").await;
    decides_beside(&first, &second, &edge, "valve").await;

    // The first one is away; the edge goes to the other.
    cable.cut();
    cable.lead_to(second.own_door());
    cable.mend();
    edge.until(&second.admin(), "attached").await;
    decides_beside(&first, &second, &edge, "motor").await;
    decides(&first, &edge, "fan").await;
}

/// The same by the other one, which has no edge of its own in any deployment.
async fn decides_beside(first: &Installation, second: &Installation, edge: &Edge, name: &str) {
    let device = Device::enrol(first, name).await;
    let mut connection = edge.connect(first, &device).await;
    eventually(PATIENCE, "the device is served", async || {
        (device.heartbeat(&mut connection).await.status == 200).then_some(())
    })
    .await;
    let began = Instant::now();
    done(&second.admin().deny(device.id).await);
    connection.closed().await;
    assert!(began.elapsed() < SOON, "{name}: {:?}", began.elapsed());
    let answer = device.heartbeat(&mut edge.connect(first, &device).await).await;
    assert_eq!(answer.code(), "CERTIFICATE_REVOKED", "{}", answer.text());
}
