//! The agent at work: heartbeats, renewals, and patience when something does not work.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use countersign_api::client::{ApiError, Client, ClientError};
use countersign_api::wire::agent::{HeartbeatRequest, HeartbeatResponse};
use countersign_core::time::{Clock, Timestamp};
use countersign_tls::ClientError as TlsError;
use thiserror::Error;
use tokio::time::{Instant, sleep_until};

use crate::backoff::{Backoff, Spread, jittered};
use crate::clock_watch::ClockWatch;
use crate::config::{Config, Enrolment, HeldCertificate};
use crate::connect::{Connect, Showing};
use crate::disk::{Disk, DiskError};
use crate::host::AGENT_VERSION;
use crate::random;
use crate::renew::{Renewal, Setback, Trigger, is_expired};

/// The longest time between two looks at the clock.
const LONGEST_TICK: Duration = Duration::from_secs(60);

/// The code of a certificate that the control plane calls expired.
const EXPIRED: &str = "CERTIFICATE_EXPIRED";

/// The codes of refusals that no waiting ends.
const RETIRED: [&str; 2] = ["CERTIFICATE_REVOKED", "DEVICE_DECOMMISSIONED"];

/// How long to wait between what.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// Between heartbeats; `None`: as the control plane said at enrolment.
    pub heartbeat: Option<Duration>,
    /// The first wait after a refusal, a quarantine or a missing certificate. Later ones double up
    /// to 15 times as much. Waits after an outage begin at a thirtieth of it and end at 5 times.
    pub retry_base: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self { heartbeat: None, retry_base: Duration::from_secs(60) }
    }
}

impl Timing {
    fn slow(self) -> Backoff {
        Backoff::new(self.retry_base, self.retry_base.saturating_mul(15), Spread::Half)
    }

    fn outage(self) -> Backoff {
        Backoff::new(self.retry_base / 30, self.retry_base.saturating_mul(5), Spread::Full)
    }
}

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

