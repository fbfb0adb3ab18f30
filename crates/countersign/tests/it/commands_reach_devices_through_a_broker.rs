//! Proves that behind the MQTT door a stock broker delivers commands, parts of jobs and wanted states: at once,
//! to a device that is away and comes back, and again after it came back until its word is there; and that
//! nothing reaches a quarantined device.

use serde_json::{Value, json};

use crate::harness::{Device, Installation, Mosquitto, MqttDevice, Time, done, until};

#[tokio::test]
async fn commands_reach_devices_through_a_broker() {
    let broker = Mosquitto::start().await;
    let config = format!("[mqtt_door]\nupstream = \"tcp://{}\"\ningest = \"database\"\n", broker.address);
    let installation = Installation::configured(&config, Time::Real).await;
    let device = Device::enrol(&installation, "pump-1").await;
    let mqtt = MqttDevice::of(&installation, &device).await;
    let admin = installation.admin();
    let queue = async || admin.queue_command(device.id, &json!({ "type": "ping" })).await;
    let state = async |id| {
        let found = admin.get(&format!("/devices/{}/commands/{id}", device.id)).await;
        done(&found)["status"].as_str().unwrap().to_owned()
    };
    let kept = ["-i", "pump", "-c", "-x", "3600"];
    let topics = ["commands", "jobs/#", "shadow/desired"];

    let early = queue().await;
    let listener = mqtt.listen(&topics, &kept);
    let ids = |heard: &[(String, Value)]| -> Vec<Value> {
        heard.iter().filter(|(topic, _)| topic == "commands").map(|(_, said)| said["id"].clone()).collect()
    };
    until("what waited is told", async || ids(&listener.heard()).contains(&json!(early))).await;
    mqtt.say("commands/ack", &json!({ "id": early, "status": "completed" }));
    assert_eq!(state(early).await, "completed");
    let live = queue().await;
    until("what comes is told", async || ids(&listener.heard()).contains(&json!(live))).await;
    let path = format!("/devices/{}/shadow", device.id);
    done(&admin.call("PUT", &path, Some(&json!({ "desired": { "a": 1 } }))).await);
    let job = done(&admin.post("/jobs", &json!({ "name": "flush", "devices": [device.id] })).await);
    let job = format!("jobs/{}", job["id"].as_str().unwrap());
    let hears = |topic: &str| listener.heard().iter().any(|(heard, _)| heard == topic);
    until("both are told", async || hears("shadow/desired") && hears(&job)).await;
    drop(listener);

    let away = queue().await;
    let listener = mqtt.listen(&topics, &kept);
    let both = async || [live, away].iter().all(|id| ids(&listener.heard()).contains(&json!(id)));
    until("what is open is told once more, and what came meanwhile", both).await;
    assert!(!ids(&listener.heard()).contains(&json!(early)), "it is done");
    for id in [live, away] {
        mqtt.say("commands/ack", &json!({ "id": id, "status": "completed" }));
    }
    drop(listener);

    let late = queue().await;
    done(&admin.quarantine(device.id, "test").await);
    let refused = mqtt.listen(&topics, &kept);
    let refusals = async || installation.log().contains("session refused");
    until("it is refused", refusals).await;
    assert!(refused.heard().is_empty(), "{:?}", refused.heard());
    assert_eq!(state(late).await, "queued");
}
