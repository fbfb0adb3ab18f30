//! Proves that an installation without an issuer enrols and hears devices, and that they get their
//! first certificate by themselves once there is one.

use std::time::Duration;

use crate::harness::{AgentHome, Installation, Time, until};

#[tokio::test]
async fn it_enrols_without_one_works_and_asks_for_its_first_by_itself() {
    let mut installation = Installation::configured("[mtls]\nissuer = \"none\"\n", Time::Fake).await;
    let admin = installation.admin();
    let agent = AgentHome::beside(&installation);
    let enrolled = agent.enroll(&installation, &admin.one_use_key().await);
    assert_eq!(enrolled.code, 0, "{}", enrolled.stderr);
    assert!(enrolled.stdout.contains("No mTLS certificate: the server issues none"), "{}", enrolled.stdout);
    let device = admin.the_device().await;
    assert!(device.certificate.is_none());

    let running = agent.run();
    until("it is online", async || admin.the_device().await.status.as_str() == "online").await;
    assert!(installation.terminate().await.success());
    installation.reconfigure("");
    installation.start_again().await;
    // The agent was told to ask again after a minute.
    installation.time().advance(Duration::from_secs(120));
    until("it has its first certificate", async || admin.active(device.id).await.is_some()).await;
    until("it is online with it", async || {
        running.log().contains("certificate renewed") && agent.status()["certificate"] == "valid"
    })
    .await;
    assert_eq!(admin.states(device.id).await.len(), 1, "one certificate, not one for every try");
}
