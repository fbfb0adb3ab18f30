//! Opening, accepting and closing.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use countersign_core::time::Clock;
use countersign_tls::ServerCredentials;
use http::{HeaderValue, header};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio::runtime::Builder;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::{debug, info, warn};

use super::changes::{Checked, EgressChanges, Lasting, Services};
use super::serve::{self, Caller};
use super::settings::{EgressAddress, EgressListener, EgressReach};
use super::ways::EgressWayError;
use crate::door::Phase;
use crate::report::EdgeReport;

/// How long a request's head may take.
const HEAD: Duration = Duration::from_secs(10);
/// How many connections one listener holds.
const CONNECTIONS: usize = 4096;
/// How long a silent connection may still ask once before it ends: a request may be on its way.
const SETTLING: Duration = Duration::from_secs(1);
/// How long cut connections may take to be gone.
const CUT_PATIENCE: Duration = Duration::from_millis(500);

/// An egress could not be opened.
#[derive(Debug, Error)]
pub enum EgressError {
    /// The address can be reached from elsewhere, and nobody said that this is meant.
    #[error("{0} can be reached from other machines, which would borrow these identities")]
    BeyondLoopback(SocketAddr),
    /// The address cannot be bound.
    #[error("listen on {address}")]
    Listen {
        /// Which one.
        address: EgressAddress,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A socket that was handed over is of no use.
    #[error("use a socket that was handed over for {address}")]
    HandedOver {
        /// For which listener.
        address: EgressAddress,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A way cannot be gone.
    #[error("the ways from {address}")]
    Way {
        /// The listener's address.
        address: EgressAddress,
        /// What is wrong.
        #[source]
        source: EgressWayError,
    },
    /// A thread or its runtime cannot be started.
    #[error("start the thread of the egress")]
    Thread(#[source] io::Error),
}

/// What an egress is connected to.
#[derive(Debug)]
pub struct EgressInputs {
    /// What the door shows, for ways that show it too.
    pub credentials: Option<Arc<ServerCredentials>>,
    /// Where refusals are reported.
    pub reports: mpsc::Sender<EdgeReport>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
}

/// Listeners through which local services reach upstreams.
#[derive(Debug)]
pub struct Egress {
    addresses: Vec<EgressAddress>,
    changes: EgressChanges,
    /// Kept to be handed over; let go of when the egress closes, so that nobody waits there in vain.
    listening: Vec<EgressSocket>,
    phase: watch::Sender<Phase>,
    thread: Option<JoinHandle<()>>,
}

/// A listening socket of an egress.
#[derive(Debug)]
pub enum EgressSocket {
    /// Of TCP.
    Tcp(std::net::TcpListener),
    /// In the file system.
    Unix(std::os::unix::net::UnixListener),
}

impl EgressSocket {
    fn again(&self) -> io::Result<Self> {
        match self {
            Self::Tcp(socket) => socket.try_clone().map(Self::Tcp),
            Self::Unix(socket) => socket.try_clone().map(Self::Unix),
        }
    }
}

impl From<EgressSocket> for OwnedFd {
    fn from(socket: EgressSocket) -> Self {
        match socket {
            EgressSocket::Tcp(socket) => socket.into(),
            EgressSocket::Unix(socket) => socket.into(),
        }
    }
}

impl Egress {
    /// Opens them all. Connections are accepted from the moment this returns.
    ///
    /// # Errors
    /// Fails closed: with one listener that cannot be as it is wanted, none is open.
    pub fn start(listeners: &[EgressListener], inputs: EgressInputs) -> Result<Self, EgressError> {
        Self::start_on(listeners, inputs, |_address| None)
    }

    /// The same on sockets that were handed over, where `handed` has one for a listener's address.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_on(
        listeners: &[EgressListener],
        inputs: EgressInputs,
        mut handed: impl FnMut(&EgressAddress) -> Option<EgressSocket>,
    ) -> Result<Self, EgressError> {
        let checked = Checked::new(listeners, inputs.credentials.as_ref())?;
        let socket = |listener: &EgressListener| match handed(&listener.address) {
            Some(socket) => taken_over(listener, socket),
            None => bind(listener),
        };
        let sockets = listeners.iter().map(socket).collect::<Result<Vec<_>, _>>()?;
        let again = |(socket, address): &(EgressSocket, EgressAddress)| {
            let failed = |source| EgressError::Listen { address: address.clone(), source };
            socket.again().map_err(failed)
        };
        let listening = sockets.iter().map(again).collect::<Result<Vec<_>, _>>()?;
        let addresses: Vec<_> = sockets.iter().map(|(_, address)| address.clone()).collect();
        let (phase, phases) = watch::channel(Phase::Open);
        let runtime = Builder::new_current_thread().enable_all().build().map_err(EgressError::Thread)?;
        let lasting = Lasting::new(inputs, runtime.handle().clone(), phases.clone());
        let changes = EgressChanges::new(lasting, listeners, &addresses, checked);
        let opened: Vec<_> = sockets
            .into_iter()
            .zip(listeners)
            .zip(changes.services())
            .map(|(((socket, _), listener), services)| (socket, listener.allowed_uids.clone(), services))
            .collect();
        let work = move || {
            runtime.block_on(async move {
                let mut tasks = JoinSet::new();
                for (socket, allowed, services) in opened {
                    tasks.spawn(run(socket, allowed, services, phases.clone()));
                }
                while tasks.join_next().await.is_some() {}
            });
        };
        let thread = std::thread::Builder::new().name("egress".to_owned()).spawn(work);
        info!(addresses = ?addresses.iter().map(ToString::to_string).collect::<Vec<_>>(), "egress open");
        Ok(Self { addresses, changes, listening, phase, thread: Some(thread.map_err(EgressError::Thread)?) })
    }

    /// What of it can be changed while it is open.
    #[must_use]
    pub fn changes(&self) -> EgressChanges {
        self.changes.clone()
    }

    /// Where it listens, ports resolved.
    #[must_use]
    pub fn addresses(&self) -> &[EgressAddress] {
        &self.addresses
    }

    /// Its sockets once more, for the process that takes this one's place.
    ///
    /// # Errors
    /// When the system has no more file descriptors.
    pub fn sockets(&self) -> io::Result<Vec<EgressSocket>> {
        self.listening.iter().map(EgressSocket::again).collect()
    }

    /// Takes no new connection, and lets requests under way finish for at most `grace`.
    pub async fn drain(mut self, grace: Duration) {
        self.listening.clear();
        self.phase.send_replace(Phase::Draining);
        let Some(thread) = self.thread.take() else { return };
        let mut ended = tokio::task::spawn_blocking(move || thread.join().is_err());
        let joined = match timeout(grace, &mut ended).await {
            Ok(joined) => joined,
            Err(_elapsed) => {
                self.phase.send_replace(Phase::Closed);
                ended.await
            }
        };
        info!(panicked = joined.unwrap_or(true), "egress closed");
    }
}

/// A socket that somebody else opened: wherever that is, it may be no further than the listener may.
fn taken_over(
    listener: &EgressListener,
    socket: EgressSocket,
) -> Result<(EgressSocket, EgressAddress), EgressError> {
    let failed = |source| EgressError::HandedOver { address: listener.address.clone(), source };
    let address = match &socket {
        EgressSocket::Tcp(socket) => {
            let bound = socket.local_addr().map_err(failed)?;
            within_reach(listener, bound)?;
            socket.set_nonblocking(true).map_err(failed)?;
            EgressAddress::Tcp(bound)
        }
        EgressSocket::Unix(socket) => {
            socket.set_nonblocking(true).map_err(failed)?;
            listener.address.clone()
        }
    };
    Ok((socket, address))
}

fn within_reach(listener: &EgressListener, address: SocketAddr) -> Result<(), EgressError> {
    if !address.ip().to_canonical().is_loopback() && listener.reach == EgressReach::Loopback {
        return Err(EgressError::BeyondLoopback(address));
    }
    Ok(())
}

fn bind(listener: &EgressListener) -> Result<(EgressSocket, EgressAddress), EgressError> {
    let failed = |source| EgressError::Listen { address: listener.address.clone(), source };
    match &listener.address {
        EgressAddress::Tcp(address) => {
            within_reach(listener, *address)?;
            let socket = std::net::TcpListener::bind(address).map_err(failed)?;
            socket.set_nonblocking(true).map_err(failed)?;
            let bound = socket.local_addr().map_err(failed)?;
            Ok((EgressSocket::Tcp(socket), EgressAddress::Tcp(bound)))
        }
        EgressAddress::Unix(path) => {
            let socket = unix(path, &listener.allowed_uids).map_err(failed)?;
            Ok((EgressSocket::Unix(socket), listener.address.clone()))
        }
    }
}

/// Who may connect is decided by who they are; the file's mode only lets them try.
fn unix(path: &Path, allowed: &[u32]) -> io::Result<std::os::unix::net::UnixListener> {
    use std::os::unix::net::{UnixListener, UnixStream};
    if path.exists() && UnixStream::connect(path).is_err_and(|e| e.kind() == io::ErrorKind::ConnectionRefused)
    {
        // Left by one that is gone.
        fs_err::remove_file(path)?;
    }
    let socket = UnixListener::bind(path)?;
    let mode = if allowed.is_empty() { 0o600 } else { 0o666 };
    fs_err::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

async fn run(
    socket: EgressSocket,
    allowed: Vec<u32>,
    services: Services,
    mut phases: watch::Receiver<Phase>,
) {
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = JoinSet::new();
    let socket = match Listening::new(socket, allowed) {
        Ok(socket) => socket,
        Err(error) => {
            warn!(listener = services.load().name, %error, "egress listener not usable");
            return;
        }
    };
    loop {
        let place = tokio::select! {
            () = until(&mut phases, Phase::Draining) => break,
            Some(_ended) = connections.join_next() => continue,
            Ok(place) = Arc::clone(&room).acquire_owned() => place,
        };
        tokio::select! {
            () = until(&mut phases, Phase::Draining) => break,
            accepted = socket.accept() => match accepted {
                Ok(Accepted::Tcp(stream, address)) => {
                    let serving = (Arc::clone(&services), Caller::Tcp(address));
                    connections.spawn(serve_one(stream, serving, phases.clone(), place));
                }
                Ok(Accepted::Unix(stream)) => {
                    let serving = (Arc::clone(&services), Caller::Unix);
                    connections.spawn(serve_one(stream, serving, phases.clone(), place));
                }
                Ok(Accepted::Stranger(uid)) => services.load().refuse_caller(uid),
                Err(error) => {
                    debug!(%error, "egress connection not accepted");
                    // Descriptors may have run out: others are to end first.
                    drop(timeout(CUT_PATIENCE, connections.join_next()).await);
                }
            },
        }
    }
    drop(socket);
    tokio::select! {
        () = async { while connections.join_next().await.is_some() {} } => {}
        () = until(&mut phases, Phase::Closed) => {
            connections.abort_all();
            let gone = async { while connections.join_next().await.is_some() {} };
            if timeout(CUT_PATIENCE, gone).await.is_err() {
                warn!(listener = services.load().name, "cut connections slow to close");
            }
        }
    }
}

/// Waits for a phase, or a later one. Where nobody holds the egress any more, it has come.
async fn until(phases: &mut watch::Receiver<Phase>, phase: Phase) {
    drop(phases.wait_for(|now| *now >= phase).await);
}

enum Listening {
    Tcp(TcpListener),
    Unix(UnixListener, Vec<u32>),
}

enum Accepted {
    Tcp(tokio::net::TcpStream, SocketAddr),
    Unix(UnixStream),
    /// Somebody who may not come here.
    Stranger(u32),
}

impl Listening {
    fn new(socket: EgressSocket, mut allowed: Vec<u32>) -> io::Result<Self> {
        match socket {
            EgressSocket::Tcp(socket) => Ok(Self::Tcp(TcpListener::from_std(socket)?)),
            EgressSocket::Unix(socket) => {
                if allowed.is_empty() {
                    let (own, _other) = UnixStream::pair()?;
                    allowed.push(own.peer_cred()?.uid());
                }
                Ok(Self::Unix(UnixListener::from_std(socket)?, allowed))
            }
        }
    }

    async fn accept(&self) -> io::Result<Accepted> {
        match self {
            Self::Tcp(socket) => {
                let (stream, address) = socket.accept().await?;
                stream.set_nodelay(true)?;
                Ok(Accepted::Tcp(stream, address))
            }
            Self::Unix(socket, allowed) => {
                let (stream, _unnamed) = socket.accept().await?;
                let uid = stream.peer_cred()?.uid();
                Ok(if allowed.contains(&uid) { Accepted::Unix(stream) } else { Accepted::Stranger(uid) })
            }
        }
    }
}

/// Waits until no connection may ask any more that is silent.
async fn settled(phases: &mut watch::Receiver<Phase>) {
    until(phases, Phase::Draining).await;
    drop(timeout(SETTLING, until(phases, Phase::Closed)).await);
}

async fn serve_one<IO: AsyncRead + AsyncWrite + Send + Unpin + 'static>(
    stream: IO,
    (services, caller): (Services, Caller),
    mut phases: watch::Receiver<Phase>,
    _place: tokio::sync::OwnedSemaphorePermit,
) {
    let last = phases.clone();
    let service = service_fn(move |request| {
        let (answer, last) = (serve::handle(services.load_full(), caller, request), last.clone());
        async move {
            let mut response = answer.await?;
            if *last.borrow() > Phase::Open {
                response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(response)
        }
    });
    let mut connection = std::pin::pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD)
            .serve_connection(TokioIo::new(stream), service)
    );
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = settled(&mut phases) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        debug!(%error, "egress connection ended early");
    }
}
