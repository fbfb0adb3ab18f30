//! Heartbeats say when to renew and move a device between offline and online, and nowhere else.

use std::collections::BTreeSet;

use countersign_authority::IssuerMode;
use countersign_authority::presence::{HeartbeatError, Renewal};
use countersign_core::device::DeviceStatus;

use super::house::{DAY, Device, House, SECOND, address};

impl House {
    async fn due(&self, device: &Device) -> Renewal {
        let caller = self.caller(device).await;
        self.authority.heartbeat(&caller, None, address()).await.unwrap().renewal
    }
}

#[tokio::test]
async fn renewal_is_due_from_two_thirds_of_life_on() {
    let house = House::new().await;
    let device = house.device("pump").await;
    house.pass(DAY * 60 - SECOND);
    assert_eq!(house.due(&device).await, Renewal::NotDue);
    house.pass(SECOND);
    assert!(matches!(house.due(&device).await, Renewal::From(_) | Renewal::Due));
    house.pass(DAY * 3);
    assert_eq!(house.due(&device).await, Renewal::Due);
    let pending = house.renew(&device, &device.key).await.unwrap();
    assert_eq!(house.due(&device).await, Renewal::Due, "until it is confirmed");
    house.confirm(&device, pending.id).await.unwrap();
    assert_eq!(house.due(&device).await, Renewal::NotDue);
    house.pass(DAY * 91);
    house.authority.sweep().await.unwrap();
    assert_eq!(house.due(&device).await, Renewal::Due, "after its end too");
    let house = house.restarted(IssuerMode::None).await;
    assert_eq!(house.due(&device).await, Renewal::NotDue, "nobody would sign");
}

#[tokio::test]
async fn devices_that_fall_due_together_have_turns_of_their_own() {
    let house = House::new().await;
    let mut devices = Vec::new();
    for number in 0..8 {
        devices.push(house.device(&format!("pump-{number}")).await);
    }
    let due = house.now() + DAY * 60;
    house.pass(DAY * 60);
    let mut turns = BTreeSet::new();
    for device in &devices {
        if let Renewal::From(turn) = house.due(device).await {
            assert!(turn > house.now() && turn <= due + DAY * 3, "{turn}");
            turns.insert(turn);
        }
    }
    assert!(turns.len() >= 4, "{turns:?}");
    house.pass(turns.first().unwrap().since(house.now()));
    let mut told_now = 0;
    for device in &devices {
        told_now += u32::from(house.due(device).await == Renewal::Due);
    }
    assert!((1..=5).contains(&told_now), "{told_now}");
}

#[tokio::test]
async fn it_brings_a_device_online_and_is_written_down() {
    let house = House::new().await;
    let device = house.device("pump").await;
    let caller = house.caller(&device).await;
    house.authority.heartbeat(&caller, Some("9.9.9".into()), address()).await.unwrap();
    let row = house.row(device.id).await;
    assert_eq!(
        (row.status, row.last_seen_at),
        (DeviceStatus::Online, Some(house.now())),
        "before the answer"
    );
    assert_eq!((row.agent_version.as_str(), row.last_ip), ("9.9.9", Some(address().to_string())));
}

#[tokio::test]
async fn a_quarantined_device_stays_quarantined_even_if_it_was_not_known_to_be() {
    let house = House::new().await;
    let device = house.device("pump").await;
    let early = house.caller(&device).await;
    house.authority.quarantine_device(&house.operate(), device.id, "x".parse().unwrap()).await.unwrap();
    house.authority.heartbeat(&early, None, address()).await.unwrap();
    let row = house.row(device.id).await;
    assert_eq!((row.status, row.last_seen_at), (DeviceStatus::Quarantined, None));
    let caller = house.caller(&device).await;
    let refusal = house.authority.heartbeat(&caller, None, address()).await.unwrap_err();
    assert!(matches!(refusal, HeartbeatError::Quarantined), "{refusal}");
}

#[tokio::test]
async fn more_than_120_a_minute_are_too_many() {
    let house = House::new().await;
    let (device, other) = (house.device("pump").await, house.device("other").await);
    let caller = house.caller(&device).await;
    for _ in 0..120 {
        house.authority.heartbeat(&caller, None, address()).await.unwrap();
    }
    let refusal = house.authority.heartbeat(&caller, None, address()).await.unwrap_err();
    assert!(matches!(refusal, HeartbeatError::TooMany(_)), "{refusal}");
    house.heartbeat(&other).await;
}
