//! Proves that the agent and the control plane meet over the WebSocket: a command arrives at once
//! although the next heartbeat is far away, a renewal leaves it open, a quarantine closes it, and an
//! approval brings it back.

use std::process::Stdio;
use std::time::Duration;

use countersign_core::ids::DeviceId;
use serde_json::{Value, json};

use crate::harness::{Admin, AgentHome, Installation, done, eventually, until};

const PATIENCE: Duration = Duration::from_secs(30);

/// The running agent, whose next heartbeat is an hour away; it ends with this.
struct Quiet(std::process::Child);

impl Drop for Quiet {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _ended = self.0.wait();
    }
}

fn run(agent: &AgentHome) -> Quiet {
    let mut command = agent.command(&["run", "--heartbeat-interval", "1h", "--retry-base", "200ms"]);
    Quiet(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
}

async fn stands(agent: &AgentHome, connection: &str) {
    let what = format!("the connection is {connection}");
    until(&what, async || agent.status()["agent"]["connection"] == connection).await;
}

async fn carried_out(admin: &Admin, device: DeviceId, kind: &str) -> Value {
    let queued = done(&admin.post(&format!("/devices/{device}/commands"), &json!({ "type": kind })).await);
    let path = format!("/devices/{device}/commands/{}", queued["id"].as_str().unwrap());
    eventually(PATIENCE, kind, async || {
        let command = done(&admin.get(&path).await);
        (command["status"] == "completed").then_some(command)
    })
    .await
}

#[tokio::test]
async fn commands_arrive_at_once_before_and_after_a_renewal() {
    let installation = Installation::start().await;
    let admin = installation.admin();
    admin.set(json!({ "enforcement": "enforce" })).await;
    let agent = AgentHome::enrolled(&installation).await;
    let device = admin.the_device().await.id;
    let _running = run(&agent);
    stands(&agent, "open").await;
    let since = agent.status()["agent"]["connection_since"].clone();
    let former = agent.text("mtls_cert_pem");
    carried_out(&admin, device, "ping").await;
    carried_out(&admin, device, "renew_certificate").await;
    assert_ne!(agent.text("mtls_cert_pem"), former);
    carried_out(&admin, device, "collect_facts").await;
    let status = agent.status();
    assert_eq!(
        (&status["agent"]["connection"], &status["agent"]["connection_since"]),
        (&json!("open"), &since)
    );
}

#[tokio::test]
async fn a_quarantine_closes_it_and_an_approval_brings_it_back() {
    let installation = Installation::start().await;
    let admin = installation.admin();
    admin.set(json!({ "enforcement": "enforce" })).await;
    let agent = AgentHome::enrolled(&installation).await;
    let device = admin.the_device().await.id;
    let _running = run(&agent);
    stands(&agent, "open").await;
    assert_eq!(admin.quarantine(device, "lost").await.status, 200);
    stands(&agent, "quarantined").await;
    assert!(agent.output(&["status"]).stdout.contains("An admin has to approve this device"));
    assert_eq!(admin.approve(device).await.status, 200);
    stands(&agent, "open").await;
    carried_out(&admin, device, "ping").await;
}

#[tokio::test]
async fn a_restart_of_the_control_plane_is_outlasted() {
    let mut installation = Installation::start().await;
    let agent = AgentHome::enrolled(&installation).await;
    let device = installation.admin().the_device().await.id;
    let _running = run(&agent);
    stands(&agent, "open").await;
    assert!(installation.terminate().await.success());
    installation.start_again().await;
    carried_out(&installation.admin(), device, "ping").await;
    stands(&agent, "open").await;
}

#[tokio::test]
async fn a_denied_device_says_what_is_the_matter() {
    let installation = Installation::start().await;
    let admin = installation.admin();
    let agent = AgentHome::enrolled(&installation).await;
    let device = admin.the_device().await.id;
    let _running = run(&agent);
    stands(&agent, "open").await;
    assert_eq!(admin.deny(device).await.status, 200);
    // It tries again now and then, and is refused again.
    let said = "An admin has retired this device";
    until("it says so", async || agent.output(&["status"]).stdout.contains(said)).await;
    until("it asks why", async || agent.status()["agent"]["last_failure"].is_object()).await;
}
