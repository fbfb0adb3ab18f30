//! Proves that a command that is queued over the API reaches a device at the MQTT door, at once or when it
//! subscribes, and that what the device says came of it is its outcome.

use countersign_core::ids::CommandId;
use serde_json::json;

use crate::harness::{Device, Installation, MqttDevice, done, until};

#[tokio::test]
async fn a_command_reaches_a_device_over_mqtt_and_its_word_comes_back() {
    let installation = Installation::start().await;
    let device = Device::enrol(&installation, "pump-1").await;
    let mqtt = MqttDevice::of(&installation, &device).await;
    let queue = async || installation.admin().queue_command(device.id, &json!({ "type": "ping" })).await;
    let state = async |id: CommandId| {
        let found = installation.admin().get(&format!("/devices/{}/commands/{id}", device.id)).await;
        done(&found)["status"].as_str().unwrap().to_owned()
    };

    let early = queue().await;
    let listener = mqtt.listen(&["commands"], &[]);
    until("what waited is offered", async || listener.heard().len() == 1).await;
    assert_eq!(listener.heard()[0].1["id"], json!(early));
    let late = queue().await;
    until("what comes is offered", async || listener.heard().len() == 2).await;
    assert_eq!(
        (&listener.heard()[1].1["id"], &listener.heard()[1].1["type"]),
        (&json!(late), &json!("ping"))
    );

    mqtt.say("commands/ack", &json!({ "id": early, "status": "received" }));
    assert_eq!(state(early).await, "delivered");
    mqtt.say("commands/ack", &json!({ "id": early, "status": "completed", "result": { "ok": true } }));
    assert_eq!(state(early).await, "completed");
    drop(listener);
    let listener = mqtt.listen(&["commands"], &[]);
    until("only what is open is offered again", async || listener.heard().len() == 1).await;
    assert_eq!(listener.heard()[0].1["id"], json!(late));
    drop(listener);

    // Another device has no word in it.
    let other = Device::enrol(&installation, "pump-2").await;
    let theirs = MqttDevice::of(&installation, &other).await;
    theirs.say("commands/ack", &json!({ "id": late, "status": "completed" }));
    assert_eq!(state(late).await, "queued");
}
