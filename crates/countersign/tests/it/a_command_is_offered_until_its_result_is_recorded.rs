//! Proves that a command reaches its device by heartbeat, as often as it takes, until a result is
//! recorded; that the first result counts; and that nobody else's command is anybody's business.

use countersign_api::wire::agent::HeartbeatResponse;
use countersign_api::wire::command_queue::{CommandBody, CommandList};
use countersign_core::command::CommandState;
use countersign_core::ids::CommandId;
use serde_json::json;

use crate::harness::{Device, Installation, done, read};

async fn command(installation: &Installation, device: &Device, id: CommandId) -> CommandBody {
    read(&installation.admin().get(&format!("/devices/{}/commands/{id}", device.id)).await)
}

#[tokio::test]
async fn at_every_heartbeat_until_something_came_of_it() {
    let installation = super::start().await;
    let device = Device::enrol(&installation, "pump").await;
    let other = Device::enrol(&installation, "other").await;
    let mut own = device.connect(&installation).await;
    let mut others = other.connect(&installation).await;
    assert_eq!(device.offered(&mut own).await, []);

    let payload = json!({ "what": ["disks", "ünïcode"], "depth": 2 });
    let wanted = json!({ "type": "collect_facts", "payload": payload });
    let id = installation.admin().queue_command(device.id, &wanted).await;
    assert_eq!(command(&installation, &device, id).await.status, CommandState::Queued);
    assert_eq!(other.offered(&mut others).await, []);
    for _ in 0..2 {
        let answer: HeartbeatResponse = read(&device.heartbeat(&mut own).await);
        let [offered] = answer.commands.as_slice() else { panic!("{answer:?}") };
        assert_eq!((offered.id, offered.kind.as_str()), (id, "collect_facts"));
        assert_eq!(offered.payload.as_ref(), Some(&payload));
        assert_eq!(offered.expires_at.since(offered.created_at).as_secs(), 86_400);
    }
    assert_eq!(command(&installation, &device, id).await.status, CommandState::Delivered);

    let result = json!({ "status": "completed", "result": { "disks": [1, null] }, "unknown": "ignored" });
    let foreign = other.report(&mut others, id, &result).await;
    assert_eq!((foreign.status, foreign.code().as_str()), (404, "NOT_FOUND"));
    assert_eq!(done(&device.report(&mut own, id, &result).await), json!({ "success": true }));
    assert_eq!(device.offered(&mut own).await, []);
    let again = json!({ "status": "failed", "error": "late" });
    assert_eq!(device.report(&mut own, id, &again).await.status, 200);
    let finished = command(&installation, &device, id).await;
    assert_eq!(finished.status, CommandState::Completed);
    assert_eq!((finished.result, finished.error), (Some(json!({ "disks": [1, null] })), None));
    assert!(finished.delivered_at.is_some() && finished.finished_at.is_some());
}

#[tokio::test]
async fn what_is_no_command_or_result_is_refused_by_name() {
    let installation = super::start().await;
    let device = Device::enrol(&installation, "pump").await;
    let admin = installation.admin();
    let path = format!("/devices/{}/commands", device.id);
    for (body, field) in [
        (json!({}), "type"),
        (json!({ "type": "reboot" }), "type"),
        (json!({ "type": "rotate_token" }), "type"),
        (json!({ "type": "ping", "payload": [1] }), "payload"),
        (json!({ "type": "ping", "payload": { "a": "x".repeat(17_000) } }), "payload"),
        (json!({ "type": "ping", "when": "now" }), "when"),
    ] {
        let refused = admin.post(&path, &body).await;
        assert_eq!(refused.status, 400, "{}", refused.text());
        assert!(refused.json()["fields"][field].is_string(), "{}", refused.text());
    }
    let id = admin.queue_command(device.id, &json!({ "type": "ping" })).await;
    let mut own = device.connect(&installation).await;
    for (body, field) in [
        (json!({}), "status"),
        (json!({ "status": "expired" }), "status"),
        (json!({ "status": "completed", "result": "x".repeat(65_536) }), "result"),
    ] {
        let refused = device.report(&mut own, id, &body).await;
        assert_eq!(refused.status, 400, "{}", refused.text());
        assert!(refused.json()["fields"][field].is_string(), "{}", refused.text());
    }
    let failed = json!({ "status": "failed", "error": "no\nroom", "result": null });
    assert_eq!(device.report(&mut own, id, &failed).await.status, 200);
    let finished = command(&installation, &device, id).await;
    assert_eq!((finished.status, finished.error.as_deref()), (CommandState::Failed, Some("no\nroom")));
    assert_eq!(finished.result, None);
}

#[tokio::test]
async fn commands_are_listed_newest_first_page_by_page() {
    let installation = super::start().await;
    let device = Device::enrol(&installation, "pump").await;
    let admin = installation.admin();
    let mut queued = Vec::new();
    for kind in ["ping", "refresh_config", "renew_certificate"] {
        queued.push(admin.queue_command(device.id, &json!({ "type": kind })).await);
    }
    queued.reverse();
    let (mut seen, mut query) = (Vec::new(), String::new());
    loop {
        let path = format!("/devices/{}/commands?limit=2{query}", device.id);
        let page: CommandList = read(&admin.get(&path).await);
        seen.extend(page.commands.iter().map(|command| command.id));
        let Some(cursor) = page.next_cursor else { break };
        query = format!("&cursor={cursor}");
    }
    assert_eq!(seen, queued);
    done(&admin.quarantine(device.id, "lost").await);
    let refused = admin.post(&format!("/devices/{}/commands", device.id), &json!({ "type": "ping" })).await;
    assert_eq!((refused.status, refused.code().as_str()), (409, "DEVICE_STATE"));
}
