//! Proves the main job end to end: an agent enrols, is admitted by its certificate alone, renews at
//! two thirds of its life without being told by a person, and its old certificate goes in two steps.

use std::time::Duration;

use serde_json::json;

use crate::harness::{AgentHome, Installation, days, hours, until};

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn under_enforcement_the_certificate_opens_what_the_token_alone_does_not() {
    let installation = Installation::start().await;
    let admin = installation.admin();
    let agent = AgentHome::enrolled(&installation).await;
    admin.set(json!({ "enforcement": "enforce" })).await;

    let refused = agent.heartbeat(&mut installation.connect().await).await;
    assert_eq!((refused.status, refused.code().as_str()), (403, "MTLS_REQUIRED"));
    let client = installation.client().showing(&agent.identity_pem());
    let taken = agent.heartbeat(&mut client.connect(installation.door()).await.unwrap()).await;
    assert_eq!(taken.status, 200, "{}", taken.text());
    assert_eq!(
        taken.json(),
        json!({ "commands": [], "configUpdate": null, "upgradeTo": null, "renewCert": false })
    );
    assert_eq!(admin.the_device().await.status.as_str(), "online");
}

#[tokio::test]
async fn at_two_thirds_of_its_life_a_certificate_is_renewed_and_the_old_one_goes() {
    let installation = Installation::in_fake_time().await;
    let (admin, time) = (installation.admin(), installation.time());
    admin.set(json!({ "enforcement": "enforce", "certLifetimeDays": 90, "renewalOverlapHours": 24 })).await;
    let agent = AgentHome::enrolled(&installation).await;
    let device = admin.the_device().await.id;
    let old = agent.identity_pem();
    let beat = async |identity: &str| {
        let client = installation.client().showing(identity);
        agent.try_heartbeat(&mut client.connect(installation.door()).await.unwrap()).await
    };
    // What is recorded reaches the door a moment later, and cuts what is open there.
    let until_refused = async |identity: &str, code: &str| {
        until(code, async || {
            beat(identity).await.is_ok_and(|refused| (refused.status, &*refused.code()) == (403, code))
        })
        .await;
    };

    time.advance(days(60) - MINUTE);
    assert_eq!(beat(&old).await.unwrap().json()["renewCert"], false);
    time.advance(MINUTE * 2);
    assert_eq!(beat(&old).await.unwrap().json()["renewCert"], true);
    // A tenth of what is left: by then the turn of each has come.
    time.advance(days(3));
    assert_eq!(beat(&old).await.unwrap().json().get("renewFrom"), None);

    let running = agent.run();
    until("the certificate is renewed and confirmed", async || {
        admin.states(device).await.len() == 2 && agent.text("mtls_cert_pem") != old && {
            admin.active(device).await.is_some()
        }
    })
    .await;
    until("the old one is superseded", async || {
        admin.states(device).await.iter().map(|state| state.as_str()).eq(["active", "superseded"])
    })
    .await;
    until("the agent shows the new one", async || {
        beat(&agent.identity_pem()).await.is_ok_and(|taken| taken.status == 200)
    })
    .await;
    until_refused(&old, "CERTIFICATE_SUPERSEDED").await;

    time.advance(hours(24) + MINUTE);
    until("the old one is revoked", async || {
        admin.states(device).await.iter().map(|state| state.as_str()).eq(["active", "revoked"])
    })
    .await;
    assert_eq!(admin.certificates(device).await[1].reason.unwrap().as_str(), "superseded");
    until_refused(&old, "CERTIFICATE_REVOKED").await;
    let seen = admin.the_device().await.last_seen_at;
    until("the agent goes on", async || admin.the_device().await.last_seen_at > seen).await;
    assert!(running.terminate().await.success());
}

#[tokio::test]
async fn an_agent_that_was_switched_off_for_the_right_week_renews_when_it_is_back() {
    let installation = Installation::in_fake_time().await;
    let admin = installation.admin();
    admin.set(json!({ "enforcement": "enforce" })).await;
    let agent = AgentHome::enrolled(&installation).await;
    let device = admin.the_device().await.id;
    installation.time().advance(days(89));
    let _running = agent.run();
    until("it has renewed", async || admin.states(device).await.len() == 2).await;
    until("it is online", async || admin.the_device().await.status.as_str() == "online").await;
}
