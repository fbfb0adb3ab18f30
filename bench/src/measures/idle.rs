//! What a connection costs that is open and silent.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::task::JoinSet;

use super::requests::ask;
use crate::client::{Connection, Profile, Sessions};
use crate::fleet::Device;
use crate::process::Process;
use crate::site::Site;

/// How many are opened at once.
const AT_ONCE: usize = 64;
/// How long after the last answer memory is looked at.
const SETTLE: Duration = Duration::from_secs(2);

/// Opens a connection for each device and lets it ask once.
pub(crate) async fn open(
    site: &Site,
    profile: Profile,
    address: SocketAddr,
    devices: &[Device],
) -> anyhow::Result<Vec<Connection>> {
    let mut connections = Vec::with_capacity(devices.len());
    for group in devices.chunks(AT_ONCE) {
        let mut opening = JoinSet::new();
        for (number, device) in group.iter().enumerate() {
            let client = site.clients.client(profile, Some(&device.identity), Sessions::New)?;
            opening.spawn(async move {
                let mut connection = client.connect(address).await?;
                ask(&mut connection).await?;
                anyhow::Ok((number, connection))
            });
        }
        let mut opened = Vec::with_capacity(group.len());
        while let Some(connection) = opening.join_next().await {
            opened.push(connection.context("open a connection")??);
        }
        opened.sort_by_key(|(number, _)| *number);
        connections.extend(opened.into_iter().map(|(_, connection)| connection));
    }
    Ok(connections)
}

/// Bytes of the server's memory for each connection, of a server that has done next to nothing before.
pub(crate) async fn measure(
    site: &Site,
    profile: Profile,
    (process, address): (&Process, SocketAddr),
    devices: &[Device],
) -> anyhow::Result<f64> {
    let (first, rest) = devices.split_at(AT_ONCE.min(devices.len()));
    let warm = open(site, profile, address, first).await?;
    settle().await;
    let before = process.memory();
    let connections = open(site, profile, address, rest).await?;
    settle().await;
    let bytes = process.memory().saturating_sub(before);
    drop((warm, connections));
    Ok(bytes as f64 / rest.len() as f64)
}

/// Lets memory come to rest.
pub(super) async fn settle() {
    tokio::time::sleep_until((Instant::now() + SETTLE).into()).await;
}
