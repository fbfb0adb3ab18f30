//! The loop: waits for the next moment at which something may be due, and does what is.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use countersign_api::client::Client;
use countersign_api::wire::command::Command;
use countersign_core::time::{Clock, Timestamp};
use countersign_supervisor::Supervisor;
use countersign_tls::ClientError as TlsError;
use thiserror::Error;
use tokio::time::{Instant, sleep_until};

use super::connection::Connection;
use super::forwards::Forwards;
use super::report::Report;
use super::timing::{Attempts, Timing};
use crate::chain::Chain;
use crate::channel::Event;
use crate::clock_watch::ClockWatch;
use crate::commands::Ledger;
use crate::config::{Config, Enrolment, HeldCertificate};
use crate::connect::{Connect, Showing};
use crate::disk::{Disk, DiskError};
use crate::host::Host;
use crate::renew::{Outcome, Renewal, Setback, Trigger, is_expired};
use crate::secret::Secret;
use crate::state::StateFile;
use crate::token::TokenRotation;

/// The longest time between two looks at the clock.
const LONGEST_TICK: Duration = Duration::from_secs(60);

/// The agent cannot go to work.
#[derive(Debug, Error)]
pub enum RunError {
    /// The device has not enrolled.
    #[error("this device has not enrolled")]
    NotEnrolled,
    /// The configuration cannot be read.
    #[error("start the agent")]
    Disk(#[from] DiskError),
}

/// A client and what it shows.
struct Session {
    client: Client,
    of: Config,
    is_showing: bool,
}

/// The agent of an enrolled device.
pub struct Agent {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) connect: Connect,
    pub(super) renewal: Renewal,
    pub(super) rotation: TokenRotation,
    pub(super) timing: Timing,
    pub(super) host: Host,
    pub(super) config: Config,
    session: Option<Session>,
    pub(super) heartbeats: Attempts,
    pub(super) renewals: Attempts,
    pub(super) rotations: Attempts,
    pub(super) bundles: Attempts,
    /// The CA certificates, by their hash, that a heartbeat's answer has made us ask for.
    pub(super) told_bundle: Option<String>,
    pub(super) connections: Attempts,
    pub(super) connection: Option<Connection>,
    pub(super) ledger: Ledger,
    pub(super) queue: VecDeque<Command>,
    pub(super) trigger: Trigger,
    pub(super) measured: Option<Instant>,
    /// When a heartbeat was last answered.
    pub(super) full_beat: Option<Instant>,
    pub(super) forwards: Forwards,
    pub(super) report: Report,
    announced: Option<Timestamp>,
    is_config_gone: bool,
    pub(super) is_over: bool,
}

impl Agent {
    /// The agent whose configuration is on `disk`.
    ///
    /// # Errors
    /// When there is none, or the device has not enrolled.
    pub fn new(
        disk: Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
        connect: Connect,
        timing: Timing,
        host: Host,
    ) -> Result<Self, RunError> {
        let config = disk.load()?.filter(|config| config.enrolment.is_some()).ok_or(RunError::NotEnrolled)?;
        let renewal = Renewal::new(Arc::clone(&disk), Arc::clone(&clock), connect, &host.name);
        let rotation = TokenRotation::new(Arc::clone(&disk), Arc::clone(&clock), connect);
        let report = Report::new(StateFile::beside(disk.path()), clock.now());
        Ok(Self {
            disk,
            clock,
            connect,
            renewal,
            rotation,
            timing,
            host,
            config,
            session: None,
            heartbeats: Attempts::new(timing),
            renewals: Attempts::new(timing),
            rotations: Attempts::new(timing),
            bundles: Attempts::new(timing),
            told_bundle: None,
            connections: Attempts::of_connections(timing),
            connection: None,
            ledger: Ledger::default(),
            queue: VecDeque::new(),
            trigger: Trigger::Clock,
            measured: None,
            full_beat: None,
            forwards: Forwards::default(),
            report,
            announced: None,
            is_config_gone: false,
            is_over: false,
        })
    }

