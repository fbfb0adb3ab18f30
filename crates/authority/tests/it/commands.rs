//! Commands are queued for those who may have them, offered until something came of them, and have one
//! outcome; whatever happens to them is written down.

use countersign_authority::Forbidden;
use countersign_authority::commands::{
    CommandPayload, CommandReport, CommandRow, OFFERED_AT_ONCE, QueueCommandError, RecordResultError,
    ReportedVerdict,
};
use countersign_authority::devices::LookError;
use countersign_core::audit::{Actor, AuditEvent};
use countersign_core::command::{COMMAND_LIFE, CommandKind, CommandState};
use countersign_core::device::DeviceStatus;
use countersign_core::ids::CommandId;
use countersign_store::Role;
use serde_json::json;

use super::house::{DAY, Device, House, SECOND, start};

impl House {
    pub(crate) async fn queue(&self, device: &Device) -> Result<CommandId, QueueCommandError> {
        self.authority.queue_command(&self.operate(), device.id, CommandKind::Ping, None).await
    }

    async fn command(&self, device: &Device, id: CommandId) -> CommandRow {
        self.authority.device_command(&self.view(), device.id, id).await.unwrap()
    }

    async fn offered(&self, device: &Device) -> Vec<CommandId> {
        let caller = self.caller(device).await;
        let commands = self.authority.commands_with_heartbeat(&caller).await.unwrap();
        commands.into_iter().map(|row| row.id).collect()
    }

    async fn report(&self, device: &Device, id: CommandId) -> Result<(), RecordResultError> {
        let caller = self.caller(device).await;
        self.authority.record_result(&caller, id, report(ReportedVerdict::Completed)).await
    }
}

fn report(verdict: ReportedVerdict) -> CommandReport {
    CommandReport::new(verdict, Some(json!({ "uptime": 7 })), None).unwrap()
}

#[tokio::test]
async fn a_command_is_offered_until_something_came_of_it() {
    let house = House::new().await;
    let (device, other) = (house.device("pump").await, house.device("other").await);
    let id = house.queue(&device).await.unwrap();
    assert_eq!(house.offered(&other).await, []);
    for _ in 0..2 {
        assert_eq!(house.offered(&device).await, [id]);
    }
    let delivered = house.command(&device, id).await;
    assert_eq!((delivered.state, delivered.delivered_at), (CommandState::Delivered, Some(start())));
    house.pass(SECOND);
    house.report(&device, id).await.unwrap();
    assert_eq!(house.offered(&device).await, []);
    let done = house.command(&device, id).await;
    assert_eq!((done.state, done.finished_at), (CommandState::Completed, Some(start() + SECOND)));
    assert_eq!(done.result, Some(json!({ "uptime": 7 })));
    let expected = [AuditEvent::CommandQueued, AuditEvent::CommandDelivered, AuditEvent::CommandCompleted];
    assert!(house.events(device.id).await.ends_with(&expected));
}

#[tokio::test]
async fn the_first_word_counts_and_a_second_one_does_no_harm() {
    let house = House::new().await;
    let device = house.device("pump").await;
    let id = house.queue(&device).await.unwrap();
    let caller = house.caller(&device).await;
    house.authority.record_result(&caller, id, report(ReportedVerdict::Failed)).await.unwrap();
    house.report(&device, id).await.unwrap();
    assert_eq!(house.command(&device, id).await.state, CommandState::Failed);
    assert_eq!(house.count(AuditEvent::CommandFailed).await, 1);
    assert_eq!(house.count(AuditEvent::CommandCompleted).await, 0);
}

#[tokio::test]
async fn another_devices_command_is_unknown() {
    let house = House::new().await;
    let (device, other) = (house.device("pump").await, house.device("other").await);
    let id = house.queue(&device).await.unwrap();
    for (who, which) in [(&other, id), (&device, CommandId::random())] {
        let refused = house.report(who, which).await.unwrap_err();
        assert!(matches!(refused, RecordResultError::Unknown), "{refused}");
        let caller = house.caller(who).await;
        house.authority.acknowledge_command(&caller, which).await.unwrap();
    }
    assert_eq!(house.command(&device, id).await.state, CommandState::Queued);
    let looked = house.authority.device_command(&house.view(), other.id, id).await.unwrap_err();
    assert!(matches!(looked, LookError::Unknown), "{looked}");
}

