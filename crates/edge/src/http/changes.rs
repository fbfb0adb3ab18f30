//! Changing an HTTP door while it is open: checked first, and then in force at once for whatever is asked next,
//! over connections that are open too. What is under way ends as it began.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use countersign_tls::{HostPolicies, ServerCredentials};
use parking_lot::Mutex;
use tokio::runtime::Runtime;
use tokio::sync::{oneshot, watch};

use super::route::Routes;
use super::service::Gate;
use super::upkeep::Upkeep;
use crate::accept::{EntryTerms, Frontage, FrontageTerms};
use crate::door::{DoorConfig, DoorError, LocalControlPlane, Phase, spawn};

/// What looks after upstreams, until it is dropped; `None` where none need it.
type UpkeepLease = Option<oneshot::Sender<()>>;

/// What of an open HTTP door can be changed: everything but its addresses and its threads.
#[derive(Clone)]
pub struct HttpChanges(Arc<Changing>);

/// The parts of a door that can be exchanged, and what new ones are made with.
#[derive(Debug)]
pub(crate) struct ChangedParts {
    pub(crate) gates: Arc<ArcSwap<Gate>>,
    pub(crate) frontage: Frontage,
    pub(crate) control_plane: Option<LocalControlPlane>,
    pub(crate) credentials: Arc<ServerCredentials>,
}

struct Changing {
    parts: ChangedParts,
    phases: watch::Receiver<Phase>,
    upkeep: Mutex<UpkeepLease>,
}

impl fmt::Debug for HttpChanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpChanges").finish_non_exhaustive()
    }
}

/// A change that was found to be right; dropped, it changes nothing.
#[derive(Debug)]
pub struct PreparedHttp {
    door: HttpChanges,
    gate: Arc<Gate>,
    terms: FrontageTerms,
    /// `None`: the upstreams are the same, and so is what looks after them.
    upkeep: Option<UpkeepLease>,
}

impl HttpChanges {
    pub(crate) fn new(
        parts: ChangedParts,
        phases: watch::Receiver<Phase>,
        upkeep: Option<Upkeep>,
    ) -> Result<Self, DoorError> {
        let upkeep = look_after(upkeep, &phases)?;
        Ok(Self(Arc::new(Changing { parts, phases, upkeep: Mutex::new(upkeep) })))
    }

    /// Checks what the door is to become. Addresses and threads stay what they are, whatever `config` says. Routes that are the same keep their connections to upstreams, and what is known of
    /// an upstream's health is kept in any case.
    ///
    /// # Errors
    /// Fails closed: refuses what a door would not be opened with.
    pub fn prepare(&self, config: &DoorConfig) -> Result<PreparedHttp, DoorError> {
        let Changing { parts, phases, .. } = &*self.0;
        let old = parts.gates.load_full();
        let (routes, upkeep) = if old.routes.are(&config.routes) {
            (Arc::clone(&old.routes), None)
        } else {
            let local = parts.control_plane.as_ref();
            let routes = Routes::new(&config.routes, local, Some(&parts.credentials))?;
            routes.remember(&old.routes);
            let upkeep = look_after(Upkeep::of(routes.groups(), routes.members()), phases)?;
            (Arc::new(routes), Some(upkeep))
        };
        let terms = config.frontage(&routes);
        let lasting = old.lasting.clone().writing_to(config.access_log.clone());
        let gate = Arc::new(Gate::new(config, routes, lasting));
        Ok(PreparedHttp { door: self.clone(), gate, terms, upkeep })
    }
}

impl PreparedHttp {
    /// Puts it in force.
    pub fn publish(self) {
        let Changing { parts, upkeep, .. } = &*self.door.0;
        parts.frontage.go_by(self.terms);
        parts.gates.store(self.gate);
        if let Some(new) = self.upkeep {
            // The old one ends with its lease.
            *upkeep.lock() = new;
        }
    }
}

impl DoorConfig {
    /// What goes before a request.
    pub(crate) fn frontage(&self, routes: &Routes) -> FrontageTerms {
        FrontageTerms {
            policies: self.policies(),
            guests: routes.guests(),
            entry: EntryTerms {
                proxy_networks: self.proxy_networks.clone(),
                handshake_timeout: self.handshake_timeout,
            },
            limits: self.limits,
        }
    }

    pub(crate) fn policies(&self) -> HostPolicies {
        HostPolicies::new(self.client_auth).with(self.client_auth_of_hosts.iter().cloned())
    }
}

/// Starts what is done for upstreams whether or not anybody asks for them.
fn look_after(upkeep: Option<Upkeep>, phases: &watch::Receiver<Phase>) -> Result<UpkeepLease, DoorError> {
    let Some(upkeep) = upkeep else { return Ok(None) };
    let (lease, ended) = oneshot::channel();
    let phases = phases.clone();
    let work = move |runtime: Runtime| runtime.block_on(upkeep.run(phases, ended));
    drop(spawn("door-upkeep".to_owned(), work)?);
    Ok(Some(lease))
}
