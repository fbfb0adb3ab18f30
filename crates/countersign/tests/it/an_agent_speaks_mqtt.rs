//! Proves that the agent and the control plane meet at the MQTT door when its configuration says so: commands and
//! parts of jobs arrive at once and are answered there, the agent says there how it is, a quarantine ends the
//! session until an approval, and a denied device asks why and is told.

use std::process::Stdio;
use std::time::Duration;

use countersign_core::ids::DeviceId;
use serde_json::{Value, json};

use crate::harness::{Admin, AgentHome, Installation, done, door_port, eventually, until};

const PATIENCE: Duration = Duration::from_secs(30);

/// The running agent; it ends with this.
struct Running(std::process::Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _ended = self.0.wait();
    }
}

fn run(agent: &AgentHome, heartbeat: &str) -> Running {
    let mut command = agent.command(&["run", "--heartbeat-interval", heartbeat, "--retry-base", "200ms"]);
    Running(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
}

/// An agent that has enrolled and is told to speak MQTT.
async fn enrolled(installation: &Installation) -> (AgentHome, DeviceId) {
    let agent = AgentHome::enrolled(installation).await;
    let mut text = fs_err::read_to_string(agent.config()).unwrap();
    text.push_str(&format!("transport: mqtt\nmqtt_server: 127.0.0.1:{}\n", door_port(installation)));
    fs_err::write(agent.config(), text).unwrap();
    (agent, installation.admin().the_device().await.id)
}

async fn stands(agent: &AgentHome, connection: &str) {
    let what = format!("the connection is {connection}");
    until(&what, async || agent.status()["agent"]["connection"] == connection).await;
}

async fn over(admin: &Admin, path: &str) -> Value {
    eventually(PATIENCE, path, async || {
        let command = done(&admin.get(path).await);
        ["completed", "failed"].iter().any(|end| command["status"] == *end).then_some(command)
    })
    .await
}

async fn carried_out(admin: &Admin, device: DeviceId, kind: &str) -> Value {
    let id = admin.queue_command(device, &json!({ "type": kind })).await;
    over(admin, &format!("/devices/{device}/commands/{id}")).await
}

#[tokio::test]
async fn commands_are_carried_out_and_the_agent_says_how_it_is() {
    let installation = Installation::start().await;
    let admin = installation.admin();
    admin.set(json!({ "enforcement": "enforce" })).await;
    let (agent, device) = enrolled(&installation).await;
    let _running = run(&agent, "1s");
    stands(&agent, "open").await;
    assert_eq!(carried_out(&admin, device, "ping").await["status"], "completed");
    let former = agent.text("mtls_cert_pem");
    assert_eq!(carried_out(&admin, device, "renew_certificate").await["status"], "completed");
    assert_ne!(agent.text("mtls_cert_pem"), former);
    assert_eq!(agent.text("transport"), "mqtt", "what was renewed leaves it as it is");
    assert_eq!(carried_out(&admin, device, "collect_facts").await["status"], "completed");
    let job = done(&admin.post("/jobs", &json!({ "name": "flush", "devices": [device] })).await);
    let job = done(&admin.get(&format!("/jobs/{}", job["id"].as_str().unwrap())).await);
    let part = job["parts"][0]["commandId"].as_str().unwrap();
    let part = over(&admin, &format!("/devices/{device}/commands/{part}")).await;
    assert!(part["error"].as_str().unwrap().contains("does no jobs"), "{part}");
    let path = format!("/devices/{device}/shadow");
    let said = eventually(PATIENCE, "how the agent is", async || {
        let shadow = done(&admin.get(&path).await);
        shadow["reported"].is_object().then_some(shadow)
    });
    assert!(said.await["reported"]["state"]["agentVersion"].is_string());
}

#[tokio::test]
async fn a_quarantine_ends_the_session_and_an_approval_brings_it_back() {
    let installation = Installation::start().await;
    let admin = installation.admin();
    admin.set(json!({ "enforcement": "enforce" })).await;
    let (agent, device) = enrolled(&installation).await;
    let _running = run(&agent, "1h");
    stands(&agent, "open").await;
    assert_eq!(admin.quarantine(device, "lost").await.status, 200);
    stands(&agent, "quarantined").await;
    assert_eq!(admin.approve(device).await.status, 200);
    stands(&agent, "open").await;
    assert_eq!(carried_out(&admin, device, "ping").await["status"], "completed");
}

#[tokio::test]
async fn a_denied_device_asks_why_and_is_told() {
    let installation = Installation::start().await;
    let admin = installation.admin();
    let (agent, device) = enrolled(&installation).await;
    let _running = run(&agent, "1h");
    stands(&agent, "open").await;
    assert_eq!(admin.deny(device).await.status, 200);
    let said = "An admin has retired this device";
    until("it says so", async || agent.output(&["status"]).stdout.contains(said)).await;
}