#[tokio::test]
async fn nothing_is_queued_for_who_is_served_nowhere_or_is_another_tenants() {
    let house = House::new().await;
    let device = house.device("pump").await;
    let other =
        house.authority.create_tenant(&house.own(), "other".parse().unwrap(), "Other".into()).await.unwrap();
    let stranger = house.person(Role::Operator, Some(other.id)).await.authorize().unwrap();
    let foreign = house.authority.queue_command(&stranger, device.id, CommandKind::Ping, None).await;
    assert!(matches!(foreign, Err(QueueCommandError::Forbidden(Forbidden::OtherTenant))), "{foreign:?}");
    let unknown = countersign_core::ids::DeviceId::random();
    let unknown = house.authority.queue_command(&house.operate(), unknown, CommandKind::Ping, None).await;
    assert!(matches!(unknown, Err(QueueCommandError::Unknown)), "{unknown:?}");
    house.authority.quarantine_device(&house.operate(), device.id, "x".parse().unwrap()).await.unwrap();
    let refused = house.queue(&device).await.unwrap_err();
    assert!(matches!(refused, QueueCommandError::Conflict(DeviceStatus::Quarantined)), "{refused}");
    house.authority.deny(&house.operate(), device.id).await.unwrap();
    let refused = house.queue(&device).await.unwrap_err();
    assert!(matches!(refused, QueueCommandError::Conflict(DeviceStatus::Decommissioned)), "{refused}");
    assert_eq!(house.count(AuditEvent::CommandQueued).await, 0);
}

#[tokio::test]
async fn a_device_is_offered_some_at_once_and_has_room_for_so_many() {
    let house = House::new().await;
    let device = house.device("pump").await;
    let mut all = Vec::new();
    for _ in 0..256 {
        all.push(house.queue(&device).await.unwrap());
        house.pass(SECOND);
    }
    let refused = house.queue(&device).await.unwrap_err();
    assert!(matches!(refused, QueueCommandError::Full), "{refused}");
    let window = OFFERED_AT_ONCE as usize;
    assert_eq!(house.offered(&device).await, all[..window], "the oldest");
    house.report(&device, all[0]).await.unwrap();
    assert_eq!(house.offered(&device).await, all[1..=window]);
    house.queue(&device).await.unwrap();
}

#[tokio::test]
async fn a_command_ends_with_its_time() {
    let house = House::new().await;
    let device = house.device("pump").await;
    let id = house.queue(&device).await.unwrap();
    house.pass(COMMAND_LIFE - SECOND);
    house.authority.sweep().await.unwrap();
    assert_eq!(house.command(&device, id).await.state, CommandState::Queued);
    house.pass(SECOND);
    assert_eq!(house.offered(&device).await, [], "before the sweep too");
    house.authority.sweep().await.unwrap();
    let ended = house.command(&device, id).await;
    assert_eq!((ended.state, ended.finished_at), (CommandState::Expired, Some(house.now())));
    house.report(&device, id).await.unwrap();
    assert_eq!(house.command(&device, id).await, ended, "a late result changes nothing");
    house.authority.sweep().await.unwrap();
    assert_eq!(house.count(AuditEvent::CommandExpired).await, 1);
    house.pass(DAY * 30 + SECOND);
    house.authority.sweep().await.unwrap();
    let gone = house.authority.device_command(&house.view(), device.id, id).await.unwrap_err();
    assert!(matches!(gone, LookError::Unknown), "{gone}");
}

#[tokio::test]
async fn who_did_what_is_written_down() {
    let house = House::new().await;
    let device = house.device("pump").await;
    let by = house.operate();
    let id = house.queue(&device).await.unwrap();
    house.offered(&device).await;
    house.report(&device, id).await.unwrap();
    let entries = house.audit(countersign_store::AuditFilter::default()).await;
    let of = |event| entries.iter().find(|entry| entry.event == event).unwrap();
    assert_eq!(of(AuditEvent::CommandQueued).actor, by.actor().to_string());
    let actor = Actor::Device(device.id).to_string();
    for event in [AuditEvent::CommandDelivered, AuditEvent::CommandCompleted] {
        assert_eq!(of(event).actor, actor);
        assert_eq!(of(event).details.get("command"), Some(&id.to_string()));
        assert_eq!(of(event).details.get("type").map(String::as_str), Some("ping"));
    }
}

#[tokio::test]
async fn payloads_and_results_have_their_bounds() {
    let text = |length| json!({ "a": "x".repeat(length) });
    let overhead = text(0).to_string().len();
    assert!(CommandPayload::new(text(CommandPayload::LIMIT - overhead)).is_ok());
    assert!(CommandPayload::new(text(CommandPayload::LIMIT - overhead + 1)).is_err());
    for bad in [json!([]), json!("x"), json!(1), json!(null)] {
        assert!(CommandPayload::new(bad.clone()).is_err(), "{bad}");
    }
    let nested = |levels| (1..levels).fold(json!({}), |inner, _| json!({ "a": inner }));
    assert!(CommandPayload::new(nested(64)).is_ok() && CommandPayload::new(nested(65)).is_err());
    assert!(CommandReport::new(ReportedVerdict::Completed, Some(nested(64)), None).is_ok());
    assert!(CommandReport::new(ReportedVerdict::Completed, Some(nested(65)), None).is_err());
    let limit = CommandReport::RESULT_LIMIT - overhead;
    assert!(CommandReport::new(ReportedVerdict::Completed, Some(text(limit)), None).is_ok());
    assert!(CommandReport::new(ReportedVerdict::Completed, Some(text(limit + 1)), None).is_err());
}
