//! Opens every door that the configuration names, and ends them together.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use countersign_core::snapshot::{SnapshotVersion, TrustSnapshot};
use countersign_core::time::SystemClock;
use countersign_edge::{
    DoorError, DoorHandle, DoorInputs, EdgeReport, Egress, HttpDoor, LocalControlPlane, Redirect, TcpDoor,
    TcpDoorHandle,
};
use countersign_server::AdminOnDoor;
use countersign_tls::{ServerCredential, ServerCredentials};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::adoption::Adoption;
use super::{egress, http, redirect, tcp};
use crate::config::Resolved;

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
    /// The installation's roots, PEM: by them its own services are recognised.
    pub(crate) roots: String,
}

/// The doors of this process that are open.
#[derive(Debug)]
pub(crate) struct Doors {
    http: Option<DoorHandle>,
    redirect: Option<Redirect>,
    tcp: Vec<TcpDoorHandle>,
    egress: Option<Egress>,
    applied: Option<watch::Receiver<SnapshotVersion>>,
}

/// Opens the doors. One whose address is another program's stays closed, which is a warning: the rest
/// starts.
///
/// # Errors
/// Fails closed: with a door that cannot be as the configuration wants it, none is open.
pub(crate) fn open(config: &Resolved, given: &Given) -> anyhow::Result<Doors> {
    let mut adoption = Adoption::default();
    let mut tcp = Vec::new();
    for door in &config.tcp_doors {
        let named = || format!("open the TCP door {}", door.name);
        let settings = tcp::settings(door, &given.roots).with_context(named)?;
        let inputs = given.inputs(&mut adoption, None);
        let opened = unless_taken(TcpDoor::start(settings, inputs), &mut adoption).with_context(named)?;
        tcp.extend(opened);
    }
    let inputs = given.inputs(&mut adoption, Some(given.control_plane.clone()));
    let started = HttpDoor::start(http::settings(config, given.admin), inputs);
    let http = unless_taken(started, &mut adoption).context("open the HTTP door")?;
    let redirect = redirect::open(config, http.as_ref().map(DoorHandle::local_addr))?;
    let egress = egress::open(config, &given.credentials, &given.reports)?;
    Ok(Doors { http, redirect, tcp, egress, applied: adoption.of_all() })
}

impl Given {
    fn inputs(&self, adoption: &mut Adoption, control_plane: Option<LocalControlPlane>) -> DoorInputs {
        DoorInputs {
            credentials: Arc::clone(&self.credentials),
            snapshots: self.snapshots.clone(),
            applied: adoption.one_more(),
            reports: self.reports.clone(),
            control_plane,
            clock: Arc::new(SystemClock),
        }
    }
}

/// A door whose address is another program's stays closed, which is a warning.
fn unless_taken<D>(started: Result<D, DoorError>, adoption: &mut Adoption) -> Result<Option<D>, DoorError> {
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
    pub(crate) fn tcp(&self) -> impl Iterator<Item = (&str, SocketAddr)> {
        self.tcp.iter().map(|door| (door.name(), door.door().local_addr()))
    }

    /// Which snapshot all of them enforce; `None` when none is open.
    pub(crate) fn applied(&self) -> Option<watch::Receiver<SnapshotVersion>> {
        self.applied.clone()
    }

    /// Closes them: what is under way is finished, for at most so long.
    pub(crate) async fn drain(self, patience: Duration) {
        if let Some(redirect) = self.redirect {
            redirect.close().await;
        }
        let mut draining = JoinSet::new();
        for door in self.tcp {
            draining.spawn(door.drain(patience));
        }
        if let Some(egress) = self.egress {
            draining.spawn(egress.drain(patience));
        }
        if let Some(door) = self.http {
            door.drain(patience).await;
        }
        draining.join_all().await;
    }
}

/// The operator's own certificate and its key, for the doors to show.
///
/// # Errors
/// When they cannot be read or do not fit.
pub(crate) fn from_files(chain: &Path, key: &Path) -> anyhow::Result<ServerCredential> {
    let chain = fs_err::read_to_string(chain).context("read the door's certificate")?;
    let key = fs_err::read_to_string(key).context("read the door's key")?;
    ServerCredential::from_pem(&chain, &key).context("use the door's certificate")
}
