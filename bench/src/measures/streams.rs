//! The same small requests over HTTP/2: few connections, several requests under way on each.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use h2::client::SendRequest;
use http::Request;
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use super::crowd::finish;
use crate::client::{Profile, Sessions};
use crate::fleet::Device;
use crate::process::Process;
use crate::site::Site;
use crate::work::Work;

/// How many connections there are.
pub(crate) const CONNECTIONS: usize = 10;
/// How many requests are under way on each.
pub(crate) const STREAMS: usize = 5;

type Sender = SendRequest<std::io::Cursor<Vec<u8>>>;

/// Sends requests for so long; what they took, and each one's time.
pub(crate) async fn measure(
    site: &Site,
    profile: Profile,
    (process, address): (&Process, SocketAddr),
    devices: &[Device],
    time: Duration,
) -> anyhow::Result<(Work, Vec<Duration>)> {
    let ready = Arc::new(Barrier::new(CONNECTIONS * STREAMS + 1));
    let over = Arc::new(AtomicBool::new(false));
    let (mut drivers, mut workers) = (JoinSet::new(), JoinSet::new());
    for device in devices.iter().cycle().take(CONNECTIONS) {
        let client = site.clients.client(profile, Some(&device.identity), Sessions::New)?;
        let stream = client.offering(&[b"h2"]).connect(address).await?.into_stream();
        let (sender, connection) =
            h2::client::Builder::new().handshake(stream).await.context("begin HTTP/2")?;
        drivers.spawn(connection);
        for _stream in 0..STREAMS {
            let (mut sender, ready, over) = (sender.clone(), Arc::clone(&ready), Arc::clone(&over));
            workers.spawn(async move {
                // The first goes another way than the rest: a connection to the upstream is made.
                let first = ask(&mut sender).await;
                ready.wait().await;
                first?;
                let mut times = Vec::new();
                while !over.load(Ordering::Relaxed) {
                    let began = Instant::now();
                    ask(&mut sender).await?;
                    times.push(began.elapsed());
                }
                anyhow::Ok(times)
            });
        }
    }
    finish(process, time, (&ready, &over), workers).await
}

/// One request, which must be answered 200.
async fn ask(sender: &mut Sender) -> anyhow::Result<()> {
    let request = Request::get("https://localhost/app/items?page=2")
        .header("user-agent", "bench/1.0")
        .header("accept", "application/json")
        .header("accept-encoding", "gzip")
        .body(())
        .context("write a request")?;
    let mut free = sender.clone().ready().await.context("wait for a stream")?;
    let (answer, _nothing) = free.send_request(request, true).context("send a request")?;
    let answer = answer.await.context("wait for an answer")?;
    ensure!(answer.status() == 200, "{}", answer.status());
    let mut body = answer.into_body();
    while let Some(piece) = body.data().await {
        let length = piece.context("read an answer")?.len();
        body.flow_control().release_capacity(length).context("read an answer")?;
    }
    Ok(())
}
