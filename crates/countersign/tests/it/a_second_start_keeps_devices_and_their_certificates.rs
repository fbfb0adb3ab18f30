//! Proves that a restart is nothing to devices, admins and what was decided.

use serde_json::json;

use crate::harness::{AgentHome, Device, Installation, done, until};

#[tokio::test]
async fn a_running_agent_a_session_and_a_revocation_outlive_a_restart() {
    let mut installation = Installation::start().await;
    let admin = installation.admin();
    admin.set(json!({ "enforcement": "enforce" })).await;
    let fingerprint = installation.fingerprint();
    let agent = AgentHome::enrolled(&installation).await;
    let device = admin.the_device().await;
    let running = agent.run();
    until("it is online", async || admin.the_device().await.status.as_str() == "online").await;
    let revoked = Device::enrol(&installation, "revoked").await;
    let certificate = admin.active(revoked.id).await.unwrap().id;
    done(&admin.revoke(certificate, "keyCompromise").await);

    assert!(installation.terminate().await.success());
    installation.start_again().await;

    assert_eq!(installation.fingerprint(), fingerprint);
    assert!(!installation.printed().contains("/setup#token="), "{}", installation.printed());
    let seen = admin.device(device.id).await.last_seen_at;
    until("the agent is heard again", async || admin.device(device.id).await.last_seen_at > seen).await;
    assert_eq!(admin.device(device.id).await.status.as_str(), "online");
    assert_eq!(admin.states(device.id).await.len(), 1);
    let refused = revoked.heartbeat(&mut revoked.connect(&installation).await).await;
    assert_eq!(refused.status, 403, "{}", refused.text());
    assert!(running.terminate().await.success());
}
