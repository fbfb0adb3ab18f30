//! How a connection gets in: counted, located, shaken hands with, and handed to what is inside.

use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use countersign_tls::{DoorTls, HandshakeError, Peer, ServerStream};
use ipnet::IpNet;
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{debug, warn};

use super::limits::{Slot, Slots};
use super::proxy::{self, ProxyError};
use crate::counts::DoorCounts;
use crate::door::Phase;
use crate::registry::Registry;

/// How long a worker pauses when the system has no more file descriptors.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(50);

/// What is behind the entrance of a door, by kind of door.
pub(crate) trait Inside: Send + Sync + Sized + 'static {
    /// What the connections of one worker share.
    type Worker: Send + Sync + 'static;

    /// A worker of this door, to be made on its own thread.
    fn worker(&self) -> Self::Worker;

    /// Serves a connection until it ends or is ended; it is on the list of live ones from the beginning.
    fn serve(
        &self,
        entered: Entered,
        registry: &Arc<Registry>,
        worker: Arc<Self::Worker>,
    ) -> impl Future<Output = ()> + Send;

    /// Writes down that a connection was refused before anything was asked for.
    fn tell_of_connection(&self, address: SocketAddr, code: &str);
}

/// What the workers of one door share.
#[derive(Debug)]
pub(crate) struct Entrance<I> {
    pub(crate) tls: DoorTls,
    pub(crate) inside: I,
    pub(crate) registry: Arc<Registry>,
    pub(crate) slots: Slots,
    pub(crate) terms: Arc<ArcSwap<EntryTerms>>,
    pub(crate) counts: Arc<DoorCounts>,
}

/// On what terms connections get in.
#[derive(Clone, Debug)]
pub(crate) struct EntryTerms {
    /// The networks whose connections begin with a PROXY header; all others must not.
    pub(crate) proxy_networks: Vec<IpNet>,
    /// How long a PROXY header and a TLS handshake may take together.
    pub(crate) handshake_timeout: Duration,
}

/// A connection after its handshake.
#[derive(Debug)]
pub(crate) struct Entered {
    pub(crate) stream: ServerStream<TcpStream>,
    pub(crate) peer: Peer,
    /// Where it comes from, by the socket or the PROXY header.
    pub(crate) address: SocketAddr,
    /// Where it came to.
    pub(crate) local: SocketAddr,
    /// Its place in the count of connections.
    pub(crate) slot: Slot,
}

/// Why a connection did not become one.
#[derive(Debug, Error)]
enum EntryError {
    #[error("the door is full")]
    Full,
    #[error("too many connections from this address")]
    TooManyFromAddress,
    #[error("PROXY header")]
    Proxy(#[source] ProxyError),
    #[error("handshake")]
    Handshake(#[source] HandshakeError),
    #[error("handshake took too long")]
    Timeout,
}

/// Runs one worker until the door is closed.
pub(crate) async fn work<I: Inside>(
    sockets: Vec<TcpListener>,
    entrance: Arc<Entrance<I>>,
    mut phases: watch::Receiver<Phase>,
) {
    let worker = Arc::new(entrance.inside.worker());
    for socket in sockets {
        let (entrance, worker) = (Arc::clone(&entrance), Arc::clone(&worker));
        let mut phases = phases.clone();
        let accepting = entrance.slots.accepting();
        tokio::spawn(async move {
            tokio::select! {
                // First: what is left in the queue is another process's.
                biased;
                // Leaving, draining and closing all end it; so does a door whose handle is gone.
                _ended = phases.wait_for(|phase| *phase != Phase::Open) => {}
                () = accept(socket, &entrance, &worker) => {}
            }
            drop(accepting);
        });
    }
    // An error means that the door's handle is gone: closed as well.
    let _closed = phases.wait_for(|phase| *phase == Phase::Closed).await.is_ok();
}

async fn accept<I: Inside>(socket: TcpListener, entrance: &Arc<Entrance<I>>, worker: &Arc<I::Worker>) {
    let listener = match tokio::net::TcpListener::from_std(socket) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "listener lost"),
    };
    loop {
        match listener.accept().await {
            Ok((stream, address)) => admit_connection(stream, address, entrance, worker),
            Err(error) => {
                warn!(%error, "connection not accepted");
                sleep_until(Instant::now() + EXHAUSTED_PAUSE).await;
            }
        }
    }
}

fn admit_connection<I: Inside>(
    stream: TcpStream,
    address: SocketAddr,
    entrance: &Arc<Entrance<I>>,
    worker: &Arc<I::Worker>,
) {
    let Some(slot) = entrance.slots.take() else {
        return note(address, &EntryError::Full, entrance);
    };
    let (entrance, worker) = (Arc::clone(entrance), Arc::clone(worker));
    tokio::spawn(async move {
        let patience = entrance.terms.load().handshake_timeout;
        // Boxed: what a handshake needs is not kept for as long as the connection lasts.
        let entered = Box::pin(enter(stream, address, &entrance, slot));
        let entered = match timeout(patience, entered).await {
            Ok(entered) => entered,
            Err(_elapsed) => Err(EntryError::Timeout),
        };
        match entered {
            Ok(entered) => entrance.inside.serve(entered, &entrance.registry, worker).await,
            Err(error) => note(address, &error, &entrance),
        }
    });
}

async fn enter<I: Inside>(
    mut stream: TcpStream,
    socket_address: SocketAddr,
    entrance: &Entrance<I>,
    mut slot: Slot,
) -> Result<Entered, EntryError> {
    let local = stream.local_addr().unwrap_or(socket_address);
    let mut address = SocketAddr::new(socket_address.ip().to_canonical(), socket_address.port());
    if is_listed(&entrance.terms.load().proxy_networks, address.ip()) {
        let said = proxy::read(&mut stream).await.map_err(EntryError::Proxy)?;
        if let Some(source) = said {
            address = source;
            slot.occupy(address.ip()).map_err(|_full| EntryError::TooManyFromAddress)?;
        }
    } else {
        slot.occupy(address.ip()).map_err(|_full| EntryError::TooManyFromAddress)?;
    }
    let (stream, peer) = entrance.tls.accept(stream).await.map_err(EntryError::Handshake)?;
    Ok(Entered { stream, peer, address, local, slot })
}

fn is_listed(networks: &[IpNet], address: IpAddr) -> bool {
    networks.iter().any(|network| network.contains(&address))
}

fn note<I: Inside>(address: SocketAddr, error: &EntryError, entrance: &Entrance<I>) {
    let reason: &dyn std::error::Error = std::error::Error::source(error).unwrap_or(error);
    let refuse = |code: &str| {
        warn!(peer = %address, code, %error, reason, "connection refused");
        entrance.inside.tell_of_connection(address, code);
    };
    match error {
        EntryError::Handshake(HandshakeError::Refused(refusal)) => {
            refuse(refusal.code());
        }
        EntryError::Handshake(HandshakeError::NameAsked) => debug!(peer = %address, "asked whose a name is"),
        EntryError::Full => refuse("DOOR_FULL"),
        EntryError::TooManyFromAddress => refuse("TOO_MANY_CONNECTIONS"),
        EntryError::Proxy(_) => refuse("PROXY_HEADER_MALFORMED"),
        EntryError::Handshake(_) | EntryError::Timeout => {
            entrance.counts.unfinished();
            debug!(peer = %address, %error, reason, "handshake not finished");
        }
    }
}
