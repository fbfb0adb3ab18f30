//! Giving open doors another configuration: all of it is checked before any of it is in force.

use std::sync::Arc;

use anyhow::Context as _;
use countersign_edge::{
    EgressChanges, HttpChanges, PreparedEgress, PreparedHttp, RedirectChanges, RedirectConfig, TcpChanges,
    TcpDoorConfig,
};
use countersign_server::AdminOnDoor;

use super::certificates::{OwnCertificates, Shown};
use super::{http, redirect, tcp};
use crate::config::Resolved;

/// What of the doors of this process can be changed while they are open.
#[derive(Clone, Debug)]
pub(crate) struct Changes {
    pub(super) http: Option<HttpChanges>,
    /// By name.
    pub(super) tcp: Vec<(String, TcpChanges)>,
    /// And the port that it leads to unless told otherwise.
    pub(super) redirect: Option<(RedirectChanges, u16)>,
    pub(super) egress: Option<EgressChanges>,
    pub(super) shown: Arc<Shown>,
    pub(super) admin: AdminOnDoor,
    pub(super) roots: String,
}

/// A change that was found to be right; dropped, it changes nothing.
#[derive(Debug)]
pub(crate) struct Prepared {
    certificates: OwnCertificates,
    shown: Arc<Shown>,
    http: Option<PreparedHttp>,
    tcp: Vec<(TcpChanges, TcpDoorConfig)>,
    redirect: Option<(RedirectChanges, RedirectConfig)>,
    egress: Option<PreparedEgress>,
}

impl Changes {
    /// Checks what the doors are to become. What only a restart can change is in `config` as it is now.
    ///
    /// # Errors
    /// Fails closed: refuses what a door would not be opened with.
    pub(crate) fn prepare(&self, config: &Resolved) -> anyhow::Result<Prepared> {
        let certificates = OwnCertificates::read(config)?;
        let settings = http::settings(config, self.admin);
        let http = self.http.as_ref().map(|door| door.prepare(&settings));
        let http = http.transpose().context("change the HTTP door")?;
        let mut tcp = Vec::new();
        for (name, changes) in &self.tcp {
            let Some(door) = config.tcp_doors.iter().find(|door| door.name.to_string() == *name) else {
                continue;
            };
            let settings = tcp::settings(door, &config.hosts, &self.roots);
            tcp.push((changes.clone(), settings.with_context(|| format!("change the TCP door {name}"))?));
        }
        let redirect = self.redirect.as_ref().and_then(|(changes, port)| {
            let wanted = config.redirect?;
            Some((changes.clone(), redirect::settings(config, wanted, *port)))
        });
        let egress = match &self.egress {
            Some(egress) => egress.prepare(&config.egress).context("change the egress")?,
            None => None,
        };
        let shown = Arc::clone(&self.shown);
        Ok(Prepared { certificates, shown, http, tcp, redirect, egress })
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
        self.shown.show_own(self.certificates);
        for (door, settings) in self.tcp {
            door.publish(settings);
        }
        if let Some(http) = self.http {
            http.publish();
        }
        if let Some((redirect, settings)) = self.redirect {
            redirect.publish(settings);
        }
        if let Some(egress) = self.egress {
            egress.publish();
        }
    }
}
