//! Proves that an edge which cannot be reached counts among all and not among those that have applied a
//! change, and that it catches up once it can be.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::{Cable, Device, Edge, Installation, done, eventually};

const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_edges_the_one_that_is_cut_off_is_not_said_to_know() {
    let installation = Installation::start().await;
    let admin = installation.admin();
    let cable = Cable::to(installation.own_door()).await;
    let near = Edge::start(&installation, "near").await;
    let mut far = Edge::unstarted(&installation, "far", json!({})).await.by_way_of(cable.address());
    far.start_again().await;
    for edge in [&near, &far] {
        edge.until(&admin, "attached").await;
    }
    let devices = [
        Device::enrol(&installation, "pump").await,
        Device::enrol(&installation, "valve").await,
        Device::enrol(&installation, "motor").await,
    ];
    let [first, second, third] = &devices;
    let denied = done(&admin.deny(first.id).await);
    assert_eq!(denied["appliedEdges"], installation.applied_by_all(2));

    cable.cut();
    let denied = done(&admin.deny(second.id).await);
    assert_eq!(denied["appliedEdges"], installation.applied_but(2, 1));
    far.until(&admin, "silent").await;
    let began = Instant::now();
    let denied = done(&admin.deny(third.id).await);
    assert_eq!(denied["appliedEdges"], installation.applied_but(2, 1));
    assert!(began.elapsed() < Duration::from_secs(1), "nobody waits for whom nobody can reach");

    cable.mend();
    far.until(&admin, "attached").await;
    eventually(PATIENCE, "the edge has caught up", async || {
        let listed = [near.listed(&admin).await?, far.listed(&admin).await?];
        let [near, far] = listed.map(|edge| edge["appliedEpoch"].as_u64().unwrap());
        (near == far).then_some(())
    })
    .await;
    for device in &devices {
        let answer = device.heartbeat(&mut far.connect(&installation, device).await).await;
        assert_eq!(answer.code(), "CERTIFICATE_REVOKED", "{}", answer.text());
    }
}

/// More than it can have in hand at once, and less than the authority keeps for those who come back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edge_that_missed_many_changes_catches_up() {
    let installation = Installation::start().await;
    let mut edge = Edge::start(&installation, "berlin").await;
    let admin = installation.admin();
    edge.until(&admin, "attached").await;
    edge.kill().await;
    edge.until(&admin, "silent").await;
    let missed = 1500;
    for number in 0..missed {
        let enforcement = if number % 2 == 0 { "enforce" } else { "off" };
        admin.set(json!({ "enforcement": enforcement })).await;
    }
    edge.start_again().await;
    edge.until(&admin, "attached").await;
    eventually(PATIENCE, "the edge has caught up", async || {
        let listed = edge.listed(&admin).await?;
        (listed["appliedEpoch"].as_u64() >= Some(missed)).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edge_that_takes_its_leave_counts_no_more_and_one_that_is_killed_does() {
    let mut installation = Installation::start().await;
    let mut edge = Edge::start(&installation, "berlin").await;
    let admin = installation.admin();
    edge.until(&admin, "attached").await;
    edge.kill().await;
    edge.until(&admin, "silent").await;
    // Also for an authority that never was connected to it.
    installation.terminate().await;
    installation.start_again().await;
    let admin = installation.admin();
    let device = Device::enrol(&installation, "pump").await;
    let denied = done(&admin.deny(device.id).await);
    assert_eq!(denied["appliedEdges"], installation.applied_but(1, 1));
    edge.start_again().await;
    edge.until(&admin, "attached").await;
    assert!(edge.terminate().await.success());
    edge.until(&admin, "detached").await;
    let device = Device::enrol(&installation, "valve").await;
    let denied = done(&admin.deny(device.id).await);
    assert_eq!(denied["appliedEdges"], installation.applied_by_all(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edge_that_is_stopped_before_its_doors_open_takes_its_leave_too() {
    let installation = Installation::start().await;
    let admin = installation.admin();
    let mut edge = Edge::unstarted(&installation, "berlin", json!({})).await;
    for _ in 0..5 {
        edge.begin();
        edge.until(&admin, "attached").await;
        assert!(edge.terminate().await.success());
        edge.until(&admin, "detached").await;
        // So that it knows nothing again, and its doors wait for what it is told.
        fs_err::remove_dir_all(edge.kept().parent().unwrap()).unwrap();
    }
}
