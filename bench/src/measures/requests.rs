//! Small requests over connections that stay open, to the upstream and back.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::ensure;
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use super::crowd::finish;
use crate::client::{Connection, Profile, Sessions};
use crate::fleet::Device;
use crate::process::Process;
use crate::site::Site;
use crate::work::Work;

/// How many connections there are.
pub(crate) const CONNECTIONS: usize = 50;

/// What a client of an API sends.
pub(crate) const REQUEST: &[u8] =
    b"GET /app/items?page=2 HTTP/1.1\r\nhost: localhost\r\nuser-agent: bench/1.0\r\n\
    accept: application/json\r\naccept-encoding: gzip\r\n\r\n";

/// One request, which must be answered 200.
pub(crate) async fn ask(connection: &mut Connection) -> anyhow::Result<()> {
    let answer = connection.exchange(REQUEST).await?;
    ensure!(answer.status == 200, "{} {}", answer.status, String::from_utf8_lossy(&answer.body));
    Ok(())
}

/// Sends requests for so long; what they took, and each one's time.
pub(crate) async fn measure(
    site: &Site,
    profile: Profile,
    (process, address): (&Process, SocketAddr),
    devices: &[Device],
    time: Duration,
) -> anyhow::Result<(Work, Vec<Duration>)> {
    let ready = Arc::new(Barrier::new(CONNECTIONS + 1));
    let over = Arc::new(AtomicBool::new(false));
    let mut workers = JoinSet::new();
    for device in devices.iter().cycle().take(CONNECTIONS) {
        let client = site.clients.client(profile, Some(&device.identity), Sessions::New)?;
        let (ready, over) = (Arc::clone(&ready), Arc::clone(&over));
        workers.spawn(async move {
            let opened = async {
                let mut connection = client.connect(address).await?;
                // The first goes another way than the rest: a connection to the upstream is made.
                ask(&mut connection).await?;
                anyhow::Ok(connection)
            };
            let opened = opened.await;
            ready.wait().await;
            let mut connection = opened?;
            let mut times = Vec::new();
            while !over.load(Ordering::Relaxed) {
                let began = Instant::now();
                match ask(&mut connection).await {
                    Ok(()) => times.push(began.elapsed()),
                    // Some servers end a connection after so many requests.
                    Err(_ended) if !times.is_empty() => connection = client.connect(address).await?,
                    Err(error) => return Err(error),
                }
            }
            anyhow::Ok(times)
        });
    }
    finish(process, time, (&ready, &over), workers).await
}
