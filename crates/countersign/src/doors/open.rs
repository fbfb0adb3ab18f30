//! Opens every door that the configuration names, and ends them together.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use countersign_core::snapshot::{SnapshotVersion, TrustSnapshot};
use countersign_core::time::SystemClock;
use countersign_edge::mqtt::{Holdings, Hub, Listeners, Sink, Tokens};
use countersign_edge::{
    DoorConfig, DoorError, DoorHandle, DoorInputs, EdgeReport, Egress, HttpDoor, LocalControlPlane,
};
use countersign_server::AdminOnDoor;
use countersign_supervisor::Sockets;
use countersign_tls::ServerCredentials;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::adoption::Adoption;
use super::certificates::{OwnCertificates, Shown};
use super::changes::Changes;
use super::listening::{self, EGRESS, HTTP_DOOR, MQTT_DOOR, MQTT_TOKENS};
use super::log::Log;
use super::meters::Meters;
use super::redirect::Leading;
use super::tcp_doors::TcpDoors;
use super::{egress, http, mqtt};
use crate::config::Resolved;
use crate::traces;

/// What doors are connected to, wherever it comes from.
pub(crate) struct Given {
    /// What they show their clients.
    pub(crate) credentials: Arc<ServerCredentials>,
    /// What they know of trust.
    pub(crate) snapshots: watch::Receiver<Arc<TrustSnapshot>>,
    /// Where they report.
    pub(crate) reports: mpsc::Sender<EdgeReport>,
    /// Answers the control plane's routes.
    pub(crate) control_plane: LocalControlPlane,
    /// Whether the admin routes are among those.
    pub(crate) admin: AdminOnDoor,
    /// Who takes messages from the MQTT door for the authority.
    pub(crate) messages: Arc<dyn Sink>,
    /// What stands behind the MQTT door where there is no broker.
    pub(crate) hub: Arc<Hub>,
    /// What devices hold at the MQTT listeners together.
    pub(crate) holdings: Arc<Holdings>,
    /// Who is told of devices that begin to listen at the MQTT door.
    pub(crate) listeners: Arc<Listeners>,
    /// Who knows devices by their provisioning tokens.
    pub(crate) tokens: Arc<dyn Tokens>,
    /// The installation's roots, PEM: by them its own services are recognised.
    pub(crate) roots: String,
}

/// How long connections may leave of themselves while new ones are still taken.
const TAKING_LEAVE: Duration = Duration::from_secs(2);
/// How long those may take that were taken last, handshakes included; others wait for that long.
const SETTLING: Duration = Duration::from_secs(1);

/// When a process may work that takes another's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Beside it, for a while.
    Beside,
    /// After it: the database is for one at a time.
    After,
}

/// The doors of this process that are open.
#[derive(Debug)]
pub(crate) struct Doors {
    http: Option<DoorHandle>,
    mqtt: Option<DoorHandle>,
    mqtt_tokens: Option<DoorHandle>,
    egress: Option<Egress>,
    changes: Changes,
    applied: Option<watch::Receiver<SnapshotVersion>>,
}

/// What any door is opened with, at the start or later.
#[derive(Clone, Debug)]
pub(super) struct Opening {
    credentials: Arc<ServerCredentials>,
    snapshots: watch::Receiver<Arc<TrustSnapshot>>,
    reports: mpsc::Sender<EdgeReport>,
    pub(super) roots: String,
    pub(super) adoption: Adoption,
}

impl Opening {
    pub(super) fn inputs(&self, control_plane: Option<LocalControlPlane>) -> DoorInputs {
        DoorInputs {
            credentials: Arc::clone(&self.credentials),
            snapshots: self.snapshots.clone(),
            applied: self.adoption.one_more(),
            reports: self.reports.clone(),
            control_plane,
            clock: Arc::new(SystemClock),
            counts: Arc::default(),
        }
    }
}

/// Opens the doors. One whose address is another program's stays closed, which is a warning: the rest
/// starts.
///
/// # Errors
/// Fails closed: with a door that cannot be as the configuration wants it, none is open.
pub(crate) fn open(config: &Resolved, given: &Given, mut sockets: Sockets) -> anyhow::Result<Doors> {
    let shown = Arc::new(Shown::new(Arc::clone(&given.credentials)));
    shown.show_own(OwnCertificates::read(config)?);
    let log = Log::open(config)?;
    let opening = Opening {
        credentials: Arc::clone(&given.credentials),
        snapshots: given.snapshots.clone(),
        reports: given.reports.clone(),
        roots: given.roots.clone(),
        adoption: Adoption::default(),
    };
    let tcp = TcpDoors::open(config, &opening, &mut sockets)?;
    let mqtt = mqtt::open(config, given, &opening, &mut sockets)?;
    let mqtt_tokens = mqtt::open_for_tokens(config, given, &opening, &mut sockets)?;
    let inputs = opening.inputs(Some(given.control_plane.clone()));
    let traces = config.traces.as_ref().map(traces::start).transpose()?;
    let settings = DoorConfig { access_log: log.current(), traces, ..http::settings(config, given.admin) };
    let here = sockets.take(HTTP_DOOR, config.http_door.listen);
    let started = HttpDoor::start_on(settings, inputs, here);
    let http = unless_taken(started, &opening.adoption).context("open the HTTP door")?;
    let redirect = Leading::open(config, http.as_ref().map(DoorHandle::local_addr), &mut sockets)?;
    let egress = egress::open(config, &given.credentials, &given.reports, &mut sockets)?;
    for name in sockets.left() {
        tracing::warn!(name, "socket handed over that no listener is configured for");
    }
    let changes = Changes {
        http: http.as_ref().and_then(DoorHandle::changes),
        tcp,
        redirect,
        egress: egress.as_ref().map(Egress::changes),
        log,
        shown,
        admin: given.admin,
        opening,
    };
    let applied = changes.opening.adoption.of_all();
    Ok(Doors { http, mqtt, mqtt_tokens, egress, changes, applied })
}

