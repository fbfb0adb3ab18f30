//! Heartbeats in one statement: they bring devices online and nothing else.

use std::time::Duration;

use countersign_core::device::{DeviceEvent, DeviceStatus};
use countersign_core::ids::DeviceId;
use countersign_core::time::Timestamp;
use countersign_store::Presence;

use super::fixture::{Fixture, HOUR, now, read, write};

fn heard(device: DeviceId, at: Timestamp) -> Presence {
    Presence {
        device,
        at,
        ip: Some("2001:db8::1".parse().unwrap()),
        agent_version: Some("9'; DROP TABLE devices; --".into()),
    }
}

#[tokio::test]
async fn a_heartbeat_does_what_the_state_machine_says() {
    let fixture = Fixture::new().await;
    for status in DeviceStatus::ALL {
        let mut device = fixture.new_device(status.as_str());
        device.status = status;
        let id = device.id;
        write!(fixture.store, |w| w.insert_device(&device)).unwrap();
        let changed = write!(fixture.store, |w| w.record_presence(&[heard(id, now())])).unwrap();
        let after = read!(fixture.store, |r| r.device(id)).unwrap().unwrap();
        assert_eq!(after.status, status.apply(DeviceEvent::Seen).unwrap_or(status), "{status}");
        assert_eq!(after.last_seen_at.is_none(), status.is_barred(), "{status}");
        assert_eq!(changed, u64::from(!status.is_barred()), "{status}");
        assert_eq!(after.revision, u64::from(after.status != status), "{status}");
    }
}

#[tokio::test]
async fn of_several_heartbeats_the_latest_counts() {
    let fixture = Fixture::new().await;
    let (one, two) = (fixture.device("d1").await.id, fixture.device("d2").await.id);
    let later = now() + Duration::from_secs(60);
    let quiet = Presence { ip: None, agent_version: None, ..heard(one, later) };
    let unknown = heard(DeviceId::random(), now());
    let batch = [quiet, heard(one, now()), heard(two, now()), unknown];
    assert_eq!(write!(fixture.store, |w| w.record_presence(&batch)).unwrap(), 2);
    let first = read!(fixture.store, |r| r.device(one)).unwrap().unwrap();
    assert_eq!((first.last_seen_at, first.last_ip.as_deref()), (Some(later), None));
    assert_eq!(first.agent_version, "0.1.0", "what a heartbeat does not say stays");
    let second = read!(fixture.store, |r| r.device(two)).unwrap().unwrap();
    assert_eq!(second.last_ip.as_deref(), Some("2001:db8::1"));
    assert_eq!(second.agent_version, "9'; DROP TABLE devices; --");

    let belated = [heard(one, now())];
    assert_eq!(write!(fixture.store, |w| w.record_presence(&belated)).unwrap(), 0);
    assert_eq!(write!(fixture.store, |w| w.record_presence(&[])).unwrap(), 0);
}

#[tokio::test]
async fn a_decision_read_before_a_first_heartbeat_is_refused() {
    let fixture = Fixture::new().await;
    let mut device = fixture.device("d1").await;
    let id = device.id;
    write!(fixture.store, |w| w.record_presence(&[heard(id, now())])).unwrap();
    device.hostname = "stale".into();
    assert!(!write!(fixture.store, |w| w.update_device(&device)).unwrap());
}

#[tokio::test]
async fn silent_devices_are_the_online_ones_not_heard_of_since() {
    let fixture = Fixture::new().await;
    let (silent, talking) = (fixture.device("silent").await.id, fixture.device("talking").await.id);
    fixture.device("never-seen").await;
    let batch = [heard(silent, now()), heard(talking, now() + HOUR)];
    write!(fixture.store, |w| w.record_presence(&batch)).unwrap();
    let found = read!(fixture.store, |r| r.devices_silent_since(now() + HOUR)).unwrap();
    assert_eq!(found, [silent]);
}

/// Whoever looks for silent devices notes first who was heard of: what is found by is moved on, and only then.
#[tokio::test]
async fn a_device_that_goes_on_is_noted_and_found_once_it_falls_silent() {
    let fixture = Fixture::new().await;
    let (going, gone) = (fixture.device("going").await.id, fixture.device("gone").await.id);
    write!(fixture.store, |w| w.record_presence(&[heard(going, now()), heard(gone, now())])).unwrap();
    let later = now() + 3 * HOUR;
    write!(fixture.store, |w| w.record_presence(&[heard(going, later)])).unwrap();
    for _again in 0..2 {
        assert!(!write!(fixture.store, |w| w.note_heard_since(now() + HOUR)).unwrap(), "that was all");
        assert_eq!(read!(fixture.store, |r| r.devices_silent_since(now() + HOUR)).unwrap(), [gone]);
    }
    let found = read!(fixture.store, |r| r.devices_silent_since(later + HOUR)).unwrap();
    assert_eq!(found, [gone, going], "the longest silent first");
}
