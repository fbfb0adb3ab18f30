//! Giving open doors another configuration: all of it is checked before any of it is in force.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use countersign_authority::Authority;
use countersign_edge::{DoorConfig, EgressChanges, HttpChanges, PreparedEgress, PreparedHttp};
use countersign_server::AdminOnDoor;

use super::certificates::{OwnCertificates, Shown};
use super::http;
use super::log::{Log, OpenLog};
use super::open::Opening;
use super::redirect::{Leading, PreparedRedirect};
use super::tcp_doors::{PreparedTcp, TcpDoors};
use crate::acme::Acme;
use crate::config::Resolved;

/// What of the doors of this process can be changed while they are open.
#[derive(Clone, Debug)]
pub(crate) struct Changes {
    pub(super) http: Option<HttpChanges>,
    pub(super) tcp: TcpDoors,
    pub(super) redirect: Leading,
    pub(super) egress: Option<EgressChanges>,
    pub(super) log: Log,
    pub(super) shown: Arc<Shown>,
    pub(super) admin: AdminOnDoor,
    pub(super) opening: Opening,
}

/// A change that was found to be right; dropped, it changes nothing.
#[derive(Debug)]
pub(crate) struct Prepared {
    certificates: OwnCertificates,
    changes: Changes,
    http: Option<PreparedHttp>,
    tcp: PreparedTcp,
    redirect: PreparedRedirect,
    egress: Option<PreparedEgress>,
    log: OpenLog,
}

impl Changes {
    /// Checks what the doors are to become. What only a restart can change is in `config` as it is now.
    ///
    /// # Errors
    /// Fails closed: refuses what a door would not be opened with.
    pub(crate) fn prepare(&self, config: &Resolved) -> anyhow::Result<Prepared> {
        let certificates = OwnCertificates::read(config)?;
        let log = self.log.prepare(config)?;
        let settings = DoorConfig { access_log: log.log.clone(), ..http::settings(config, self.admin) };
        let http = self.http.as_ref().map(|door| door.prepare(&settings));
        let http = http.transpose().context("change the HTTP door")?;
        let tcp = self.tcp.prepare(config, &self.opening)?;
        let redirect = self.redirect.prepare(config)?;
        let egress = match &self.egress {
            Some(egress) => egress.prepare(&config.egress).context("change the egress")?,
            None => None,
        };
        Ok(Prepared { certificates, changes: self.clone(), http, tcp, redirect, egress, log })
    }

    /// Opens the access log anew, as after its file was moved away.
    pub(crate) fn reopen_log(&self) {
        if let Some(log) = self.log.current() {
            tracing::info!("access log opened anew");
            log.reopen();
        }
    }

    /// What keeps a certificate from a public CA for the doors, if one is wanted.
    ///
    /// # Errors
    /// When what it needs cannot be kept.
    pub(crate) fn acme(
        &self,
        config: &Resolved,
        authority: Option<&Arc<Authority>>,
    ) -> anyhow::Result<Option<Acme>> {
        let Some(settings) = &config.acme else { return Ok(None) };
        let shown = (self.redirect.challenges(), Arc::clone(&self.shown));
        Acme::new(settings.clone(), &config.data_dir, shown, authority.cloned()).map(Some)
    }

    /// Where the TCP doors listen, by name.
    pub(crate) fn tcp_doors(&self) -> Vec<(String, SocketAddr)> {
        self.tcp.addresses()
    }

    /// Whether a CA can look over plain HTTP whose the doors' names are.
    pub(crate) fn answers_cas(&self) -> bool {
        self.redirect.is_open()
    }

    /// Shows no certificate any more that came from a public CA.
    pub(crate) fn forget_acquired(&self) {
        self.shown.forget_acquired();
    }

    /// Shows the operator's certificates as they are in their files now.
    ///
    /// # Errors
    /// When one cannot be used: then all stay what they are.
    pub(crate) fn show_certificates(&self, config: &Resolved) -> anyhow::Result<()> {
        self.shown.show_own(OwnCertificates::read(config)?);
        Ok(())
    }
}

impl Prepared {
    /// Puts it in force for whoever comes next, and for the next request of whoever is there.
    pub(crate) fn publish(self) {
        self.changes.shown.show_own(self.certificates);
        self.tcp.publish();
        if let Some(http) = self.http {
            http.publish();
        }
        self.redirect.publish();
        if let Some(egress) = self.egress {
            egress.publish();
        }
        self.changes.log.publish(self.log);
    }
}
