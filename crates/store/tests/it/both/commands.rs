//! Commands have one outcome, are offered to their device alone and in order, and a device's row says
//! whether it has any.

use std::time::Duration;

use countersign_core::agent_settings::{AgentSettings, Interval};
use countersign_core::command::{CommandKind, CommandState};
use countersign_core::ids::{CommandId, DeviceId, TenantId, TrustBundleHash};
use countersign_core::time::Timestamp;
use countersign_store::{AgentReport, CommandOutcome, CommandRow, TrustBundleReport};

use super::fixture::{DAY, Fixture, HOUR, now, read, write};

const SECOND: Duration = Duration::from_secs(1);

/// A command that is not on record yet.
pub(crate) fn new_command(device: DeviceId) -> CommandRow {
    CommandRow {
        id: CommandId::random(),
        device,
        job: None,
        kind: CommandKind::CollectFacts,
        payload: Some(serde_json::json!({ "what": ["ü", "\0", 1.5, null] })),
        state: CommandState::Queued,
        created_at: now(),
        expires_at: now() + DAY,
        delivered_at: None,
        finished_at: None,
        result: None,
        error: None,
    }
}

fn outcome(state: CommandState) -> CommandOutcome {
    let result = (state == CommandState::Completed).then(|| serde_json::json!([1, { "a": "\0" }]));
    let error = (state == CommandState::Failed).then(|| "no\nroom".to_owned());
    CommandOutcome { state, at: now() + HOUR, result, error }
}

impl Fixture {
    async fn command(&self, device: DeviceId, created_at: Timestamp) -> CommandRow {
        let row = CommandRow { created_at, expires_at: created_at + DAY, ..new_command(device) };
        let written = row.clone();
        write!(self.store, |w| w.insert_command(&written)).unwrap();
        row
    }

    async fn command_row(&self, id: CommandId) -> CommandRow {
        read!(self.store, |r| r.command(id)).unwrap().unwrap()
    }

    async fn commands_until(&self, device: DeviceId) -> Option<Timestamp> {
        read!(self.store, |r| r.device(device)).unwrap().unwrap().commands_until
    }
}

#[tokio::test]
async fn a_command_reads_back_through_its_life() {
    let fixture = Fixture::new().await;
    let device = fixture.device("d1").await.id;
    let row = fixture.command(device, now()).await;
    let id = row.id;
    assert_eq!(fixture.command_row(id).await, row);
    assert!(write!(fixture.store, |w| w.deliver_command(id, now() + SECOND)).unwrap());
    assert!(!write!(fixture.store, |w| w.deliver_command(id, now() + HOUR)).unwrap(), "once");
    let delivered = CommandRow { state: CommandState::Delivered, delivered_at: Some(now() + SECOND), ..row };
    assert_eq!(fixture.command_row(id).await, delivered);
    let done = outcome(CommandState::Completed);
    let (written, stranger) = (done.clone(), fixture.device("d2").await.id);
    let theirs = done.clone();
    assert!(!write!(fixture.store, |w| w.finish_command(id, stranger, &theirs)).unwrap());
    assert!(write!(fixture.store, |w| w.finish_command(id, device, &written)).unwrap());
    let completed = CommandRow {
        state: CommandState::Completed,
        finished_at: Some(done.at),
        result: done.result,
        ..delivered
    };
    assert_eq!(fixture.command_row(id).await, completed);
    for state in [CommandState::Failed, CommandState::Expired, CommandState::Completed] {
        let late = outcome(state);
        assert!(!write!(fixture.store, |w| w.finish_command(id, device, &late)).unwrap(), "{state}");
    }
    assert!(!write!(fixture.store, |w| w.deliver_command(id, now())).unwrap());
    assert_eq!(fixture.command_row(id).await, completed, "the first outcome stays");
}

#[tokio::test]
async fn open_commands_are_the_devices_own_oldest_first_until_their_end() {
    let fixture = Fixture::new().await;
    let (device, other) = (fixture.device("d1").await.id, fixture.device("d2").await.id);
    assert_eq!(fixture.commands_until(device).await, None);
    let second = fixture.command(device, now() + SECOND).await;
    let first = fixture.command(device, now()).await;
    fixture.command(other, now()).await;
    let third = fixture.command(device, now() + SECOND * 2).await;
    assert_eq!(fixture.commands_until(device).await, Some(third.expires_at));
    let open = |at, limit| {
        let store = &fixture.store;
        async move { read!(store, |r| r.open_commands(device, at, limit)).unwrap() }
    };
    assert_eq!(open(now(), 16).await, [first.clone(), second.clone(), third.clone()]);
    assert_eq!(open(now(), 2).await, [first.clone(), second.clone()]);
    assert_eq!(open(first.expires_at, 16).await, [second.clone(), third.clone()]);
    assert_eq!(read!(fixture.store, |r| r.count_open_commands(device)).unwrap(), 3);

    let ended = read!(fixture.store, |r| r.commands_past_end(second.expires_at)).unwrap();
    assert_eq!(ended.iter().filter(|row| row.device == device).count(), 2);
    for row in [first, second, third] {
        assert!(fixture.commands_until(device).await.is_some());
        let done = outcome(CommandState::Failed);
        assert!(write!(fixture.store, |w| w.finish_command(row.id, device, &done)).unwrap());
    }
    assert_eq!(fixture.commands_until(device).await, None, "with the last open one");
    assert!(fixture.commands_until(other).await.is_some());
    assert!(open(now(), 16).await.is_empty());
}

