//! The connection beside the heartbeats, a WebSocket or a session at an MQTT door: kept open, and opened again with
//! patience.

use std::time::Duration;

use countersign_api::wire::command::{CommandResult, FromAgent};
use countersign_core::ids::CommandId;
use serde_json::json;
use tokio::time::Instant;

use super::agent::{Agent, SessionError};
use crate::backoff::jittered;
use crate::chain::Chain;
use crate::channel::{ConnectionState, End, Event, Link, MqttOpening, Opening, Saying};
use crate::config::{MqttServer, Transport};
use crate::connect::{Connect, Showing};
use crate::host::AGENT_VERSION;
use crate::random;
use crate::renew::Setback;
use crate::secret::Secret;

/// How long until a control plane without WebSockets is asked again: it may have been upgraded.
const UNSUPPORTED_WAIT: Duration = Duration::from_secs(3600);

/// After how long a heartbeat is sent although a session at an MQTT door says how the agent is: its answer has
/// settings, and news of CA certificates.
const FULL_BEAT: Duration = Duration::from_secs(3600);

/// A connection that is open, or being opened.
pub(super) struct Connection {
    pub(super) link: Link,
    /// The token that it was opened with.
    token: Secret,
    open_since: Option<Instant>,
}

impl Agent {
    /// Whether one should be opened as soon as it is time to.
    pub(super) const fn wants_connection(&self) -> bool {
        self.connection.is_none() && !self.report.is_quarantined()
    }

    /// Opens one, if there is none and it is time to. One that is open stays, whatever was renewed
    /// meanwhile.
    pub(super) fn keep_connected(&mut self) {
        if !self.wants_connection() || !self.connections.is_due() {
            return;
        }
        match self.link() {
            Ok((link, token)) => {
                self.connection = Some(Connection { link, token, open_since: None });
                self.note_connection(ConnectionState::Connecting);
            }
            Err(error) => {
                self.connections.failed(Setback::Refused);
                tracing::warn!(error = %Chain(&error), "connection not opened");
            }
        }
    }

    /// Begins to open one, with this token.
    fn link(&mut self) -> Result<(Link, Secret), SessionError> {
        let silence = self.timing.silence;
        let Transport::Mqtt(server) = &self.config.transport else {
            let (client, enrolment) = self.session()?;
            let token = enrolment.token.clone();
            let opening = Opening { client, token: enrolment.token, agent: enrolment.agent, silence };
            return Ok((Link::open(opening), token));
        };
        let enrolment = self.config.enrolment.as_ref().ok_or(SessionError::NotEnrolled)?;
        let credential = enrolment.current.as_ref().ok_or(SessionError::NoCertificate)?;
        let showing = Showing::Certificate(&credential.certificate, &credential.key);
        let tls = Connect::tls(self.config.ca_pem.as_deref().unwrap_or_default(), showing)?;
        let host = || self.config.server.authority().host().to_owned();
        let server = server.clone().unwrap_or_else(|| MqttServer { host: host(), port: MqttServer::PORT });
        let opening = MqttOpening { server, tls: tls.with_protocols(&[]), silence };
        Ok((Link::open_mqtt(opening), enrolment.token.clone()))
    }

    /// Says how the agent is over MQTT, if that is open and a heartbeat has brought what those bring not long
    /// ago. Whether it did.
    pub(super) fn beat_over_mqtt(&mut self) -> bool {
        let is_recent = self.full_beat.is_some_and(|at| at.elapsed() < FULL_BEAT);
        let is_open = self.connection.as_ref().is_some_and(|connection| connection.open_since.is_some());
        if !is_open || !is_recent || !matches!(self.config.transport, Transport::Mqtt(_)) {
            return false;
        }
        let enrolment = self.config.enrolment.as_ref();
        let state = json!({
            "agentVersion": AGENT_VERSION,
            "configVersion": enrolment.and_then(|enrolment| enrolment.settings_version),
        });
        if let Some(connection) = &self.connection {
            connection.link.send(Saying::State(state));
        }
        self.heartbeats.succeeded(jittered(self.interval(), random::fraction()));
        true
    }

    /// Something happens on it.
    pub(super) fn hear(&mut self, event: Event) {
        match event {
            Event::Opened => {
                if let Some(connection) = &mut self.connection {
                    connection.open_since = Some(Instant::now());
                }
                self.note_connection(ConnectionState::Open);
                tracing::info!("connected");
                for (id, result) in self.ledger.outstanding() {
                    self.send_result(id, result);
                }
            }
            Event::Refused(error) => {
                self.end_connection(End::of_refusal(&error), &Chain(&*error).to_string())
            }
            Event::Ended(end, why) => self.end_connection(end, &why),
            Event::Command(command) => self.accept(*command),
            Event::Recorded(id) => self.ledger.settle(id),
            Event::Beaten => self.report.contact(self.clock.now()),
        }
    }

    fn end_connection(&mut self, end: End, why: &str) {
        let ended = self.connection.take();
        self.note_connection(end.state());
        let lasted = ended.as_ref().and_then(|connection| connection.open_since).map(|at| at.elapsed());
        if lasted.is_some_and(|lasted| lasted >= self.timing.retry_base) {
            self.connections.succeeded(Duration::ZERO);
        }
        let token = self.config.enrolment.as_ref().map(|enrolment| &enrolment.token);
        let is_old_token = ended.as_ref().map(|connection| &connection.token) != token;
        let wait = match end {
            End::Unauthorized if is_old_token => {
                tracing::debug!(why, "the WebSocket of the former token is closed");
                self.connections.now();
                return;
            }
            End::Lost { retry_after } => self.connections.failed(Setback::Outage { retry_after }),
            End::Unsupported => {
                self.connections.succeeded(UNSUPPORTED_WAIT);
                UNSUPPORTED_WAIT
            }
            End::Unauthorized | End::Superseded => self.connections.failed(Setback::Refused),
            End::Quarantined => {
                self.note_quarantine(Setback::Quarantined);
                self.renewals.now();
                return;
            }
        };
        let retry_seconds = wait.as_secs();
        match end {
            End::Unauthorized => {
                // A heartbeat says more exactly what is the matter.
                self.beat_in_full();
                tracing::warn!(why, retry_seconds, "the control plane refuses the WebSocket");
            }
            End::Superseded => tracing::warn!(
                why,
                retry_seconds,
                "another process has connected as this device: is its configuration in use elsewhere?"
            ),
            End::Unsupported => {
                tracing::info!(why, "the control plane has no WebSocket, heartbeats do all");
            }
            End::Lost { .. } | End::Quarantined => {
                tracing::info!(why, retry_seconds, "not connected");
            }
        }
    }

    /// Sends a heartbeat as soon as it can, over HTTP.
    pub(super) fn beat_in_full(&mut self) {
        self.full_beat = None;
        self.heartbeats.now();
    }

    pub(super) fn note_connection(&mut self, state: ConnectionState) {
        self.report.connection(self.clock.now(), state);
    }

    /// Says what came of a command over the WebSocket, if it is open; heartbeats say it as well
    /// until it is recorded.
    pub(super) fn send_result(&self, id: CommandId, result: CommandResult) -> bool {
        let open = self.connection.as_ref().filter(|connection| connection.open_since.is_some());
        let Some(connection) = open else { return false };
        connection.link.send(Saying::Frame(FromAgent::Result { id, result }));
        true
    }
}
