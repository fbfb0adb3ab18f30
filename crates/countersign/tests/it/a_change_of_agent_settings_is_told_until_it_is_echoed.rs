//! Proves that agents hear of changed settings with their heartbeats until they say that they go by
//! them, and that what they say of their trust bundle is shown.

use countersign_api::wire::agent::HeartbeatResponse;
use countersign_api::wire::agent_settings::AgentSettingsBody;
use countersign_testkit::Connection;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::harness::{Device, done, read};

const SETTINGS: &str = "/agents/org/default/settings/agent";

async fn beat(device: &Device, connection: &mut Connection, body: &Value) -> HeartbeatResponse {
    let path = format!("/api/v1/agents/{}/heartbeat", device.agent);
    read(&device.post(connection, &path, body).await)
}

async fn told(device: &Device, connection: &mut Connection, body: &Value) -> Option<AgentSettingsBody> {
    beat(device, connection, body).await.config_update
}

#[tokio::test]
async fn until_the_agent_goes_by_them() {
    let installation = super::start().await;
    let admin = installation.admin();
    let device = Device::enrol(&installation, "pump").await;
    let mut own = device.connect(&installation).await;
    assert_eq!(told(&device, &mut own, &json!({})).await, None);
    assert_eq!(told(&device, &mut own, &json!({ "configVersion": 1 })).await, None);

    let first = admin.get(SETTINGS).await;
    assert_eq!(
        done(&first),
        json!({ "heartbeatIntervalSeconds": 60, "metricsCollectionIntervalSeconds": 30, "version": 1 })
    );
    let change = json!({ "heartbeatIntervalSeconds": 15 });
    let second: AgentSettingsBody = read(&admin.call("PATCH", SETTINGS, Some(&change)).await);
    assert_eq!((second.heartbeat_interval_seconds, second.version), (15, 2));
    for echo in [json!({}), json!({ "configVersion": 1 }), json!({ "configVersion": "garbage" })] {
        assert_eq!(told(&device, &mut own, &echo).await, Some(second), "{echo}");
    }
    assert_eq!(told(&device, &mut own, &json!({ "configVersion": 2 })).await, None);

    let newcomer = Device::enrol(&installation, "newcomer").await;
    assert_eq!(newcomer.config["version"], 2);
    assert_eq!(newcomer.config["heartbeatIntervalSeconds"], 15);
}

#[tokio::test]
async fn only_settings_that_were_seen_are_changed_when_asked_so() {
    let installation = super::start().await;
    let admin = installation.admin();
    let mut connection = Connection::plain(installation.admin_address()).await.unwrap();
    let bearer = format!("Bearer {}", admin.token());
    let mut patch = async |tag: &str, seconds: u32| {
        let headers =
            [("authorization", bearer.as_str()), ("content-type", "application/json"), ("if-match", tag)];
        let body = json!({ "metricsCollectionIntervalSeconds": seconds }).to_string();
        connection.request("PATCH", &format!("/api/v1{SETTINGS}"), &headers, body).await.unwrap()
    };
    let tag = admin.get(SETTINGS).await.header("etag").to_owned();
    let changed = patch(&tag, 10).await;
    assert_eq!(changed.status, 200, "{}", changed.text());
    assert_ne!(changed.header("etag"), tag);
    let late = patch(&tag, 20).await;
    assert_eq!((late.status, late.code().as_str()), (412, "SETTINGS_CHANGED"));
    assert_eq!(patch("garbage", 20).await.status, 412);
    assert_eq!(patch("*", 20).await.status, 200);
    for bad in [json!({ "heartbeatIntervalSeconds": 9 }), json!({ "metricsCollectionIntervalSeconds": 3601 })]
    {
        assert_eq!(admin.call("PATCH", SETTINGS, Some(&bad)).await.status, 400, "{bad}");
    }
}

#[tokio::test]
async fn which_trust_bundle_an_agent_uses_is_shown_and_it_is_told_of_another() {
    let installation = super::start().await;
    let device = Device::enrol(&installation, "pump").await;
    let mut own = device.connect(&installation).await;
    let shown = async || installation.admin().device(device.id).await.trust_bundle;
    assert!(shown().await.is_none());
    for unnamed in [json!({}), json!({ "trustBundle": 7 }), json!({ "trustBundle": "garbage" })] {
        assert_eq!(beat(&device, &mut own, &unnamed).await.trust_bundle, None, "{unnamed}");
    }
    assert!(shown().await.is_none(), "what cannot be read is dropped");
    let present = beat(&device, &mut own, &json!({ "trustBundle": "0".repeat(64) })).await.trust_bundle;
    assert!(!shown().await.unwrap().current);
    let path = format!("/api/v1/agents/{}/trust-bundle", device.agent);
    let bundle = own.json("GET", &path, Some(&device.token), None).await.unwrap();
    let hash = Sha256::digest(&bundle.body).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!(present.as_ref(), Some(&hash), "what it would get is named");
    assert_eq!(beat(&device, &mut own, &json!({ "trustBundle": hash })).await.trust_bundle, None);
    let current = shown().await.unwrap();
    assert!(current.current);
    assert_eq!(current.sha256.to_string(), hash);
}
