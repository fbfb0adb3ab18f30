//! Proves that the agent carries out the commands that are queued for it and goes by its tenant's
//! settings, and that people see what came of it and which CA certificates it trusts.

use std::time::Duration;

use countersign_core::ids::DeviceId;
use serde_json::{Value, json};

use crate::harness::{Admin, AgentHome, Installation, done, eventually, until};

const PATIENCE: Duration = Duration::from_secs(30);

/// Queues a command and waits for its end.
async fn carried_out(admin: &Admin, device: DeviceId, kind: &str) -> Value {
    let queued = done(&admin.post(&format!("/devices/{device}/commands"), &json!({ "type": kind })).await);
    let path = format!("/devices/{device}/commands/{}", queued["id"].as_str().unwrap());
    eventually(PATIENCE, kind, async || {
        let command = done(&admin.get(&path).await);
        let is_over = ["completed", "failed"].iter().any(|end| command["status"] == *end);
        is_over.then_some(command)
    })
    .await
}

#[tokio::test]
async fn commands_are_carried_out_and_answered() {
    let installation = Installation::start().await;
    let admin = installation.admin();
    admin.set(json!({ "enforcement": "enforce" })).await;
    let agent = AgentHome::enrolled(&installation).await;
    let device = admin.the_device().await.id;
    let _running = agent.run();

    let pong = carried_out(&admin, device, "ping").await;
    assert_eq!(pong["status"], "completed", "{pong}");
    let facts = carried_out(&admin, device, "collect_facts").await;
    assert_eq!(facts["result"]["certificateExpiresAt"], agent.text("mtls_cert_expires"), "{facts}");
    assert!(!facts.to_string().contains(&agent.text("auth_token")));
    let former = agent.text("mtls_cert_pem");
    let renewed = carried_out(&admin, device, "renew_certificate").await;
    assert_eq!(renewed["status"], "completed", "{renewed}");
    assert_ne!(agent.text("mtls_cert_pem"), former);
    assert_eq!(admin.certificates(device).await.len(), 2, "carried out once");
}

#[tokio::test]
async fn settings_are_taken_over_and_the_trust_bundle_is_reported() {
    let installation = Installation::start().await;
    let admin = installation.admin();
    let agent = AgentHome::enrolled(&installation).await;
    let device = admin.the_device().await.id;
    let running = agent.run();
    let settings = json!({ "heartbeatIntervalSeconds": 45, "metricsCollectionIntervalSeconds": 15 });
    done(&admin.call("PATCH", "/agents/org/default/settings/agent", Some(&settings)).await);
    until("the agent goes by them", async || agent.saved()["heartbeat_interval_seconds"] == 45).await;
    let refreshed = carried_out(&admin, device, "refresh_config").await;
    assert_eq!(refreshed["result"]["configVersion"].as_u64(), agent.saved()["config_version"].as_u64());
    assert_eq!(agent.saved()["metrics_interval_seconds"], 15);
    until("people see that it trusts what it should", async || {
        done(&admin.get(&format!("/devices/{device}")).await)["trustBundle"]["current"] == true
    })
    .await;
    assert!(running.terminate().await.success());
}