    /// The same, telling `supervisor` how it goes.
    #[must_use]
    pub fn with_supervisor(mut self, supervisor: Supervisor) -> Self {
        self.report.supervisor = supervisor;
        self
    }

    /// Works until `shutdown` comes, or the device was unenrolled. Nothing that was saved is lost by
    /// stopping at any moment.
    pub async fn run(&mut self, shutdown: impl Future<Output = ()>) {
        let mut shutdown = std::pin::pin!(shutdown);
        let mut watch = ClockWatch::new(self.clock.now(), Instant::now());
        self.announce();
        // A control plane that is out of reach must not keep the service from starting.
        self.keep_forwards().await;
        self.report.supervisor.ready();
        self.report.publish();
        while !self.is_over {
            tokio::select! {
                biased;
                () = &mut shutdown => break,
                () = self.work(&mut watch) => {}
            }
        }
        self.report.supervisor.stopping();
        if self.is_over {
            self.report.withdraw();
        }
        if let Some(connection) = self.connection.take() {
            connection.link.close().await;
        }
        tracing::info!("agent stopped");
    }

    fn announce(&self) {
        let Some(enrolment) = &self.config.enrolment else { return };
        tracing::info!(
            device = %enrolment.device, name = %enrolment.name, server = %self.config.server, "agent started"
        );
        if enrolment.current.is_none() && enrolment.pending.is_none() {
            tracing::warn!(
                "there is neither a certificate nor a key to ask for one with, enrol again to get one"
            );
        }
    }

    /// Waits for the next moment at which something may be due, and does what is.
    async fn work(&mut self, watch: &mut ClockWatch) {
        let event = self.wait().await;
        self.report.supervisor.alive();
        if watch.has_jumped(self.clock.now(), Instant::now()) {
            tracing::info!("the clock was set or the machine slept, looking at everything now");
            self.beat_in_full();
            self.renewals.now();
            self.connections.now();
        }
        self.reload();
        if let Some(event) = event {
            self.hear(event);
        }
        // First of all: while a new token waits for its confirmation, the old one may be void.
        self.finish_rotation().await;
        // Renewal first: a heartbeat with a certificate that has expired is of no use.
        if self.renewals.is_due() {
            drop(self.renew().await);
        }
        if self.heartbeats.is_due() && !self.beat_over_mqtt() {
            drop(self.beat().await);
        }
        if self.trigger == Trigger::Asked && self.renewals.is_due() {
            drop(self.renew().await);
        }
        while let Some(command) = self.queue.pop_front() {
            self.carry_out(command).await;
        }
        self.refresh_trust().await;
        self.keep_connected();
        self.keep_forwards().await;
        // Beside a configuration that was removed, nothing is to be written.
        if !self.is_config_gone {
            self.report.publish();
        }
    }

    /// Until something may be due, or something happens on the WebSocket.
    async fn wait(&mut self) -> Option<Event> {
        let due = sleep_until(self.wake_at());
        match &mut self.connection {
            Some(connection) => tokio::select! {
                event = connection.link.event() => Some(event),
                () = due => None,
            },
            None => {
                due.await;
                None
            }
        }
    }

    fn wake_at(&self) -> Instant {
        let longest =
            self.report.supervisor.watchdog().map_or(LONGEST_TICK, |limit| LONGEST_TICK.min(limit / 3));
        let tick = Instant::now() + self.interval().min(longest);
        // A renewal that is not held back is looked at with every tick: its time is a time of day.
        let renewal = if self.renewals.is_due() { tick } else { self.renewals.at };
        let connection = if self.wants_connection() { self.connections.at } else { tick };
        let rotation = if self.is_rotating() { self.rotations.at } else { tick };
        self.heartbeats.at.min(renewal).min(connection).min(rotation).min(tick)
    }

    pub(super) fn interval(&self) -> Duration {
        let configured = self.config.enrolment.as_ref().map(|enrolment| enrolment.heartbeat_interval);
        self.timing.heartbeat.or(configured).unwrap_or(LONGEST_TICK)
    }

