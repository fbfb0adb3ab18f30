//! Proves that two authorities under load whose PostgreSQL dies go on by themselves on its standby, behind the same
//! address, and that everything they have answered is there.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use countersign_testkit::{DoorClient, KeyKind, PostgresMachine, TestKey};
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use crate::harness::{
    Cable, Channel, Device, Installation, Time, assert_sound, done, eventually, settle, until,
};

const PATIENCE: Duration = Duration::from_secs(120);
/// Between two enrolments of a client.
const PACE: Duration = Duration::from_millis(150);
/// How many enrolments each authority answers before, and how many afterwards.
const SOME: usize = 8;

/// The serial numbers that an authority has handed out.
type Answered = Arc<Mutex<Vec<String>>>;

/// Enrols devices at a door, over and over, whatever becomes of each.
async fn enrol_without_end(client: DoorClient, door: SocketAddr, enrolment_key: String, answered: Answered) {
    let mut ticks = tokio::time::interval(PACE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let key = TestKey::generate(KeyKind::P256);
        match Device::try_enrol(&client, door, &enrolment_key, "ws", key).await {
            Ok(device) => answered.lock().unwrap().extend(
                // In the moment of the failover perhaps none: its agent asks for one later.
                device.mtls.map(|issued| issued.serial_number.to_string()),
            ),
            Err(Some(answer)) => assert_eq!(answer.code(), "NOT_READY", "{}", answer.text()),
            Err(None) => {}
        }
    }
}

/// Waits until so many more were answered.
async fn more(answered: &Answered) {
    let goal = answered.lock().unwrap().len() + SOME;
    eventually(PATIENCE, "enrolments are answered", async || {
        (answered.lock().unwrap().len() >= goal).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn enrolled_under_load_they_are_on_record_at_the_standby() {
    let mut primary = PostgresMachine::start();
    let standby = primary.standby();
    let address = Cable::to(primary.address()).await;
    let url = PostgresMachine::url_by_way_of(address.address());
    let first = Installation::at(url, "", Time::Fake).await;
    let second = first.beside().await;
    let key = first.admin().enrollment_key(json!({ "maxUses": 1000 })).await.key;
    let mut load = JoinSet::new();
    let answered = [&first, &second].map(|authority| {
        let answered = Answered::default();
        let (client, door) = (authority.client(), authority.door());
        load.spawn(enrol_without_end(client, door, key.clone(), Arc::clone(&answered)));
        answered
    });
    for answered in &answered {
        more(answered).await;
    }

    primary.kill();
    standby.promote();
    address.lead_to(standby.address());
    for answered in &answered {
        more(answered).await;
    }
    load.abort_all();
    while let Some(ended) = load.join_next().await {
        assert!(ended.unwrap_err().is_cancelled(), "each enrolment was answered as it may be");
    }

    let held: BTreeSet<String> = answered.iter().flat_map(|some| some.lock().unwrap().clone()).collect();
    let devices = second.admin().devices().await.into_iter().filter_map(|device| device.certificate);
    let known: BTreeSet<String> = devices.map(|certificate| certificate.serial_number.to_string()).collect();
    assert!(held.is_subset(&known), "handed out and not on record: {held:?}, {known:?}");
    what_one_decides_cuts_at_the_other(&first, &second).await;
    settle(&first).await;
    assert_sound(&first).await;
}

async fn what_one_decides_cuts_at_the_other(first: &Installation, second: &Installation) {
    for (decides, serves, name) in [(first, second, "pump"), (second, first, "valve")] {
        let device = Device::enrol(decides, name).await;
        until("the other's door knows it", async || {
            device.heartbeat(&mut device.connect(serves).await).await.status == 200
        })
        .await;
        let mut channel = Channel::open(&device, serves).await;
        let began = Instant::now();
        done(&decides.admin().deny(device.id).await);
        channel.closed().await;
        assert!(began.elapsed() < Duration::from_secs(5), "{name}: {:?}", began.elapsed());
    }
}
