//! Messages of devices on their way to a broker.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::sync::Barrier;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval_at};

use super::crowd::{count, finish};
use super::sessions::{Qos, Session, messages};
use crate::client::{Profile, Sessions};
use crate::fleet::Device;
use crate::process::Process;
use crate::site::Site;
use crate::work::Work;

/// How many messages a device sends before it waits for their arrival: fewer than a broker lets it have under
/// way.
const BATCH: usize = 16;
/// How many sessions are opened at once.
const AT_ONCE: usize = 64;
/// How many sessions there are where the time of a message counts, and how many messages they send each second
/// together.
const TIMED: u32 = 50;
pub(crate) const PACE: u32 = 1000;

/// A way to a broker: where it begins, and the processes that messages go through, the broker's own last.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Way<'a> {
    pub(crate) address: SocketAddr,
    pub(crate) front: Option<&'a Process>,
    pub(crate) broker: &'a Process,
}

impl Way<'_> {
    /// The processor time of all of them.
    fn cpu_time(&self) -> Duration {
        self.front.map(Process::cpu_time).unwrap_or_default() + self.broker.cpu_time()
    }

    /// What devices are connected to.
    fn first(&self) -> &Process {
        self.front.unwrap_or(self.broker)
    }
}

/// What is sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) qos: Qos,
    /// Bytes of a payload.
    pub(crate) payload: usize,
    /// How many devices send.
    pub(crate) publishers: usize,
}

/// Opens a session for each device.
pub(crate) async fn open(
    site: &Site,
    address: SocketAddr,
    devices: &[Device],
) -> anyhow::Result<Vec<Session>> {
    let mut sessions = Vec::with_capacity(devices.len());
    for group in devices.chunks(AT_ONCE) {
        let mut opening = JoinSet::new();
        for (number, device) in group.iter().enumerate() {
            let client = site.clients.client(Profile::LikeForLike, Some(&device.identity), Sessions::New)?;
            let id = Arc::clone(&device.name);
            opening.spawn(async move { anyhow::Ok((number, Session::open(&client, address, &id).await?)) });
        }
        let mut opened = Vec::with_capacity(group.len());
        while let Some(session) = opening.join_next().await {
            opened.push(session.context("open a session")??);
        }
        opened.sort_by_key(|(number, _)| *number);
        sessions.extend(opened.into_iter().map(|(_, session)| session));
    }
    Ok(sessions)
}

/// Sends as many messages as go for so long; what they took.
pub(crate) async fn measure(
    site: &Site,
    way: Way<'_>,
    devices: &[Device],
    (load, time): (Load, Duration),
) -> anyhow::Result<Work> {
    let devices = devices.get(..load.publishers).unwrap_or(devices);
    let opened = open(site, way.address, devices).await?;
    let over = Arc::new(AtomicBool::new(false));
    let sent = Arc::new(AtomicUsize::new(0));
    let mut publishers = JoinSet::new();
    for (device, mut session) in devices.iter().zip(opened) {
        let batch = messages(device, (load.qos, BATCH), load.payload);
        let (over, sent) = (Arc::clone(&over), Arc::clone(&sent));
        publishers.spawn(async move {
            while !over.load(Ordering::Relaxed) {
                session.publish(load.qos, &batch).await?;
                sent.fetch_add(BATCH, Ordering::Relaxed);
            }
            session.close().await
        });
    }
    work_of(way, time, (&over, &sent), publishers).await
}

/// How long messages of QoS 1 take from PUBLISH to PUBACK while there are a thousand each second.
pub(crate) async fn times(
    site: &Site,
    way: Way<'_>,
    devices: &[Device],
    time: Duration,
) -> anyhow::Result<Vec<Duration>> {
    let devices = devices.get(..TIMED as usize).unwrap_or(devices);
    let opened = open(site, way.address, devices).await?;
    let ready = Arc::new(Barrier::new(opened.len() + 1));
    let over = Arc::new(AtomicBool::new(false));
    let mut publishers = JoinSet::new();
    let (start, pause) = (Instant::now(), Duration::from_secs(1) * TIMED / PACE);
    for (number, (device, mut session)) in (0u32..).zip(devices.iter().zip(opened)) {
        let message = messages(device, (Qos::AtLeastOnce, 1), 64);
        let (ready, over) = (Arc::clone(&ready), Arc::clone(&over));
        publishers.spawn(async move {
            ready.wait().await;
            // One after the other, not all of them in the same moment.
            let mut ticks = interval_at((start + pause * number / TIMED).into(), pause);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
            let mut times = Vec::new();
            while !over.load(Ordering::Relaxed) {
                ticks.tick().await;
                let began = Instant::now();
                session.publish(Qos::AtLeastOnce, &message).await?;
                times.push(began.elapsed());
            }
            session.close().await?;
            anyhow::Ok(times)
        });
    }
    Ok(finish(way.first(), time, (&ready, &over), publishers).await?.1)
}

/// Connects as a device does that begins, and leaves again, for so long: a full handshake, CONNECT, DISCONNECT.
pub(crate) async fn arrivals(
    site: &Site,
    way: Way<'_>,
    devices: &[Device],
    time: Duration,
) -> anyhow::Result<Work> {
    let over = Arc::new(AtomicBool::new(false));
    let done = Arc::new(AtomicUsize::new(0));
    let mut workers = JoinSet::new();
    for device in devices.iter().take(AT_ONCE / 4) {
        let client = site.clients.client(Profile::LikeForLike, Some(&device.identity), Sessions::New)?;
        let (over, done, id) = (Arc::clone(&over), Arc::clone(&done), Arc::clone(&device.name));
        Session::open(&client, way.address, &id).await?.close().await?;
        let address = way.address;
        workers.spawn(async move {
            while !over.load(Ordering::Relaxed) {
                Session::open(&client, address, &id).await?.close().await?;
                done.fetch_add(1, Ordering::Relaxed);
            }
            anyhow::Ok(())
        });
    }
    work_of(way, time, (&over, &done), workers).await
}

async fn work_of(
    way: Way<'_>,
    time: Duration,
    state: (&AtomicBool, &AtomicUsize),
    workers: JoinSet<anyhow::Result<()>>,
) -> anyhow::Result<Work> {
    let (count, cpu, wall) = count(|| way.cpu_time(), time, state, workers).await?;
    let mut work = Work::default();
    work.add(count, cpu, wall);
    Ok(work)
}

/// Bytes of memory for each silent session of what devices are connected to.
pub(crate) async fn memory(site: &Site, way: Way<'_>, devices: &[Device]) -> anyhow::Result<f64> {
    let (first, rest) = devices.split_at(AT_ONCE.min(devices.len()));
    let warm = open(site, way.address, first).await?;
    super::idle::settle().await;
    let before = way.first().memory();
    let sessions = open(site, way.address, rest).await?;
    super::idle::settle().await;
    let bytes = way.first().memory().saturating_sub(before);
    drop((warm, sessions));
    Ok(bytes as f64 / rest.len() as f64)
}
