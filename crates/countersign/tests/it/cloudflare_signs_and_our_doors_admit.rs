//! Proves that a device with a certificate of Cloudflare's is admitted at our doors until it is revoked,
//! that an outage of the API only makes it wait, and that the token is in no log.

use std::sync::Arc;

use countersign_core::time::SystemClock;
use countersign_testkit::{CLOUDFLARE_TOKEN, CLOUDFLARE_ZONE, FakeCloudflare, Trouble};
use serde_json::json;

use crate::harness::{AgentHome, Device, Installation, done, until};

const VARIABLES: [(&str, &str); 2] =
    [("CLOUDFLARE_API_TOKEN", CLOUDFLARE_TOKEN), ("CLOUDFLARE_ZONE_ID", CLOUDFLARE_ZONE)];

async fn installation() -> (Installation, FakeCloudflare) {
    let fake = FakeCloudflare::start(Arc::new(SystemClock)).await;
    let config = format!("[mtls]\nissuer = \"cloudflare\"\ncloudflare_api_url = \"{}\"\n", fake.url());
    (Installation::with_variables(&config, &VARIABLES).await, fake)
}

#[tokio::test]
async fn it_is_admitted_until_it_is_revoked_and_then_revoked_there_too() {
    let (installation, fake) = installation().await;
    let admin = installation.admin();
    admin.set(json!({ "enforcement": "enforce" })).await;
    let device = Device::enrol(&installation, "ws-01").await;
    assert!(device.certificate().certificate.contains("BEGIN CERTIFICATE"));
    assert!(device.certificate().private_key.is_none(), "no key ever leaves the device");
    assert_eq!(fake.certificates().len(), 1);
    let mut connection = device.connect(&installation).await;
    assert_eq!(device.heartbeat(&mut connection).await.status, 200);

    let active = admin.active(device.id).await.unwrap();
    done(&admin.revoke(active.id, "keyCompromise").await);
    let mut connection = device.connect(&installation).await;
    assert_eq!(device.heartbeat(&mut connection).await.status, 403);
    until("Cloudflare was asked", async || fake.certificates()[0].status == "pending_revocation").await;
    until("it is written down", async || {
        let entries = admin.audit("").await;
        entries.iter().any(|entry| entry.event == "certificate.upstream_revocation_asked")
    })
    .await;
    assert!(!installation.log().contains(CLOUDFLARE_TOKEN));
}

// The agent is a process that is waited for: the fake answers on another thread.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_that_enrols_during_an_outage_gets_its_certificate_afterwards() {
    let (installation, fake) = installation().await;
    let admin = installation.admin();
    fake.has(Some(Trouble::Failing(503)));
    let agent = AgentHome::beside(&installation);
    let enrolled = agent.enroll(&installation, &admin.one_use_key().await);
    assert_eq!(enrolled.code, 0, "{}", enrolled.stderr);
    let device = admin.the_device().await;
    assert!(device.certificate.is_none());
    assert!(installation.log().contains("issuer failed at enrolment"));
    fake.has(None);
    let renewed = agent.output(&["renew"]);
    assert_eq!(renewed.code, 0, "{}{}", renewed.stdout, renewed.stderr);
    until("it has its first certificate", async || admin.active(device.id).await.is_some()).await;
    assert_eq!(agent.status()["certificate"], "valid");
    fake.has(Some(Trouble::Forbidden));
    let enrolled = Device::enrol(&installation, "ws-02").await;
    assert!(enrolled.mtls.is_none());
    assert_eq!(enrolled.mtls_reason.as_deref(), Some("issuer_unavailable"));
    assert!(!installation.log().contains(CLOUDFLARE_TOKEN));
}

#[tokio::test]
async fn without_its_variables_it_is_as_if_nobody_issued() {
    let config = "[mtls]\nissuer = \"cloudflare\"\n";
    let half = Installation::with_variables(config, &[VARIABLES[0]]).await;
    let none = Installation::with_variables("[mtls]\nissuer = \"none\"\n", &[]).await;
    assert!(half.log().contains("it behaves as none"), "{}", half.log());
    for installation in [half, none] {
        let device = Device::enrol(&installation, "ws-01").await;
        assert_eq!(device.mtls_reason.as_deref(), Some("issuer_off"));
        assert!(!installation.log().contains(CLOUDFLARE_TOKEN));
    }
}
