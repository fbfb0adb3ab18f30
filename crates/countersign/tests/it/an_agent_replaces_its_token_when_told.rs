//! Proves that an admin can have a device's bearer token replaced: the running agent does it, goes on
//! with the new one, and the old one is worth nothing.

use serde_json::json;

use crate::harness::{AgentHome, Installation, done, until};

#[tokio::test]
async fn the_running_agent_goes_on_with_a_new_token() {
    let installation = Installation::start().await;
    let admin = installation.admin();
    admin.set(json!({ "enforcement": "enforce" })).await;
    let agent = AgentHome::enrolled(&installation).await;
    let device = admin.the_device().await.id;
    let old = agent.text("auth_token");
    let running = agent.run();
    done(&admin.post(&format!("/devices/{device}/rotate-token"), &json!({})).await);
    until("it has another token", async || agent.text("auth_token") != old).await;
    until("the rotation is over", async || agent.saved().get("pending_auth_token").is_none()).await;
    assert!(running.terminate().await.success());

    let client = installation.client().showing(&agent.identity_pem());
    let mut connection = client.connect(installation.door()).await.unwrap();
    assert_eq!(agent.heartbeat(&mut connection).await.status, 200, "with the new one");
    let path = format!("/api/v1/agents/{}/heartbeat", agent.text("agent_id"));
    let with_old = connection.json("POST", &path, Some(&old), Some(&json!({}))).await.unwrap();
    assert_eq!(with_old.status, 401, "{}", with_old.text());
}
