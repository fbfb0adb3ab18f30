//! Changing an egress while it is open: checked first, and then in force for the next request.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use countersign_core::time::Clock;
use countersign_tls::ServerCredentials;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};

use super::listener::{EgressError, EgressInputs};
use super::serve::Serving;
use super::settings::{EgressAddress, EgressListener};
use super::ways::Ways;
use crate::door::Phase;
use crate::http::members::Group;
use crate::http::upkeep::Upkeep;
use crate::http::upstreams::Upstreams;
use crate::report::Reports;

/// What serves the requests of one listener at the time.
pub(super) type Services = Arc<ArcSwap<Serving>>;

/// What of an open egress can be changed: the ways from each of its listeners, and how they are asked for.
/// Its addresses and who may connect stay what they are.
#[derive(Clone)]
pub struct EgressChanges(Arc<Changing>);

struct Changing {
    lasting: Lasting,
    listeners: Vec<(EgressAddress, Services)>,
    in_force: Mutex<InForce>,
}

struct InForce {
    listeners: Vec<EgressListener>,
    _upkeep: Option<oneshot::Sender<()>>,
}

impl fmt::Debug for EgressChanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EgressChanges").finish_non_exhaustive()
    }
}

/// What stays the same.
pub(super) struct Lasting {
    credentials: Option<Arc<ServerCredentials>>,
    reports: Reports,
    clock: Arc<dyn Clock>,
    runtime: Handle,
    phases: watch::Receiver<Phase>,
}

/// The ways of all listeners, in their order.
pub(super) struct Checked {
    ways: Vec<Ways>,
    groups: Vec<Arc<Group>>,
}

impl Checked {
    /// # Errors
    /// Fails closed: with one way that cannot be gone, all are refused.
    pub(super) fn new(
        listeners: &[EgressListener],
        credentials: Option<&Arc<ServerCredentials>>,
    ) -> Result<Self, EgressError> {
        let mut checked = Self { ways: Vec::with_capacity(listeners.len()), groups: Vec::new() };
        for listener in listeners {
            let unusable = |source| EgressError::Way { address: listener.address.clone(), source };
            let first = members(&checked.groups);
            let ways = Ways::new(&listener.ways, first, credentials).map_err(unusable)?;
            checked.groups.extend(ways.groups().cloned());
            checked.ways.push(ways);
        }
        Ok(checked)
    }
}

/// A change that was found to be right; dropped, it changes nothing.
pub struct PreparedEgress {
    egress: EgressChanges,
    listeners: Vec<EgressListener>,
    checked: Checked,
}

impl fmt::Debug for PreparedEgress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PreparedEgress").finish_non_exhaustive()
    }
}

impl EgressChanges {
    /// For listeners at these addresses, ports resolved.
    pub(super) fn new(
        lasting: Lasting,
        listeners: &[EgressListener],
        addresses: &[EgressAddress],
        checked: Checked,
    ) -> Self {
        let names: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        let (servings, upkeep) = lasting.servings(listeners, &names, checked);
        let services = servings.into_iter().map(|serving| Arc::new(ArcSwap::from_pointee(serving)));
        let configured = listeners.iter().map(|listener| listener.address.clone());
        let in_force = InForce { listeners: listeners.to_vec(), _upkeep: upkeep };
        let listeners = configured.zip(services).collect();
        Self(Arc::new(Changing { lasting, listeners, in_force: Mutex::new(in_force) }))
    }

    pub(super) fn services(&self) -> Vec<Services> {
        self.0.listeners.iter().map(|(_, services)| Arc::clone(services)).collect()
    }

    /// Checks what the listeners are to become. One that is not in `wanted` stays as it is, and one that is
    /// not open is not opened. `None`: nothing changes.
    ///
    /// # Errors
    /// Fails closed: refuses what an egress would not be opened with.
    pub fn prepare(&self, wanted: &[EgressListener]) -> Result<Option<PreparedEgress>, EgressError> {
        let in_force = self.0.in_force.lock().listeners.clone();
        let changed = |old: &EgressListener| {
            let new = wanted.iter().find(|listener| listener.address == old.address).unwrap_or(old);
            EgressListener { reach: old.reach, allowed_uids: old.allowed_uids.clone(), ..new.clone() }
        };
        let listeners: Vec<_> = in_force.iter().map(changed).collect();
        if listeners == in_force {
            return Ok(None);
        }
        let checked = Checked::new(&listeners, self.0.lasting.credentials.as_ref())?;
        Ok(Some(PreparedEgress { egress: self.clone(), listeners, checked }))
    }
}

impl PreparedEgress {
    /// Puts it in force.
    pub fn publish(self) {
        let Changing { lasting, listeners: open, in_force } = &*self.egress.0;
        let names: Vec<String> = open.iter().map(|(_, services)| services.load().name.clone()).collect();
        let (servings, upkeep) = lasting.servings(&self.listeners, &names, self.checked);
        for ((_, services), serving) in open.iter().zip(servings) {
            services.store(Arc::new(serving));
        }
        *in_force.lock() = InForce { listeners: self.listeners, _upkeep: upkeep };
    }
}

impl Lasting {
    pub(super) fn new(inputs: EgressInputs, runtime: Handle, phases: watch::Receiver<Phase>) -> Self {
        let EgressInputs { credentials, reports, clock } = inputs;
        Self { credentials, reports: Reports::new(reports, Arc::default()), clock, runtime, phases }
    }

    /// What serves the listeners, and what looks after the upstreams until it is dropped.
    fn servings(
        &self,
        listeners: &[EgressListener],
        names: &[String],
        checked: Checked,
    ) -> (Vec<Serving>, Option<oneshot::Sender<()>>) {
        let count = members(&checked.groups);
        // Connections let go of themselves on the thread of the egress.
        let _inside = self.runtime.enter();
        let upstreams = Upstreams::new(count);
        let upkeep = Upkeep::of(checked.groups.iter(), count).map(|upkeep| {
            let (lease, ended) = oneshot::channel();
            self.runtime.spawn(upkeep.run(self.phases.clone(), ended));
            lease
        });
        let serving = |((ways, listener), name): ((Ways, &EgressListener), &String)| Serving {
            ways,
            cf_blob: listener.cf_blob.clone(),
            name: name.clone(),
            upstreams: Arc::clone(&upstreams),
            reports: self.reports.clone(),
            clock: Arc::clone(&self.clock),
        };
        (checked.ways.into_iter().zip(listeners).zip(names).map(serving).collect(), upkeep)
    }
}

fn members(groups: &[Arc<Group>]) -> usize {
    groups.iter().map(|group| group.members().len()).sum()
}