/// A door whose address is another program's stays closed, which is a warning.
pub(super) fn unless_taken<D>(
    started: Result<D, DoorError>,
    adoption: &Adoption,
) -> Result<Option<D>, DoorError> {
    match started {
        Ok(door) => Ok(Some(door)),
        Err(DoorError::Listen { address, source }) if source.kind() == ErrorKind::AddrInUse => {
            tracing::warn!(%address, "port taken, door stays closed");
            adoption.one_less();
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

impl Doors {
    /// Where the HTTP door listens, if it is open.
    pub(crate) fn http(&self) -> Option<SocketAddr> {
        self.http.as_ref().map(DoorHandle::local_addr)
    }

    /// Where the TCP doors listen, by name.
    pub(crate) fn tcp(&self) -> Vec<(String, SocketAddr)> {
        self.changes.tcp.addresses()
    }

    /// Where the MQTT door listens, if it is open.
    pub(crate) fn mqtt(&self) -> Option<SocketAddr> {
        self.mqtt.as_ref().map(DoorHandle::local_addr)
    }

    /// Where its listener for tokens is, if it is open.
    pub(crate) fn mqtt_tokens(&self) -> Option<SocketAddr> {
        self.mqtt_tokens.as_ref().map(DoorHandle::local_addr)
    }

    /// What they count.
    pub(crate) fn meters(&self) -> Meters {
        Meters {
            http: self.http.as_ref().map(DoorHandle::meter),
            mqtt: self.mqtt.as_ref().map(DoorHandle::meter),
            mqtt_tokens: self.mqtt_tokens.as_ref().map(DoorHandle::meter),
            tcp: self.changes.tcp.clone(),
            shown: Arc::clone(&self.changes.shown),
        }
    }

    /// Which snapshot all of them enforce; `None` when none is open.
    pub(crate) fn applied(&self) -> Option<watch::Receiver<SnapshotVersion>> {
        self.applied.clone()
    }

    /// What of them can be changed while they are open.
    pub(crate) fn changes(&self) -> Changes {
        self.changes.clone()
    }

    /// The sockets of all of them once more, for the process that takes this one's place.
    pub(crate) fn sockets(&self) -> io::Result<Vec<(String, OwnedFd)>> {
        let mut all = self.changes.tcp.sockets()?;
        if let Some(door) = &self.mqtt {
            all.extend(listening::named(MQTT_DOOR, door.sockets()?));
        }
        if let Some(door) = &self.mqtt_tokens {
            all.extend(listening::named(MQTT_TOKENS, door.sockets()?));
        }
        if let Some(door) = &self.http {
            all.extend(listening::named(HTTP_DOOR, door.sockets()?));
        }
        all.extend(self.changes.redirect.sockets()?);
        if let Some(egress) = &self.egress {
            all.extend(listening::named(EGRESS, egress.sockets()?));
        }
        Ok(all)
    }

    /// Leaves them to a process that has their sockets. Where that one has to wait for this one's end, who
    /// comes meanwhile waits too: those who are there are first asked to leave while others still come in.
    pub(crate) async fn hand_over(mut self, turn: Turn, patience: Duration) {
        let settle = match turn {
            Turn::Beside => patience,
            Turn::After => SETTLING,
        };
        if let (Turn::After, Some(door)) = (turn, &self.http) {
            door.leave(TAKING_LEAVE).await;
        }
        let mut leaving = JoinSet::new();
        for door in self.changes.tcp.take() {
            leaving.spawn(door.hand_over(settle, patience));
        }
        for door in self.mqtt.take().into_iter().chain(self.mqtt_tokens.take()) {
            leaving.spawn(door.hand_over(settle, patience));
        }
        if let Some(door) = self.http.take() {
            leaving.spawn(door.hand_over(settle, patience));
        }
        leaving.join_all().await;
        self.drain(patience).await;
    }

    /// Closes them: what is under way is finished, for at most so long.
    pub(crate) async fn drain(self, patience: Duration) {
        if let Some(redirect) = self.changes.redirect.take() {
            redirect.close().await;
        }
        let mut draining = JoinSet::new();
        for door in self.changes.tcp.take() {
            draining.spawn(door.drain(patience));
        }
        for door in self.mqtt.into_iter().chain(self.mqtt_tokens) {
            draining.spawn(door.drain(patience));
        }
        if let Some(egress) = self.egress {
            draining.spawn(egress.drain(patience));
        }
        if let Some(door) = self.http {
            door.drain(patience).await;
        }
        draining.join_all().await;
        if let Some(log) = self.changes.log.current() {
            tokio::task::spawn_blocking(move || log.close()).await.unwrap_or_default();
        }
    }
}
