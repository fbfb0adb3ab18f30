//! Proves that a command reaches a connected device at once, is offered again over every connection
//! until its result is recorded, and that nobody says anything about another's.

use std::time::{Duration, Instant};

use countersign_api::wire::command_queue::CommandBody;
use countersign_core::command::CommandState;
use serde_json::{Value, json};

use crate::harness::{Channel, Device, Installation, ack, completed, done, read, until};

const AT_ONCE: Duration = Duration::from_secs(1);

async fn command(installation: &Installation, device: &Device, id: &str) -> CommandBody {
    read(&installation.admin().get(&format!("/devices/{}/commands/{id}", device.id)).await)
}

async fn queue(installation: &Installation, device: &Device, command: &Value) -> String {
    installation.admin().queue_command(device.id, command).await.to_string()
}

#[tokio::test]
async fn a_connected_device_gets_it_at_once_and_answers() {
    let installation = super::start().await;
    let device = Device::enrol(&installation, "pump").await;
    let other = Device::enrol(&installation, "other").await;
    let mut channel = Channel::open(&device, &installation).await;
    let mut bystander = Channel::open(&other, &installation).await;
    until("a connected device is online", async || {
        installation.admin().device(device.id).await.status.as_str() == "online"
    })
    .await;

    let payload = json!({ "what": "ünïcode" });
    let began = Instant::now();
    let wanted = json!({ "type": "collect_facts", "payload": payload });
    let id = queue(&installation, &device, &wanted).await;
    let heard = channel.hear().await;
    assert!(began.elapsed() < AT_ONCE, "{:?}", began.elapsed());
    assert_eq!((&heard["type"], &heard["command"]["id"]), (&json!("command"), &json!(id)));
    assert_eq!(
        (&heard["command"]["type"], &heard["command"]["payload"]),
        (&json!("collect_facts"), &payload)
    );

    channel.say(&ack(&id)).await;
    assert!(channel.is_alive().await);
    assert_eq!(command(&installation, &device, &id).await.status, CommandState::Delivered);
    let result = json!([{ "cores": 4 }, null]);
    channel.say(&completed(&id, &result)).await;
    assert_eq!(channel.hear().await, json!({ "type": "recorded", "id": id }));
    let finished = command(&installation, &device, &id).await;
    assert_eq!((finished.status, finished.result), (CommandState::Completed, Some(result)));
    let failed = json!({ "type": "result", "id": id, "status": "failed", "error": "late" });
    channel.say(&failed).await;
    assert_eq!(channel.hear().await, json!({ "type": "recorded", "id": id }), "it need not be repeated");
    assert_eq!(command(&installation, &device, &id).await.status, CommandState::Completed);
    assert!(bystander.is_alive().await, "and has heard nothing");
}

#[tokio::test]
async fn it_is_offered_over_every_connection_and_by_heartbeat_until_its_result_is_recorded() {
    let installation = super::start().await;
    let device = Device::enrol(&installation, "pump").await;
    let id = queue(&installation, &device, &json!({ "type": "ping" })).await;
    let mut first = Channel::open(&device, &installation).await;
    assert_eq!(first.command().await, id, "what was queued before the connection");
    first.say(&ack(&id)).await;
    assert!(first.is_alive().await, "and was not sent twice");
    drop(first);

    let mut second = Channel::open(&device, &installation).await;
    assert_eq!(second.command().await, id, "though it was acknowledged");
    let mut own = device.connect(&installation).await;
    assert_eq!(done(&device.heartbeat(&mut own).await)["commands"][0]["id"], id);
    second.say(&completed(&id, &Value::Null)).await;
    assert_eq!(second.hear().await["type"], "recorded");
    assert_eq!(done(&device.heartbeat(&mut own).await)["commands"], json!([]));
    drop(second);
    let mut third = Channel::open(&device, &installation).await;
    assert!(third.is_alive().await);
}

#[tokio::test]
async fn more_than_are_offered_at_once_follow_as_results_come() {
    const QUEUED: usize = 20;
    const AT_ONCE: usize = 16;
    let installation = super::start().await;
    let device = Device::enrol(&installation, "pump").await;
    let mut channel = Channel::open(&device, &installation).await;
    let mut queued = Vec::new();
    for _ in 0..QUEUED {
        queued.push(queue(&installation, &device, &json!({ "type": "ping" })).await);
    }
    let mut offered = Vec::new();
    for _ in 0..AT_ONCE {
        offered.push(channel.command().await);
    }
    assert!(channel.is_alive().await, "no more of them");
    for done in 0..QUEUED {
        let id = offered[done].clone();
        channel.say(&completed(&id, &json!({}))).await;
        let (mut recorded, mut more) = (false, offered.len() == QUEUED);
        while !recorded || !more {
            let heard = channel.hear().await;
            if heard["type"] == "recorded" {
                recorded = true;
            } else {
                offered.push(heard["command"]["id"].as_str().unwrap().to_owned());
                more = true;
            }
        }
    }
    offered.sort();
    queued.sort();
    assert_eq!(offered, queued);
}

#[tokio::test]
async fn what_a_device_says_of_anothers_command_is_not_heard() {
    let installation = super::start().await;
    let device = Device::enrol(&installation, "pump").await;
    let other = Device::enrol(&installation, "other").await;
    let id = queue(&installation, &device, &json!({ "type": "ping" })).await;
    let mut others = Channel::open(&other, &installation).await;
    others.say(&ack(&id)).await;
    others.say(&completed(&id, &json!("mine"))).await;
    assert!(others.is_alive().await);
    let untouched = command(&installation, &device, &id).await;
    assert_eq!((untouched.status, untouched.result), (CommandState::Queued, None));
    let mut connection = other.connect(&installation).await;
    let path = format!("/api/v1/agents/{}/commands/{id}/result", other.agent);
    let refused = other.post(&mut connection, &path, &json!({ "status": "completed" })).await;
    assert_eq!((refused.status, refused.code().as_str()), (404, "NOT_FOUND"));
    let foreign = format!("/api/v1/agents/{}/commands/{id}/result", device.agent);
    let refused = other.post(&mut connection, &foreign, &json!({ "status": "completed" })).await;
    assert_eq!(refused.status, 401);
}
