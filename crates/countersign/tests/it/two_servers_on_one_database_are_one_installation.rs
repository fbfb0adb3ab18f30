//! Proves that two servers on one PostgreSQL are one installation: a device that enrolled at one is served
//! by the other's door, what one decides cuts it at the other in under a second, and the audit that both
//! wrote verifies.

use std::time::{Duration, Instant};

use countersign_testkit::{KeyKind, TestKey};
use serde_json::{Value, json};

use crate::harness::{Channel, Database, Device, Installation, Time, completed, done, eventually};

const AT_ONCE: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(20);

async fn two() -> (Installation, Installation) {
    let first = Installation::on(Database::Postgres, "", Time::Real).await;
    let second = first.beside().await;
    first.admin().set(json!({ "enforcement": "enforce" })).await;
    (first, second)
}

/// Waits until a server's door refuses who shows no certificate: it has heard that this is wanted.
async fn until_enforced(server: &Installation, device: &Device) {
    eventually(PATIENCE, "the other's door enforces", async || {
        let answer = device.heartbeat(&mut server.connect().await).await;
        (answer.code() == "MTLS_REQUIRED").then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_decides_cuts_at_the_other_in_under_a_second() {
    let (first, second) = two().await;
    let bystander = Device::enrol(&first, "bystander").await;
    until_enforced(&second, &bystander).await;
    let mut bystanding = Channel::open(&bystander, &second).await;
    for (decides, serves, name) in [(&first, &second, "pump"), (&second, &first, "valve")] {
        let revoked = Device::enrol(decides, name).await;
        let mut request = revoked.connect(serves).await;
        assert_eq!(revoked.heartbeat(&mut request).await.status, 200, "served by the other's door");
        let mut channel = Channel::open(&revoked, serves).await;
        assert!(channel.is_alive().await);
        let certificate = serves.admin().active(revoked.id).await.unwrap().id;

        let began = Instant::now();
        done(&decides.admin().revoke(certificate, "keyCompromise").await);
        channel.closed().await;
        request.closed().await;
        assert!(began.elapsed() < AT_ONCE, "{name}: {:?}", began.elapsed());

        let answer = revoked.heartbeat(&mut revoked.connect(serves).await).await;
        assert_eq!(answer.status, 403, "{}", answer.text());
        let shown = serves.admin().device(revoked.id).await;
        assert_eq!(shown.status.to_string(), "quarantined");
        assert!(bystanding.is_alive().await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_renewal_and_a_command_begun_at_one_are_ended_at_the_other() {
    let (first, second) = two().await;
    let device = Device::enrol(&first, "pump").await;
    let fresh = TestKey::generate(KeyKind::P256);
    let renewed = device.renewed(&first, &fresh).await.unwrap_or_else(|answer| panic!("{}", answer.text()));
    let device = Device { key: fresh, mtls: Some(renewed.mtls), ..device };
    let confirmed = device.confirm(&mut device.connect(&second).await, renewed.certificate_id, None).await;
    assert_eq!(confirmed.status, 200, "{}", confirmed.text());

    let mut channel = Channel::open(&device, &second).await;
    let id = first.admin().queue_command(device.id, &json!({ "type": "ping" })).await.to_string();
    assert_eq!(channel.command().await, id);
    channel.say(&completed(&id, &json!({ "time": "now" }))).await;
    let path = format!("/devices/{}/commands", device.id);
    eventually(PATIENCE, "the result is known to the other", async || {
        let commands = done(&first.admin().get(&path).await);
        (commands["commands"][0]["status"] == "completed").then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_audit_that_both_wrote_is_one_and_verifies() {
    let (mut first, mut second) = two().await;
    for (server, name) in [(&first, "d1"), (&second, "d2"), (&first, "d3"), (&second, "d4")] {
        let device = Device::enrol(server, name).await;
        assert_eq!(device.heartbeat(&mut device.connect(server).await).await.status, 200);
    }
    assert_eq!(second.admin().devices().await.len(), 4);
    for server in [&mut first, &mut second] {
        assert!(server.terminate().await.success());
    }
    for server in [&first, &second] {
        let ran = server.run(&["audit", "verify", "--json"]);
        let report: Value = serde_json::from_str(&ran.stdout).unwrap();
        assert_eq!((ran.code, &report["intact"]), (0, &json!(true)), "{report}{}", ran.stderr);
    }
}
