//! Changing a TCP door while it is open: whoever comes next is served by the new settings, and sessions go on
//! as they began.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use countersign_core::time::Clock;
use countersign_tls::HostPolicies;

use super::counters::Counters;
use super::door::TcpDoorConfig;
use super::hearing::Hearing;
use super::session::TcpService;
use crate::accept::{EntryTerms, Frontage, FrontageTerms};
use crate::admit::{Floor, Requirement};
use crate::report::Reports;
use crate::trust::Current;
use crate::url::NormalisedPath;

/// What of an open TCP door can be changed: everything but its name, its addresses and its threads.
#[derive(Clone)]
pub struct TcpChanges {
    pub(super) services: Arc<ArcSwap<TcpService>>,
    pub(super) frontage: Frontage,
    pub(super) lasting: Lasting,
}

impl fmt::Debug for TcpChanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TcpChanges").finish_non_exhaustive()
    }
}

/// What stays the same.
#[derive(Clone)]
pub(super) struct Lasting {
    pub(super) current: Arc<Current>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) reports: Reports,
    pub(super) counters: Arc<Counters>,
}

impl TcpChanges {
    /// Goes by this from the next connection on. Nothing of it can be wrong any more.
    pub fn publish(&self, config: TcpDoorConfig) {
        self.frontage.go_by(config.frontage());
        self.services.store(Arc::new(self.lasting.service(config)));
    }
}

impl Lasting {
    pub(super) fn service(&self, config: TcpDoorConfig) -> TcpService {
        TcpService {
            hearing: Hearing {
                door: config.name,
                requirement: Requirement::upstream(config.identity, Floor::Kept).admitting(config.audience),
                rules: config.rules,
                no_path: NormalisedPath::root(),
                current: Arc::clone(&self.current),
                clock: Arc::clone(&self.clock),
                reports: self.reports.clone(),
            },
            upstream: config.upstream,
            proxy_header: config.proxy_header,
            connect_timeout: config.connect_timeout,
            limits: config.session,
            counters: Arc::clone(&self.counters),
        }
    }
}

impl TcpDoorConfig {
    /// What goes before a session.
    pub(super) fn frontage(&self) -> FrontageTerms {
        let stricter = self.client_auth_of_hosts.iter().cloned();
        let stricter = stricter.filter(|(_, wanted)| *wanted > self.client_auth);
        FrontageTerms {
            policies: HostPolicies::new(self.client_auth).with(stricter),
            guests: self.audience.iter().flat_map(|audience| audience.guests.clone()).collect(),
            entry: EntryTerms {
                proxy_networks: self.proxy_networks.clone(),
                handshake_timeout: self.handshake_timeout,
            },
            limits: self.limits,
        }
    }
}
