//! Proves the main job end to end with the real programs.

use crate::harness::{AgentHome, Installation};

#[tokio::test]
async fn an_agent_enrols_and_its_device_is_online() {
    let installation = Installation::start().await;
    let agent = AgentHome::enrolled(&installation).await;
    let _running = agent.run();
    let admin = installation.admin();
    crate::harness::until("online", async || admin.the_device().await.status.as_str() == "online").await;
}
