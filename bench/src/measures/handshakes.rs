//! TLS 1.3 handshakes with a client certificate, one connection each.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use rustls::HandshakeKind;
use tokio::task::JoinSet;

use crate::client::{Client, Profile, Sessions};
use crate::fleet::Device;
use crate::process::Process;
use crate::site::Site;
use crate::work::{Awake, Work};

/// How many handshakes are under way at once.
const AT_ONCE: usize = 16;

/// Who comes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Visitors<'a> {
    /// Each once, in order, until all have come or time is up.
    Strangers(&'a [Device]),
    /// The same again and again, with a full handshake each time.
    Regulars(&'a [Device]),
    /// The same again and again, with their sessions.
    Resuming(&'a [Device]),
}

impl<'a> Visitors<'a> {
    const fn devices(self) -> &'a [Device] {
        match self {
            Self::Strangers(devices) | Self::Regulars(devices) | Self::Resuming(devices) => devices,
        }
    }
}

/// Shakes hands with a server for so long; what it took, and how many came.
pub(crate) async fn measure(
    site: &Site,
    profile: Profile,
    (process, address): (&Process, SocketAddr),
    visitors: Visitors<'_>,
    time: Duration,
) -> anyhow::Result<(Work, usize)> {
    let sessions = match visitors {
        Visitors::Resuming(_) => Sessions::Resumed,
        Visitors::Strangers(_) | Visitors::Regulars(_) => Sessions::New,
    };
    let clients = visitors.devices().iter().take(limit(visitors, time));
    let clients = clients.map(|device| site.clients.client(profile, Some(&device.identity), sessions));
    let clients: Arc<Vec<Client>> = Arc::new(clients.collect::<anyhow::Result<_>>()?);
    if !matches!(visitors, Visitors::Strangers(_)) {
        // They are known, and hold sessions, before anything is measured.
        for client in clients.iter() {
            client.shake_hands(address).await?;
        }
    }
    let round = match visitors {
        Visitors::Strangers(_) => Round::Once,
        Visitors::Regulars(_) | Visitors::Resuming(_) => Round::Again,
    };
    let expected = match sessions {
        Sessions::New => HandshakeKind::Full,
        Sessions::Resumed => HandshakeKind::Resumed,
    };
    let _awake = Awake::begin();
    let (cpu, began) = (process.cpu_time(), Instant::now());
    let (done, odd) = come(&clients, address, (round, expected), began + time).await?;
    if done == 0 && expected == HandshakeKind::Resumed {
        // Whoever resumes nothing has no rate of it.
        return Ok((Work::default(), odd));
    }
    let mut work = Work::default();
    work.add(done, process.cpu_time() - cpu, began.elapsed());
    ensure!(odd * 50 <= done, "{odd} of {} handshakes were not {expected:?}", done + odd);
    Ok((work, done + odd))
}

/// How many clients are made ready: no processor of today does more full handshakes in that time.
fn limit(visitors: Visitors<'_>, time: Duration) -> usize {
    match visitors {
        Visitors::Strangers(_) => (time.as_secs_f64() * 8000.0) as usize,
        Visitors::Regulars(_) | Visitors::Resuming(_) => usize::MAX,
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Round {
    Once,
    Again,
}

/// How many shook hands as expected, and how many otherwise.
async fn come(
    clients: &Arc<Vec<Client>>,
    address: SocketAddr,
    (round, expected): (Round, HandshakeKind),
    end: Instant,
) -> anyhow::Result<(usize, usize)> {
    let next = Arc::new(AtomicUsize::new(0));
    let mut workers = JoinSet::new();
    for worker in 0..AT_ONCE {
        let (clients, next) = (Arc::clone(clients), Arc::clone(&next));
        workers.spawn(async move {
            let (mut done, mut odd) = (0, 0);
            // A session serves once: every worker has clients of its own.
            let own: Vec<&Client> = clients.iter().skip(worker).step_by(AT_ONCE).collect();
            let mut turn = 0;
            while Instant::now() < end {
                let client = match round {
                    Round::Once => clients.get(next.fetch_add(1, Ordering::Relaxed)),
                    Round::Again => own.get(turn % own.len().max(1)).copied(),
                };
                turn += 1;
                let Some(client) = client else { break };
                let kind = client.shake_hands(address).await?;
                if kind == expected { done += 1 } else { odd += 1 }
            }
            anyhow::Ok((done, odd))
        });
    }
    let (mut done, mut odd) = (0, 0);
    while let Some(counts) = workers.join_next().await {
        let counts = counts.context("shake hands")??;
        done += counts.0;
        odd += counts.1;
    }
    Ok((done, odd))
}
