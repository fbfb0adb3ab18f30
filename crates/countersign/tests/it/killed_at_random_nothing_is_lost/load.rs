//! What goes on meanwhile: devices enrol at every door, others send telemetry, admins deny, and who was denied
//! tries to come in. Whoever meets a process that is away tries again.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use countersign_core::ids::DeviceId;
use countersign_testkit::{DoorClient, KeyKind, TestKey};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use super::House;
use crate::harness::{Admin, Device, MqttDevice, eventually};

/// Between two acts of the same kind.
const PACE: Duration = Duration::from_millis(400);
/// What a client of MQTT may take.
const SECONDS: &str = "20";

/// What was acknowledged.
#[derive(Default)]
pub(super) struct Held {
    /// Devices that have enrolled.
    pub(super) enrolled: Vec<DeviceId>,
    /// Serial numbers that were handed out.
    pub(super) serials: Vec<String>,
    /// Numbers of messages that were taken.
    pub(super) messages: Vec<u64>,
    /// Devices that were denied, with the doors that were said to know.
    pub(super) denied: Vec<(Device, Vec<SocketAddr>)>,
    /// What must not be.
    pub(super) violations: Vec<String>,
}

impl Held {
    /// A device has enrolled. Where no certificate could be issued in that moment, its agent asks for one later.
    fn takes(&mut self, device: &Device) {
        self.enrolled.push(device.id);
        self.serials.extend(device.mtls.iter().map(|issued| issued.serial_number.to_string()));
    }
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (serials, messages) = (self.serials.len(), self.messages.len());
        write!(f, "{serials} certificates, {messages} messages, {} devices denied", self.denied.len())
    }
}

/// The load.
pub(super) struct Load {
    held: Arc<Mutex<Held>>,
    tasks: JoinSet<()>,
}

impl Load {
    pub(super) async fn start(house: &House, sensors: &[Device; 2]) -> Self {
        let held = Arc::<Mutex<Held>>::default();
        let [first, second] = &house.authorities;
        let wish = json!({ "maxUses": 1_000_000, "expiresInMinutes": 10_000 });
        let key = first.admin().enrollment_key(wish).await.key;
        let mut tasks = JoinSet::new();
        for door in [first.own_door(), second.own_door(), house.edge.door()] {
            tasks.spawn(enrol(first.client(), door, key.clone(), Arc::clone(&held)));
        }
        for (number, authority) in (0..).zip([first, second]) {
            let denier = Denier {
                admin: authority.admin(),
                client: first.client(),
                doors: vec![authority.own_door(), house.edge.door()],
                enrolment_key: key.clone(),
                number,
            };
            tasks.spawn(denier.deny_without_end(Arc::clone(&held)));
        }
        let at_edge = (house.edge.folder().join("ports.json"), MqttDevice::of(first, &sensors[1]).await);
        let at_first = (first.folder().join("ports.json"), MqttDevice::of(first, &sensors[0]).await);
        let site = serde_json::to_value(first.admin().device(sensors[0].id).await).unwrap()["site"].take();
        for (number, (ports, sensor)) in (0..).zip([at_first, at_edge]) {
            tasks.spawn(publish(sensor, ports, site.clone(), number, Arc::clone(&held)));
        }
        tasks.spawn(come_back(first.client(), Arc::clone(&held)));
        Self { held, tasks }
    }

    /// Nothing has happened that must not.
    #[track_caller]
    pub(super) fn check(&self) {
        let violations = &self.held.lock().unwrap().violations;
        assert!(violations.is_empty(), "{violations:?}");
    }

    /// Each kind of act is acknowledged once more.
    pub(super) async fn goes_on(&self) {
        let counts = || {
            let held = self.held.lock().unwrap();
            [held.serials.len(), held.messages.len(), held.denied.len()]
        };
        let before = counts();
        eventually(super::PATIENCE, "every kind of act is acknowledged again", async || {
            counts().iter().zip(before).all(|(now, then)| *now > then + 1).then_some(())
        })
        .await;
    }

    /// Ends it, and gives what was acknowledged.
    pub(super) async fn stop(mut self) -> Held {
        self.tasks.abort_all();
        while let Some(ended) = self.tasks.join_next().await {
            assert!(ended.unwrap_err().is_cancelled(), "a part of the load broke down");
        }
        self.check();
        std::mem::take(&mut *self.held.lock().unwrap())
    }
}

