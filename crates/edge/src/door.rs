//! A door as a whole: what it is given, and how it starts and ends.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use arc_swap::ArcSwap;
use countersign_core::settings::Enforcement;
use countersign_core::snapshot::{DeviceKey, SnapshotVersion, TrustSnapshot};
use countersign_core::time::Clock;
use countersign_tls::{ClientAuth, DoorTls, DoorTlsError, ServerCredentials};
use ipnet::IpNet;
use thiserror::Error;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::{mpsc, watch};
use tracing::{info, warn};

use crate::accept::limits::{Limits, Slots};
use crate::accept::listen::{self, Listeners};
use crate::accept::{self, Entrance, Frontage, Inside};
use crate::counts::{DoorCounts, DoorMeter};
use crate::front::access_log::AccessLog;
use crate::front::screen::RequestRates;
use crate::front::traces::Traces;
use crate::http::body::LocalService;
use crate::http::changes::{ChangedParts, HttpChanges};
use crate::http::inside::HttpInside;
use crate::http::members::UpstreamGroupError;
use crate::http::pace::BodyPace;
use crate::http::route::{Route, Routes};
use crate::http::service::{Gate, Lasting};
use crate::http::upkeep::Upkeep;
use crate::registry::Registry;
use crate::report::EdgeReport;
use crate::trust::{Current, RuleFaults};
use crate::url::OddPaths;
use crate::watch as watcher;

/// How long cut connections may take to be gone: those of the control plane have a last word.
const CUT_PATIENCE: Duration = Duration::from_millis(500);

/// How a door behaves.
#[derive(Clone, Debug)]
pub struct DoorConfig {
    /// Where it listens; port 0 takes a free one.
    pub addresses: Vec<SocketAddr>,
    /// How many threads serve it, each with sockets of its own.
    pub workers: NonZeroUsize,
    /// Whether it asks for a client certificate.
    pub client_auth: ClientAuth,
    /// The same by the DNS name that a client asks for, `*.example.com` for one label. A request for a host
    /// that asks for more than its connection was asked for is answered 421.
    pub client_auth_of_hosts: Vec<(String, ClientAuth)>,
    /// How long a PROXY header and a TLS handshake may take together.
    pub handshake_timeout: Duration,
    /// How long the head of a request may take from its first byte.
    pub header_timeout: Duration,
    /// How long a connection may be open without a request.
    pub idle_timeout: Duration,
    /// How slowly the body of a request may come.
    pub body_pace: BodyPace,
    /// How long a client may take nothing of what is sent to it.
    pub write_timeout: Duration,
    /// How long an upstream may take to begin its answer.
    pub upstream_timeout: Duration,
    /// How many connections it holds.
    pub limits: Limits,
    /// How often clients may ask, whatever for.
    pub rates: RequestRates,
    /// The networks whose connections begin with a PROXY header; all others must not.
    pub proxy_networks: Vec<IpNet>,
    /// The host names it serves; empty: any. A request for another one is answered 421.
    pub hosts: Vec<String>,
    /// What stands behind it.
    pub routes: Vec<Route>,
    /// Where requests are written down, if anywhere.
    pub access_log: Option<AccessLog>,
    /// Which requests are traced, if any are. Stays what it is while the door is open.
    pub traces: Option<Traces>,
    /// Whether rules block, are only recorded, or are not run.
    pub rules: Enforcement,
    /// Whether the safety floor holds beside the rules.
    pub compat: Compat,
    /// Whether paths that an upstream may read differently from the door are let through.
    pub odd_paths: OddPaths,
}

/// Whose way of applying rules a door follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Compat {
    /// Its own: an identity that fell from good standing is refused before any rule is asked.
    #[default]
    None,
    /// Cloudflare's: what became of an identity is for the rules to judge, wherever a route does not
    /// require one.
    DangerCloudflare,
}

