//! Proves that an edge renews its own certificates, and that one which has not heard for long that what it knows
//! still holds does what its configuration says: goes on, or admits nobody.

use std::net::SocketAddr;
use std::process::Command;

use countersign_testkit::{Connection, vacant_address};
use serde_json::json;

use crate::harness::{Cable, Device, Edge, Installation, Time, days, done, hours, until};
use crate::upstream::Upstream;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_renews_its_certificates_and_goes_on_with_the_new_ones() {
    let installation = Installation::in_fake_time().await;
    let admin = installation.admin();
    let mut edge = Edge::start(&installation, "berlin").await;
    edge.until(&admin, "attached").await;
    let before = edge.identity_pem();

    installation.time().advance(days(21));
    edge.kill().await;
    edge.start_again().await;
    until("it renews", async || edge.log().contains("edge certificates renewed")).await;
    assert_ne!(edge.identity_pem(), before);

    // The first ones have ended by now.
    installation.time().advance(days(12));
    edge.kill().await;
    edge.start_again().await;
    edge.until(&admin, "attached").await;
    let device = Device::enrol(&installation, "pump").await;
    assert_eq!(device.heartbeat(&mut edge.connect(&installation, &device).await).await.status, 200);
    let denied = done(&admin.deny(device.id).await);
    assert_eq!(denied["appliedEdges"], installation.applied_by_all(1));
}

async fn status(connection: &mut Connection, path: &str) -> u16 {
    connection.request("GET", path, &[], "").await.unwrap().status
}

/// What an edge says of itself, and with which status.
fn told(address: SocketAddr, path: &str) -> (String, String) {
    let url = format!("http://{address}{path}");
    let output = Command::new("curl").args(["-sS", "-w", "\n%{http_code}", &url]).output().unwrap();
    let output = String::from_utf8(output.stdout).unwrap();
    let (said, status) = output.rsplit_once('\n').unwrap();
    (status.to_owned(), said.to_owned())
}

/// An edge that has heard nothing for longer than it is to go by what it knows, a device that is connected to
/// it, its cable, and where it says how it is.
async fn stale(
    upstream: &Upstream,
    when_stale: &str,
) -> (Installation, Edge, Device, Connection, (Cable, SocketAddr)) {
    let edge = format!("[edge]\nstale_after_minutes = 60\nwhen_stale = \"{when_stale}\"\n\n");
    let installation = Installation::configured(&(edge + &upstream.routes()), Time::Fake).await;
    let cable = Cable::to(installation.own_door()).await;
    let edge = Edge::unstarted(&installation, "berlin", json!({})).await;
    let health = vacant_address();
    let mut edge = edge.by_way_of(cable.address()).telling_at(health);
    edge.start_again().await;
    edge.until(&installation.admin(), "attached").await;
    until("it says that it is well", async || told(health, "/health/ready").0 == "200").await;
    let device = Device::enrol(&installation, "pump").await;
    let mut connection = edge.connect(&installation, &device).await;
    assert_eq!(status(&mut connection, "/required/x").await, 200);
    cable.cut();
    installation.time().advance(hours(2));
    until("it says that what it knows is old", async || edge.log().contains("trust is stale")).await;
    (installation, edge, device, connection, (cable, health))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_its_authority_it_goes_on_if_that_is_wanted() {
    let upstream = Upstream::start().await;
    let (installation, edge, device, mut connection, (_cable, health)) = stale(&upstream, "keep").await;
    assert!(edge.log().contains("doors go on by it"), "{}", edge.log());
    assert_eq!(told(health, "/health/ready").0, "200");
    assert_eq!(status(&mut connection, "/required/x").await, 200);
    let mut fresh = edge.connect(&installation, &device).await;
    assert_eq!(status(&mut fresh, "/required/x").await, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_its_authority_it_admits_nobody_if_that_is_wanted() {
    let upstream = Upstream::start().await;
    let (installation, edge, device, mut connection, (cable, health)) = stale(&upstream, "refuse").await;
    assert!(edge.log().contains("doors admit no identity"), "{}", edge.log());
    let (status_there, said) = told(health, "/health/ready");
    assert!(status_there == "503" && said.contains("NOT_READY") && said.contains("is stale"), "{said}");
    assert_eq!(told(health, "/health").0, "200", "it runs");
    assert_eq!(told(health, "/").0, "404");
    connection.closed().await;
    let mut fresh = edge.connect(&installation, &device).await;
    assert_eq!(status(&mut fresh, "/required/x").await, 403);
    let mut fresh = edge.connect(&installation, &device).await;
    assert_eq!(status(&mut fresh, "/open/x").await, 200, "what asks for no identity is served");
    cable.mend();
    until("it admits again", async || {
        status(&mut edge.connect(&installation, &device).await, "/required/x").await == 200
    })
    .await;
    assert!(edge.log().contains("trust is fresh again"));
    assert_eq!(told(health, "/health/ready").0, "200");
}