/// A heartbeat was not answered with a 200.
#[derive(Debug, Error)]
enum HeartbeatError {
    #[error("set up the connection")]
    Tls(#[from] TlsError),
    #[error("send the heartbeat")]
    Client(#[from] ClientError),
}

impl HeartbeatError {
    fn answer(&self) -> Option<&ApiError> {
        match self {
            Self::Tls(_) => None,
            Self::Client(error) => error.answer(),
        }
    }

    fn setback(&self) -> Setback {
        match self {
            Self::Tls(_) => Setback::Refused,
            Self::Client(error) => Setback::of(error),
        }
    }
}

/// One kind of work that is tried again and again: when next, and how patiently.
#[derive(Debug)]
struct Attempts {
    at: Instant,
    slow: Backoff,
    outage: Backoff,
}

impl Attempts {
    fn new(timing: Timing) -> Self {
        Self { at: Instant::now(), slow: timing.slow(), outage: timing.outage() }
    }

    fn succeeded(&mut self, next: Duration) {
        self.slow.reset();
        self.outage.reset();
        self.at = Instant::now() + next;
    }

    /// How long the next attempt waits.
    fn failed(&mut self, setback: Setback) -> Duration {
        let fraction = random::fraction();
        let wait = match setback {
            Setback::Outage { retry_after } => self.outage.next_after(retry_after, fraction),
            Setback::Quarantined | Setback::Refused => self.slow.next(fraction),
        };
        self.at = Instant::now() + wait;
        wait
    }

    fn is_due(&self) -> bool {
        Instant::now() >= self.at
    }
}

/// A client and what it shows.
struct Session {
    client: Client,
    of: Config,
    is_showing: bool,
}

/// The agent of an enrolled device.
pub struct Agent {
    disk: Arc<dyn Disk>,
    clock: Arc<dyn Clock>,
    connect: Connect,
    renewal: Renewal,
    timing: Timing,
    config: Config,
    session: Option<Session>,
    heartbeats: Attempts,
    renewals: Attempts,
    trigger: Trigger,
    is_quarantined: bool,
    announced: Option<Timestamp>,
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
        host_name: &str,
    ) -> Result<Self, RunError> {
        let config = disk.load()?.filter(|config| config.enrolment.is_some()).ok_or(RunError::NotEnrolled)?;
        let renewal = Renewal::new(Arc::clone(&disk), Arc::clone(&clock), connect, host_name);
        Ok(Self {
            disk,
            clock,
            connect,
            renewal,
            timing,
            config,
            session: None,
            heartbeats: Attempts::new(timing),
            renewals: Attempts::new(timing),
            trigger: Trigger::Clock,
            is_quarantined: false,
            announced: None,
        })
    }

    /// Works until `shutdown` comes. Nothing that was saved is lost by stopping at any moment.
    pub async fn run(&mut self, shutdown: impl Future<Output = ()>) {
        let mut shutdown = std::pin::pin!(shutdown);
        let mut watch = ClockWatch::new(self.clock.now(), Instant::now());
        if let Some(enrolment) = &self.config.enrolment {
            tracing::info!(
                device = %enrolment.device, name = %enrolment.name, server = %self.config.server, "agent started"
            );
            if enrolment.current.is_none() && enrolment.pending.is_none() {
                tracing::warn!(
                    "there is neither a certificate nor a key to ask for one with, enrol again to get one"
                );
            }
        }
        loop {
            tokio::select! {
                biased;
                () = &mut shutdown => break,
                () = self.work(&mut watch) => {}
            }
        }
        tracing::info!("agent stopped");
    }

    /// Waits for the next moment at which something may be due, and does what is.
    async fn work(&mut self, watch: &mut ClockWatch) {
        sleep_until(self.wake_at()).await;
        if watch.has_jumped(self.clock.now(), Instant::now()) {
            tracing::info!("the clock was set or the machine slept, looking at everything now");
            self.heartbeats.at = Instant::now();
            self.renewals.at = Instant::now();
        }
        self.reload();
        // Renewal first: a heartbeat with a certificate that has expired is of no use.
        if self.renewals.is_due() {
            self.renew().await;
        }
        if self.heartbeats.is_due() {
            self.beat().await;
        }
        if self.trigger == Trigger::Asked && self.renewals.is_due() {
            self.renew().await;
        }
    }

    fn wake_at(&self) -> Instant {
        let tick = Instant::now() + self.interval().min(LONGEST_TICK);
        // A renewal that is not held back is looked at with every tick: its time is a time of day.
        let renewal = if self.renewals.is_due() { tick } else { self.renewals.at };
        self.heartbeats.at.min(renewal).min(tick)
    }

    fn interval(&self) -> Duration {
        let configured = self.config.enrolment.as_ref().map(|enrolment| enrolment.heartbeat_interval);
        self.timing.heartbeat.or(configured).unwrap_or(LONGEST_TICK)
    }

    /// Takes over what another agent process, such as `renew`, has changed.
    fn reload(&mut self) {
        match self.disk.load() {
            Ok(Some(config)) if config.enrolment.is_some() => self.config = config,
            Ok(_) => tracing::warn!(
                path = %self.disk.path().display(),
                "the configuration is gone, going on with what is in memory"
            ),
            Err(error) => tracing::warn!(
                error = %Chain(&error),
                "cannot read the configuration, going on with what is in memory"
            ),
        }
    }

    async fn renew(&mut self) {
        match self.renewal.settle(self.trigger).await {
            Ok(outcome) => {
                self.renewals.succeeded(Duration::ZERO);
                self.reload();
                if let Some(expires) = &outcome.renewed {
                    self.trigger = Trigger::Clock;
                    tracing::info!(expires = %expires, "certificate renewed");
                    self.heartbeats.at = Instant::now();
                }
                if outcome.next != self.announced
                    && let Some(at) = outcome.next
                {
                    tracing::debug!(at = %at, "next renewal by the clock");
                }
                self.announced = outcome.next;
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
                if setback != Setback::Quarantined {
                    tracing::warn!(
                        error = %Chain(&error), retry_seconds = wait.as_secs(), "certificate not renewed"
                    );
                }
            }
        }
    }

    async fn beat(&mut self) {
        let outcome = self.send_heartbeat().await;
        match outcome {
            Ok(answer) => {
                let interval = self.interval();
                self.heartbeats.succeeded(jittered(interval, random::fraction()));
                if std::mem::take(&mut self.is_quarantined) {
                    tracing::info!("device approved, running on");
                }
                if answer.renew_cert && self.trigger == Trigger::Clock {
                    tracing::info!("the control plane asks for a renewal");
                    self.trigger = Trigger::Asked;
                }
            }
            Err(error) => {
                let setback = error.setback();
                self.note_quarantine(setback);
                self.note_expiry(&error);
                let wait = self.heartbeats.failed(setback);
                if setback != Setback::Quarantined {
                    Self::log_failed_heartbeat(&error, wait);
                }
            }
        }
    }

    fn log_failed_heartbeat(error: &HeartbeatError, wait: Duration) {
        let answer = error.answer();
        let is_retired = answer.is_some_and(|answer| {
            answer.status.as_u16() == 401 || RETIRED.iter().any(|code| answer.has_code(code))
        });
        let (error, retry_seconds) = (Chain(error), wait.as_secs());
        if is_retired {
            tracing::error!(
                error = %error, retry_seconds,
                "the control plane does not admit this device any more; an admin has retired it or it must enrol again"
            );
        } else {
            tracing::warn!(error = %error, retry_seconds, "heartbeat failed");
        }
    }

    /// The control plane's clock counts, not ours: what it calls expired is renewed.
    fn note_expiry(&mut self, error: &HeartbeatError) {
        if error.answer().is_some_and(|answer| answer.has_code(EXPIRED)) {
            tracing::warn!(
                "the control plane says that the certificate has expired, renewing it; check the clock"
            );
            self.renewal.prefer_signatures();
            self.trigger = Trigger::Asked;
        }
    }

    /// A quarantined device asks by renewal, slowly: an approval is used up by a renewed
    /// certificate, and not using it leads back into quarantine.
    fn note_quarantine(&mut self, setback: Setback) {
        if setback != Setback::Quarantined {
            return;
        }
        self.renewal.prefer_signatures();
        self.trigger = Trigger::Asked;
        if !std::mem::replace(&mut self.is_quarantined, true) {
            tracing::warn!("device quarantined, asking slowly until an admin has approved it");
        }
    }

    async fn send_heartbeat(&mut self) -> Result<HeartbeatResponse, HeartbeatError> {
        let now = self.clock.now();
        let Some(enrolment) = self.config.enrolment.clone() else {
            return Ok(HeartbeatResponse {
                commands: Vec::new(),
                config_update: None,
                upgrade_to: None,
                renew_cert: false,
            });
        };
        let usable = usable(&enrolment).filter(|(certificate, _)| !is_expired(certificate, now));
        let showing =
            usable.map_or(Showing::Nothing, |(certificate, key)| Showing::Certificate(certificate, key));
        let client = self.client(showing)?;
        let request = HeartbeatRequest {
            status: Some("online".to_owned()),
            agent_version: Some(AGENT_VERSION.to_owned()),
            ..HeartbeatRequest::default()
        };
        Ok(client.heartbeat(enrolment.token.expose(), &enrolment.agent, &request).await?)
    }

    /// The client of the last heartbeat, unless something about it has changed.
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

fn usable(enrolment: &Enrolment) -> Option<(&HeldCertificate, &crate::secret::Secret)> {
    enrolment.current.as_ref().map(|credential| (&credential.certificate, &credential.key))
}

/// An error with all its sources, for one log line.
struct Chain<'a>(&'a dyn std::error::Error);

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}