    /// Takes over what another agent process, such as `renew`, has changed.
    pub(super) fn reload(&mut self) {
        self.is_config_gone = false;
        match self.disk.load() {
            Ok(Some(config)) if config.enrolment.is_some() => self.config = config,
            Ok(_) => {
                self.is_config_gone = true;
                tracing::warn!(
                    path = %self.disk.path().display(),
                    "the configuration is gone, going on with what is in memory"
                );
            }
            Err(error) => tracing::warn!(
                error = %Chain(&error),
                "cannot read the configuration, going on with what is in memory"
            ),
        }
    }

    /// Whether there is nothing left to do: the device's files are gone, and the control plane does
    /// not know it any more.
    pub(super) fn is_unenrolled(&mut self) -> bool {
        self.reload();
        self.is_config_gone
    }

    /// Renews if it is time to, and says why it did not work.
    pub(super) async fn renew(&mut self) -> Result<Outcome, String> {
        match self.renewal.settle(self.trigger).await {
            Ok(outcome) => {
                self.renewals.succeeded(Duration::ZERO);
                self.reload();
                if let Some(expires) = &outcome.renewed {
                    self.trigger = Trigger::Clock;
                    tracing::info!(expires = %expires, "certificate renewed");
                    self.beat_in_full();
                }
                if outcome.next != self.announced
                    && let Some(at) = outcome.next
                {
                    tracing::debug!(at = %at, "next renewal by the clock");
                }
                self.announced = outcome.next;
                Ok(outcome)
            }
            Err(error) => {
                let setback = error.setback();
                self.note_quarantine(setback);
                // A first certificate may take as long as people take: no hurry.
                let has_none = self.config.enrolment.as_ref().is_some_and(|known| known.current.is_none());
                let wait = match setback {
                    Setback::Outage { retry_after: None } if has_none => {
                        self.renewals.failed(Setback::Refused)
                    }
                    Setback::Outage { .. } | Setback::Quarantined | Setback::Refused => {
                        self.renewals.failed(setback)
                    }
                };
                let error = Chain(&error).to_string();
                if setback != Setback::Quarantined {
                    self.report.failure(self.clock.now(), &error);
                    tracing::warn!(error, retry_seconds = wait.as_secs(), "certificate not renewed");
                }
                Err(error)
            }
        }
    }

    /// A client that shows the certificate while it is good. A certificate that has expired is not
    /// shown: the door would refuse what it may grant without one.
    pub(super) fn session(&mut self) -> Result<(Client, Enrolment), SessionError> {
        let enrolment = self.config.enrolment.clone().ok_or(SessionError::NotEnrolled)?;
        let now = self.clock.now();
        let usable = usable(&enrolment).filter(|(certificate, _)| !is_expired(certificate, now));
        let showing =
            usable.map_or(Showing::Nothing, |(certificate, key)| Showing::Certificate(certificate, key));
        Ok((self.client(showing)?, enrolment))
    }

    /// The client of the last time, unless something about it has changed.
    fn client(&mut self, showing: Showing<'_>) -> Result<Client, TlsError> {
        let is_showing = matches!(showing, Showing::Certificate(..));
        if let Some(session) = &self.session
            && session.is_showing == is_showing
            && session.of == self.config
        {
            return Ok(session.client.clone());
        }
        let ca_pem = self.config.ca_pem.as_deref().unwrap_or_default();
        let client = self.connect.client(&self.config.server, ca_pem, showing)?;
        self.session = Some(Session { client: client.clone(), of: self.config.clone(), is_showing });
        Ok(client)
    }
}

/// There is no client to ask with.
#[derive(Debug, Error)]
pub(super) enum SessionError {
    #[error("this device has not enrolled")]
    NotEnrolled,
    #[error("this device has no certificate yet")]
    NoCertificate,
    #[error("set up the connection")]
    Tls(#[from] TlsError),
}

fn usable(enrolment: &Enrolment) -> Option<(&HeldCertificate, &Secret)> {
    enrolment.current.as_ref().map(|credential| (&credential.certificate, &credential.key))
}