impl Default for DoorConfig {
    fn default() -> Self {
        Self {
            addresses: vec![SocketAddr::from(([0, 0, 0, 0], 8443))],
            workers: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            client_auth: ClientAuth::Optional,
            client_auth_of_hosts: Vec::new(),
            handshake_timeout: Duration::from_secs(5),
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(180),
            body_pace: BodyPace::default(),
            write_timeout: Duration::from_secs(60),
            upstream_timeout: Duration::from_secs(60),
            limits: Limits::default(),
            rates: RequestRates::default(),
            proxy_networks: Vec::new(),
            hosts: Vec::new(),
            routes: Route::control_plane(),
            access_log: None,
            traces: None,
            rules: Enforcement::Enforce,
            compat: Compat::None,
            odd_paths: OddPaths::Refused,
        }
    }
}

/// What a door is connected to.
#[derive(Debug)]
pub struct DoorInputs {
    /// What it shows its clients.
    pub credentials: Arc<ServerCredentials>,
    /// What it knows of trust.
    pub snapshots: watch::Receiver<Arc<TrustSnapshot>>,
    /// Which snapshot it has applied: set once every connection that fell with it is closed.
    pub applied: watch::Sender<SnapshotVersion>,
    /// Where it reports.
    pub reports: mpsc::Sender<EdgeReport>,
    /// The control plane, if it is in this process.
    pub control_plane: Option<LocalControlPlane>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// What it counts.
    pub counts: Arc<DoorCounts>,
}

/// The control plane in this process.
#[derive(Clone)]
pub struct LocalControlPlane {
    /// Answers requests that carry an `Arrival`.
    pub service: LocalService,
    /// Where it runs: not on the door's threads.
    pub runtime: Handle,
}

impl fmt::Debug for LocalControlPlane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalControlPlane").finish_non_exhaustive()
    }
}

