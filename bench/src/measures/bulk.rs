//! Bytes through a TCP door, as many as go.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Barrier;
use tokio::task::JoinSet;

use super::crowd::count;
use crate::client::{Connection, Profile, Sessions};
use crate::fleet::Device;
use crate::process::Process;
use crate::site::Site;
use crate::upstream::SEND;
use crate::work::Work;

/// How many sessions there are.
pub(crate) const SESSIONS: usize = 4;

/// How much a client gives at a time.
const PIECE: usize = 64 * 1024;

/// Which way they go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// From the upstream to the client.
    Down,
    /// From the client to the upstream.
    Up,
}

/// Moves bytes for so long; megabytes (1,000,000), and what they took.
pub(crate) async fn measure(
    site: &Site,
    (process, address): (&Process, SocketAddr),
    devices: &[Device],
    (direction, time): (Direction, Duration),
) -> anyhow::Result<Work> {
    let ready = Arc::new(Barrier::new(SESSIONS + 1));
    let (over, moved) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let mut sessions = JoinSet::new();
    for device in devices.iter().cycle().take(SESSIONS) {
        let client = site.clients.client(Profile::LikeForLike, Some(&device.identity), Sessions::New)?;
        let client = client.offering(&[]);
        let (ready, over, moved) = (Arc::clone(&ready), Arc::clone(&over), Arc::clone(&moved));
        sessions.spawn(async move {
            let opened = open(client.connect(address).await, direction).await;
            ready.wait().await;
            let mut connection = opened?;
            let piece = vec![7; PIECE];
            while !over.load(Ordering::Relaxed) {
                let octets = match direction {
                    Direction::Down => connection.take_some().await?,
                    Direction::Up => connection.give(&piece).await?,
                };
                moved.fetch_add(octets, Ordering::Relaxed);
            }
            anyhow::Ok(())
        });
    }
    ready.wait().await;
    let (octets, cpu, wall) = count(|| process.cpu_time(), time, (&over, &moved), sessions).await?;
    let mut work = Work::default();
    work.add(octets / 1_000_000, cpu, wall);
    Ok(work)
}

/// Nobody is let in for free: before the time runs the first bytes have come, or are on their way.
async fn open(connected: anyhow::Result<Connection>, direction: Direction) -> anyhow::Result<Connection> {
    let mut connection = connected?;
    match direction {
        Direction::Down => {
            connection.give(&[SEND]).await?;
            connection.take_some().await?;
        }
        Direction::Up => {
            connection.give(&[0]).await?;
        }
    }
    Ok(connection)
}
