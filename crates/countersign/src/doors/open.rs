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
    DoorError, DoorHandle, DoorInputs, EdgeReport, HttpDoor, LocalControlPlane, Redirect,
};
use countersign_server::AdminOnDoor;
use countersign_tls::{ServerCredential, ServerCredentials};
use tokio::sync::{mpsc, watch};

use super::adoption::Adoption;
use super::{http, redirect};
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
}

/// The doors of this process that are open.
#[derive(Debug)]
pub(crate) struct Doors {
    http: Option<DoorHandle>,
    redirect: Option<Redirect>,
    applied: Option<watch::Receiver<SnapshotVersion>>,
}

/// Opens the doors. One whose address is another program's stays closed, which is a warning: the rest
/// starts.
///
/// # Errors
/// Fails closed: with a door that cannot be as the configuration wants it, none is open.
pub(crate) fn open(config: &Resolved, given: Given) -> anyhow::Result<Doors> {
    let mut adoption = Adoption::default();
    let inputs = DoorInputs {
        credentials: given.credentials,
        snapshots: given.snapshots,
        applied: adoption.one_more(),
        reports: given.reports,
        control_plane: Some(given.control_plane),
        clock: Arc::new(SystemClock),
    };
    let http = match HttpDoor::start(http::settings(config, given.admin), inputs) {
        Ok(door) => Some(door),
        Err(DoorError::Listen { address, source }) if source.kind() == ErrorKind::AddrInUse => {
            tracing::warn!(%address, "port taken, http door stays closed");
            adoption.one_less();
            None
        }
        Err(error) => return Err(error).context("open the HTTP door"),
    };
    let redirect = redirect::open(config, http.as_ref().map(DoorHandle::local_addr))?;
    Ok(Doors { http, redirect, applied: adoption.of_all() })
}

impl Doors {
    /// Where the HTTP door listens, if it is open.
    pub(crate) fn http(&self) -> Option<SocketAddr> {
        self.http.as_ref().map(DoorHandle::local_addr)
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
        if let Some(door) = self.http {
            door.drain(patience).await;
        }
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
