//! Proves that `countersign-agent unenroll` ends the enrolment on both sides: nothing of the device is
//! good any more, nothing of it is left on the machine, and the running agent ends by itself.

use countersign_core::certificate::CertificateState;
use serde_json::json;

use crate::harness::{AgentHome, Installation, until};

#[tokio::test]
async fn the_device_is_gone_and_so_are_its_files() {
    let installation = Installation::start().await;
    let admin = installation.admin();
    admin.set(json!({ "enforcement": "enforce" })).await;
    let agent = AgentHome::enrolled(&installation).await;
    let device = admin.the_device().await.id;
    let running = agent.run();
    until("it is running", async || agent.status()["agent"]["last_contact_at"].is_string()).await;

    let refused = agent.output(&["unenroll"]);
    assert_eq!(refused.code, 1, "{}", refused.stdout);
    assert!(refused.stderr.contains("--yes"), "{}", refused.stderr);
    let ran = agent.output(&["unenroll", "--yes"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!(admin.device(device).await.status.as_str(), "decommissioned");
    assert_eq!(admin.states(device).await, [CertificateState::Revoked]);
    assert!(running.ended().await.success());
    let folder = agent.config();
    let left = fs_err::read_dir(folder.parent().unwrap()).unwrap().count();
    assert_eq!(left, 0, "nothing is left");
}

#[tokio::test]
async fn a_retired_device_removes_its_files_without_asking() {
    let installation = Installation::start().await;
    let admin = installation.admin();
    let agent = AgentHome::enrolled(&installation).await;
    let device = admin.the_device().await.id;
    assert_eq!(admin.decommission(device).await.status, 200);
    let refused = agent.output(&["unenroll", "--yes"]);
    assert_eq!(refused.code, 1);
    assert!(refused.stderr.contains("nothing was removed") && agent.config().exists(), "{}", refused.stderr);
    let ran = agent.output(&["unenroll", "--yes", "--offline"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(!agent.config().exists());
}