/// What comes of a request; that nothing does must not be.
async fn in_time<T>(what: &str, held: &Mutex<Held>, request: impl Future<Output = T>) -> Option<T> {
    let answer = tokio::time::timeout(super::PATIENCE, request).await.ok();
    if answer.is_none() {
        held.lock().unwrap().violations.push(format!("{what} was not answered in {:?}", super::PATIENCE));
    }
    answer
}

/// The next moment to act.
fn pace() -> tokio::time::Interval {
    let mut ticks = tokio::time::interval(PACE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

async fn enrol(client: DoorClient, door: SocketAddr, enrolment_key: String, held: Arc<Mutex<Held>>) {
    let mut ticks = pace();
    loop {
        ticks.tick().await;
        let key = TestKey::generate(KeyKind::P256);
        let enrolled = Device::try_enrol(&client, door, &enrolment_key, "ws", key);
        if let Some(Ok(device)) = in_time("an enrolment", &held, enrolled).await {
            held.lock().unwrap().takes(&device);
        }
    }
}

/// Sends numbered messages, each until it is taken: a client of MQTT ends well once it was told so.
async fn publish(mut sensor: MqttDevice, ports: PathBuf, site: Value, first: u64, held: Arc<Mutex<Held>>) {
    let mut ticks = pace();
    let mut number = first;
    loop {
        ticks.tick().await;
        let Some(()) = sensor.where_listens(&ports) else { continue };
        let saying = sensor.saying("telemetry", &json!({ "site_id": site, "metrics": { "n": number } }));
        let mut command = Command::new("timeout");
        command.arg(SECONDS).arg(saying.get_program()).args(saying.get_args());
        command.current_dir(saying.get_current_dir().unwrap());
        let said = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        if said.status.success() {
            held.lock().unwrap().messages.push(number);
            number += 2;
        }
    }
}

/// An admin at one authority.
struct Denier {
    admin: Admin,
    client: DoorClient,
    /// The authority's own and the edge's.
    doors: Vec<SocketAddr>,
    enrolment_key: String,
    number: u32,
}

impl Denier {
    /// Enrols devices and denies them. Those doors that it is told know of it must refuse them from then on.
    async fn deny_without_end(self, held: Arc<Mutex<Held>>) {
        let mut ticks = pace();
        // Another name each time: one that was denied waits for approval.
        for round in 0_u64.. {
            ticks.tick().await;
            let (name, key) = (format!("victim-{}-{round}", self.number), TestKey::generate(KeyKind::P256));
            let enrolled = Device::try_enrol(&self.client, self.doors[0], &self.enrolment_key, &name, key);
            let Some(Ok(device)) = in_time("an enrolment", &held, enrolled).await else { continue };
            held.lock().unwrap().takes(&device);
            if device.mtls.is_none() {
                continue;
            }
            ticks.tick().await;
            let path = format!("/agents/{}/deny", device.id);
            let wish = json!({});
            let denied = in_time("a decision", &held, self.admin.try_post(&path, &wish)).await;
            let Some(Ok(answer)) = denied else { continue };
            // The authority's own doors, and those of the edge while that is attached to this authority.
            let applied = answer.json()["appliedEdges"].take();
            let doors = match (applied["applied"].as_u64(), applied["total"].as_u64()) {
                (Some(1), Some(1)) => &self.doors[..1],
                (Some(2), Some(2)) => &self.doors[..],
                _ => continue,
            };
            held.lock().unwrap().denied.push((device, doors.to_vec()));
        }
    }
}

/// Those who were denied try to come in, one after the other, at each door that refuses them.
async fn come_back(client: DoorClient, held: Arc<Mutex<Held>>) {
    let mut ticks = tokio::time::interval(PACE / 4);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut turn = 0;
    loop {
        ticks.tick().await;
        let next = {
            let held = held.lock().unwrap();
            // The last ones more often than the first.
            let place = held.denied.len().checked_sub(1).map(|last| last - turn % held.denied.len().min(20));
            place.map(|place| held.denied[place].clone())
        };
        turn += 1;
        let Some((device, doors)) = next else { continue };
        for door in doors {
            if let Some(200) = comes_in(&client, &device, door).await {
                let violation = format!("{} was denied and came in at {door}", device.name);
                held.lock().unwrap().violations.push(violation);
            }
        }
    }
}

/// The status that a device is answered by an upstream behind a door, if the door is there.
pub(super) async fn comes_in(client: &DoorClient, device: &Device, door: SocketAddr) -> Option<u16> {
    let mut connection = client.clone().showing(&device.identity_pem()).connect(door).await.ok()?;
    let answer = connection.request("GET", "/required/x", &[], "").await.ok()?;
    Some(answer.status)
}
