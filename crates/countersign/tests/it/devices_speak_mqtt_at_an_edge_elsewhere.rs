//! Proves that what a device says at the MQTT door of an edge is with the authority once it is acknowledged, also
//! when the edge is killed then; that a device waits while the authority is away; that what was queued meanwhile
//! is told once it is back; and that an edge speaks for devices of its tenants alone, and for none that may say
//! nothing.

use serde_json::{Value, json};

use crate::harness::{Cable, Device, Edge, Installation, MqttDevice, done, until};

/// A device with an edge, reached over a cable.
struct Remote {
    installation: Installation,
    cable: Cable,
    edge: Edge,
    device: Device,
}

impl Remote {
    async fn start() -> Self {
        let installation = Installation::start().await;
        let cable = Cable::to(installation.own_door()).await;
        let mut edge = Edge::unstarted(&installation, "far", json!({})).await.by_way_of(cable.address());
        edge.start_again().await;
        edge.until(&installation.admin(), "attached").await;
        let device = Device::enrol(&installation, "sensor-7").await;
        Self { installation, cable, edge, device }
    }

    async fn mqtt(&self) -> MqttDevice {
        MqttDevice::of(&self.installation, &self.device).await.at(&self.edge)
    }
}

fn telemetry(temp: f64) -> Value {
    json!({ "site_id": "default", "metrics": { "temp": temp } })
}

async fn taken(installation: &Installation) -> Vec<Value> {
    done(&installation.admin().get("/telemetry").await)["messages"].as_array().unwrap().clone()
}

async fn set_aside(installation: &Installation) -> Vec<Value> {
    done(&installation.admin().get("/quarantined-messages").await)["messages"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_is_there_though_the_edge_is_killed() {
    let mut remote = Remote::start().await;
    remote.mqtt().await.say("telemetry", &telemetry(22.5));
    remote.edge.kill().await;
    let [message] = taken(&remote.installation).await.try_into().unwrap();
    assert_eq!(
        (&message["device"], &message["payload"]["metrics"]["temp"]),
        (&json!("sensor-7"), &json!(22.5))
    );
    remote.edge.start_again().await;
    let mqtt = remote.mqtt().await;
    mqtt.say("telemetry", &telemetry(23.5));
    assert_eq!(taken(&remote.installation).await.len(), 2);
    mqtt.say("telemetry", &json!({ "site_id": "nowhere", "metrics": {} }));
    mqtt.try_to_say("secrets", &telemetry(1.0));
    let aside = async || set_aside(&remote.installation).await;
    until("what was refused is set aside", async || aside().await.len() >= 2).await;
    let reasons: Vec<Value> = aside().await.iter().map(|one| one["reason"].clone()).collect();
    assert!(reasons.contains(&json!("TOPIC_NOT_ALLOWED")), "{reasons:?}");
    assert!(reasons.contains(&json!("SITE_MISMATCH_REGISTRY_VS_PAYLOAD")), "{reasons:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_waits_while_the_authority_is_away_and_is_told_what_was_queued_meanwhile() {
    let remote = Remote::start().await;
    let (mqtt, admin) = (remote.mqtt().await, remote.installation.admin());
    let listener = mqtt.listen(&["commands", "shadow/desired"], &[]);
    admin.queue_command(remote.device.id, &json!({ "type": "ping" })).await;
    until("it is told of what is queued", async || listener.heard().len() == 1).await;
    let said = listener.heard().remove(0).1;
    mqtt.say("commands/ack", &json!({ "id": said["id"], "status": "completed" }));
    let command = format!("/devices/{}/commands/{}", remote.device.id, said["id"].as_str().unwrap());
    assert_eq!(done(&admin.get(&command).await)["status"], "completed");

    remote.cable.cut();
    let mut waiting = mqtt.begin_to_say("telemetry", &telemetry(22.5));
    let waits = "messages not delivered, devices wait";
    until("the edge has tried in vain", async || remote.edge.log().contains(waits)).await;
    assert!(waiting.goes_on(), "the device waits");
    let path = format!("/devices/{}/shadow", remote.device.id);
    done(&admin.call("PUT", &path, Some(&json!({ "desired": { "interval": 30 } }))).await);
    assert_eq!(listener.heard().len(), 1);

    remote.cable.mend();
    until("the message has arrived", async || !waiting.goes_on()).await;
    assert_eq!(taken(&remote.installation).await.last().unwrap()["payload"]["metrics"]["temp"], 22.5);
    until("what was queued meanwhile is told", async || listener.heard().len() == 2).await;
    assert_eq!(listener.heard()[1].1["desired"], json!({ "interval": 30 }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edge_speaks_for_devices_of_its_tenants_alone_and_for_none_that_may_say_nothing() {
    let installation = Installation::start().await;
    let admin = installation.admin();
    done(&admin.post("/tenants", &json!({ "slug": "acme", "name": "Acme" })).await);
    let mut edge = Edge::unstarted(&installation, "acmes", json!({ "tenants": ["acme"] })).await;
    edge.start_again().await;
    let client = installation.client().showing(&edge.identity_pem());
    let device = Device::enrol(&installation, "pump").await;
    let tenant = serde_json::to_value(admin.device(device.id).await).unwrap()["tenant"].clone();
    let asked = async |path: &str, body: Value| {
        let mut connection = client.connect(installation.own_door()).await.unwrap();
        let headers = [("content-type", "application/json")];
        let path = format!("/api/v1/edges/self/{path}");
        connection.request("POST", &path, &headers, body.to_string()).await.unwrap()
    };
    let message = |tenant: &Value| {
        json!({ "messages": [{
            "tenant": tenant, "device": "pump", "issuer": "0".repeat(64), "serialNumber": "01",
            "topic": "tenant/acme/device/pump/telemetry", "prefixBytes": 24, "qos": 1,
            "receivedAt": "2027-01-15T08:00:00Z", "payload": "e30=", "payloadBytes": 2,
        }] })
    };
    let whose = |tenant: &Value| json!({ "tenant": tenant, "device": "pump" });
    let login = |tenant: &Value| json!({ "tenant": tenant, "device": "pump", "token": "no token at all 12", "address": "192.0.2.1" });
    for (path, body) in [
        ("messages", message(&tenant)),
        ("letters", json!({ "devices": [whose(&tenant)] })),
        ("logins", login(&tenant)),
    ] {
        let refused = asked(path, body).await;
        assert_eq!((refused.status, refused.code().as_str()), (403, "EDGE_SCOPE"), "{path}");
        let unread = asked(path, json!({ "another": "thing" })).await;
        assert_eq!((unread.status, unread.code().as_str()), (400, "INVALID_JSON"), "{path}");
    }
    assert_eq!(set_aside(&installation).await.len(), 0, "not even set aside");

    let own = json!("acme");
    assert_eq!(asked("messages", message(&own)).await.status, 200);
    let [aside] = set_aside(&installation).await.try_into().unwrap();
    assert_eq!(aside["reason"], "CERTIFICATE_UNTRUSTED", "no certificate of that device's");
    let letters = asked("letters", json!({ "devices": [whose(&own)] })).await;
    assert_eq!((letters.status, letters.json()), (200, json!({ "letters": [[]] })));
    let refused = asked("logins", login(&own)).await;
    assert_eq!((refused.status, refused.json()), (200, json!({ "refused": "AUTH_FAILED" })));
    assert!(taken(&installation).await.is_empty());
}