#[tokio::test]
async fn pages_are_newest_first_and_complete() {
    let fixture = Fixture::new().await;
    let (device, other) = (fixture.device("d1").await.id, fixture.device("d2").await.id);
    fixture.command(other, now()).await;
    let mut expected = Vec::new();
    for second in 0..5 {
        expected.push(fixture.command(device, now() + SECOND * (second / 2)).await.id);
    }
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = read!(fixture.store, |r| r.list_commands(device, after, 2)).unwrap();
        assert!(page.commands.len() <= 2);
        seen.extend(page.commands);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert!(seen.is_sorted_by(|one, next| (one.created_at, one.id) > (next.created_at, next.id)), "{seen:?}");
    let mut ids: Vec<CommandId> = seen.iter().map(|row| row.id).collect();
    ids.sort();
    expected.sort();
    assert_eq!(ids, expected);
}

#[tokio::test]
async fn who_has_new_commands_is_known_until_they_are_delivered() {
    let fixture = Fixture::new().await;
    let (device, other) = (fixture.device("d1").await.id, fixture.device("d2").await.id);
    let row = fixture.command(device, now() + SECOND).await;
    fixture.command(device, now() + SECOND).await;
    fixture.command(other, now()).await;
    let since = |at| {
        let store = &fixture.store;
        async move { read!(store, |r| r.devices_with_commands_since(at)).unwrap() }
    };
    assert_eq!(since(now() - SECOND).await, [device, other]);
    assert_eq!(since(now()).await, [device]);
    let id = row.id;
    write!(fixture.store, |w| w.deliver_command(id, now())).unwrap();
    assert_eq!(since(now()).await, [device], "there is another one");
}

#[tokio::test]
async fn what_is_over_is_forgotten_and_nothing_else() {
    let fixture = Fixture::new().await;
    let device = fixture.device("d1").await.id;
    let (open, done) = (fixture.command(device, now()).await.id, fixture.command(device, now()).await.id);
    let result = outcome(CommandState::Expired);
    let at = result.at;
    write!(fixture.store, |w| w.finish_command(done, device, &result)).unwrap();
    assert_eq!(write!(fixture.store, |w| w.prune_commands(at)).unwrap(), 0);
    assert_eq!(write!(fixture.store, |w| w.prune_commands(at + SECOND)).unwrap(), 1);
    assert_eq!(read!(fixture.store, |r| r.command(done)).unwrap(), None);
    assert!(read!(fixture.store, |r| r.command(open)).unwrap().is_some());
}

#[tokio::test]
async fn what_an_agent_says_of_itself_reads_back() {
    let fixture = Fixture::new().await;
    let device = fixture.device("d1").await;
    let (id, revision) = (device.id, device.revision);
    assert_eq!(device.reported, AgentReport::default());
    let bundle = TrustBundleReport { sha256: TrustBundleHash::of("pem"), at: now() };
    for report in [
        AgentReport { config_version: Some(3), trust_bundle: Some(bundle) },
        AgentReport { config_version: None, trust_bundle: Some(bundle) },
        AgentReport::default(),
    ] {
        assert!(write!(fixture.store, |w| w.record_report(id, &report)).unwrap());
        let row = read!(fixture.store, |r| r.device(id)).unwrap().unwrap();
        assert_eq!((row.reported, row.revision), (report, revision));
    }
    let unknown = DeviceId::random();
    assert!(!write!(fixture.store, |w| w.record_report(unknown, &AgentReport::default())).unwrap());
}

#[tokio::test]
async fn a_tenants_agent_settings_read_back() {
    let fixture = Fixture::new().await;
    let id = fixture.tenant.id;
    assert_eq!(fixture.tenant.agent_settings, AgentSettings::default());
    let changed = AgentSettings {
        heartbeat_interval: Interval::heartbeat(3600).unwrap(),
        metrics_interval: Interval::metrics(5).unwrap(),
        version: 9,
    };
    assert!(write!(fixture.store, |w| w.update_agent_settings(id, &changed)).unwrap());
    let row = read!(fixture.store, |r| r.tenant_by_id(id)).unwrap().unwrap();
    assert_eq!((row.agent_settings, row.settings), (changed, fixture.tenant.settings));
    let unknown = TenantId::random();
    assert!(!write!(fixture.store, |w| w.update_agent_settings(unknown, &changed)).unwrap());
}