/// A door could not be opened.
#[derive(Debug, Error)]
pub enum DoorError {
    /// No address to listen on.
    #[error("a door needs an address to listen on")]
    NoAddress,
    /// The address cannot be bound.
    #[error("listen on {address}")]
    Listen {
        /// Which one.
        address: SocketAddr,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A socket that was handed over cannot be used.
    #[error("use a socket that was handed over")]
    HandedOver {
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A route cannot be served.
    #[error("route {prefix}: {reason}")]
    Route {
        /// Its path prefix.
        prefix: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The upstreams of a route cannot be spoken to.
    #[error("route {prefix}: use its upstreams")]
    Upstreams {
        /// Its path prefix.
        prefix: String,
        /// What is wrong with them.
        #[source]
        source: UpstreamGroupError,
    },
    /// The rules do not compile, and there are no earlier ones to keep.
    #[error("compile the rules")]
    Rules(#[source] RuleFaults),
    /// TLS cannot be set up.
    #[error("set up TLS")]
    Tls(#[source] DoorTlsError),
    /// A thread or its runtime cannot be started.
    #[error("start a thread of the door")]
    Thread(#[source] io::Error),
}

/// What a door is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Taking connections.
    Open,
    /// Taking none, another process does; whoever is there may ask once more.
    Leaving,
    /// Taking none; requests under way are finished.
    Draining,
    /// Gone.
    Closed,
}

/// A listener for HTTP over TLS that admits or refuses.
#[derive(Debug)]
pub struct HttpDoor;

impl HttpDoor {
    /// Opens the door: binds its addresses and starts its threads. Connections are accepted from the
    /// moment this returns.
    ///
    /// # Errors
    /// Fails closed: a door with an unusable route, rule, address or TLS setting is not opened.
    pub fn start(config: DoorConfig, inputs: DoorInputs) -> Result<DoorHandle, DoorError> {
        Self::start_on(config, inputs, Vec::new())
    }

    /// The same on sockets that were handed over, if there are any: those of the process whose place this
    /// one takes, or of the service manager. All of them are listened at; the configured addresses are
    /// not bound then.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_on(
        config: DoorConfig,
        inputs: DoorInputs,
        sockets: Vec<TcpListener>,
    ) -> Result<DoorHandle, DoorError> {
        let routes = Routes::new(&config.routes, inputs.control_plane.as_ref(), Some(&inputs.credentials))?;
        let upkeep = Upkeep::of(routes.groups(), routes.members());
        let current = inputs.current()?;
        let frontage = Frontage::new(inputs.tls(config.client_auth)?, config.frontage(&routes));
        let lasting = Lasting::new(&config, &inputs, Arc::clone(&current));
        let gates = Arc::new(ArcSwap::from_pointee(Gate::new(&config, Arc::new(routes), lasting)));
        let inside = HttpInside { gates: Arc::clone(&gates) };
        let changed = ChangedParts {
            gates,
            frontage: frontage.clone(),
            control_plane: inputs.control_plane.clone(),
            credentials: Arc::clone(&inputs.credentials),
        };
        let frame = Frame { addresses: config.addresses, sockets, workers: config.workers, frontage };
        let mut handle = open(frame, inside, current, inputs)?;
        handle.changes = Some(HttpChanges::new(changed, handle.phase.subscribe(), upkeep)?);
        Ok(handle)
    }
}

impl DoorInputs {
    /// What the door goes by from the beginning.
    pub(crate) fn current(&self) -> Result<Arc<Current>, DoorError> {
        let snapshot = Arc::clone(&self.snapshots.borrow());
        Ok(Arc::new(Current::new(snapshot)?))
    }

    /// The door's side of handshakes.
    pub(crate) fn tls(&self, client_auth: ClientAuth) -> Result<DoorTls, DoorError> {
        let (credentials, clock) = (Arc::clone(&self.credentials), Arc::clone(&self.clock));
        DoorTls::new(credentials, self.snapshots.clone(), client_auth, clock).map_err(DoorError::Tls)
    }
}

/// What is the same in front of whatever is inside.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) addresses: Vec<SocketAddr>,
    /// Sockets that were handed over, to be used instead of the addresses.
    pub(crate) sockets: Vec<TcpListener>,
    pub(crate) workers: NonZeroUsize,
    pub(crate) frontage: Frontage,
}

/// Opens a door of any kind.
pub(crate) fn open<I: Inside>(
    frame: Frame,
    inside: I,
    current: Arc<Current>,
    inputs: DoorInputs,
) -> Result<DoorHandle, DoorError> {
    let listeners = listen::open(&frame.addresses, frame.workers, frame.sockets)?;
    let addresses = listeners.addresses.clone();
    let (phase, phases) = watch::channel(Phase::Open);
    let registry = Arc::new(Registry::new());
    let Frontage { tls, terms, slots, trusts } = frame.frontage;
    let counts = inputs.counts;
    let entrance = Arc::new(Entrance {
        tls,
        inside,
        registry: Arc::clone(&registry),
        slots: slots.clone(),
        terms,
        counts: Arc::clone(&counts),
    });
    let meter = DoorMeter { counts, registry: Arc::clone(&registry) };
    let watching = watcher::Watcher {
        current,
        registry: Arc::clone(&registry),
        snapshots: inputs.snapshots,
        applied: inputs.applied,
        clock: inputs.clock,
        phases: phases.clone(),
        trusts,
    };
    let listening = listeners.again().map_err(|source| DoorError::HandedOver { source })?;
    let threads = start_threads(listeners, &entrance, watching, &phases)?;
    info!(?addresses, "door open");
    Ok(DoorHandle { addresses, listening, phase, registry, slots, threads, changes: None, meter })
}

fn start_threads<I: Inside>(
    listeners: Listeners,
    entrance: &Arc<Entrance<I>>,
    watching: watcher::Watcher,
    phases: &watch::Receiver<Phase>,
) -> Result<Vec<JoinHandle<()>>, DoorError> {
    let mut threads = vec![spawn("door-watch".to_owned(), move |runtime| {
        runtime.block_on(watching.run());
    })?];
    for (number, sockets) in listeners.per_worker.into_iter().enumerate() {
        let entrance = Arc::clone(entrance);
        let phases = phases.clone();
        threads.push(spawn(format!("door-{number}"), move |runtime| {
            runtime.block_on(accept::work(sockets, entrance, phases));
        })?);
    }
    Ok(threads)
}

pub(crate) fn spawn(
    name: String,
    work: impl FnOnce(Runtime) + Send + 'static,
) -> Result<JoinHandle<()>, DoorError> {
    let runtime = Builder::new_current_thread().enable_all().build().map_err(DoorError::Thread)?;
    std::thread::Builder::new().name(name).spawn(move || work(runtime)).map_err(DoorError::Thread)
}

/// An open door. Dropping it closes the door at once.
#[derive(Debug)]
pub struct DoorHandle {
    addresses: Vec<SocketAddr>,
    /// Kept to be handed over; let go of when the door closes, so that nobody waits at it in vain.
    listening: Vec<TcpListener>,
    phase: watch::Sender<Phase>,
    registry: Arc<Registry>,
    slots: Slots,
    threads: Vec<JoinHandle<()>>,
    /// Of an HTTP door.
    changes: Option<HttpChanges>,
    meter: DoorMeter,
}

impl DoorHandle {
    /// What of an HTTP door can be changed while it is open; `None` for another kind.
    #[must_use]
    pub fn changes(&self) -> Option<HttpChanges> {
        self.changes.clone()
    }

    /// The first address it listens on, with the port that was taken.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.addresses.first().copied().unwrap_or_else(|| SocketAddr::from(([0, 0, 0, 0], 0)))
    }

    /// Every address it listens on.
    #[must_use]
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Its sockets once more, for the process that takes this one's place.
    ///
    /// # Errors
    /// When the system has no more file descriptors.
    pub fn sockets(&self) -> io::Result<Vec<TcpListener>> {
        self.listening.iter().map(TcpListener::try_clone).collect()
    }

    /// Lets every connection end after its next answer, for at most so long; new ones are taken.
    pub async fn leave(&self, patience: Duration) {
        self.registry.leave();
        // Handshakes under way count, and whoever may still accept: the registry knows neither.
        if tokio::time::timeout(patience, self.slots.wait_until_quiet()).await.is_err() {
            info!("connections left over at the hand-over");
        }
    }

    /// Leaves the door to a process that has its sockets: takes no new connection, and lets those that are
    /// open ask once more before they end, for at most `settle`, so that no request meets a connection
    /// that has just been closed. Then as [`Self::drain`].
    pub async fn hand_over(mut self, settle: Duration, grace: Duration) {
        self.listening.clear();
        self.phase.send_replace(Phase::Leaving);
        self.leave(settle).await;
        self.drain(grace).await;
    }

    /// Reads what it counts.
    #[must_use]
    pub fn meter(&self) -> DoorMeter {
        self.meter.clone()
    }

    /// How many connections of this device are open.
    #[must_use]
    pub fn live_connections(&self, device: &DeviceKey) -> usize {
        self.registry.count(device)
    }

    /// How many connections are silent and rest, with nothing but their TLS state.
    #[must_use]
    pub fn resting_connections(&self) -> usize {
        self.registry.resting()
    }

    /// Closes the door: takes no new connection, lets requests under way finish for at most
    /// `grace`, cuts what is left, and waits for the threads to end.
    pub async fn drain(mut self, grace: Duration) {
        self.listening.clear();
        self.phase.send_replace(Phase::Draining);
        self.registry.retire_all();
        if tokio::time::timeout(grace, self.registry.wait_until_empty()).await.is_err() {
            self.registry.kill_all();
            if tokio::time::timeout(CUT_PATIENCE, self.registry.wait_until_empty()).await.is_err() {
                warn!("cut connections slow to close");
            }
        }
        self.phase.send_replace(Phase::Closed);
        let threads = std::mem::take(&mut self.threads);
        let joined = tokio::task::spawn_blocking(move || {
            threads.into_iter().filter_map(|thread| thread.join().err()).count()
        });
        let panicked = joined.await.unwrap_or_default();
        info!(panicked, "door closed");
    }
}
