//! What others can see of the running agent: the state file, and the service manager's status line.

use countersign_core::time::Timestamp;
use countersign_supervisor::{Supervisor, Variables};

use crate::channel::ConnectionState;
use crate::host::AGENT_VERSION;
use crate::state::{Failure, ForwardState, RunState, StateFile};

/// Keeps what others see up to date.
pub(super) struct Report {
    state: RunState,
    written: Option<RunState>,
    file: StateFile,
    pub(super) supervisor: Supervisor,
}

impl Report {
    pub(super) fn new(file: StateFile, now: Timestamp) -> Self {
        let supervisor = Supervisor::new(&Variables::default());
        Self { state: RunState::starting(AGENT_VERSION, now), written: None, file, supervisor }
    }

    /// The control plane has answered a heartbeat.
    pub(super) fn contact(&mut self, now: Timestamp) {
        self.state.last_contact_at = Some(now.floor_to_second());
        self.state.last_failure = None;
    }

    /// Something did not work.
    pub(super) fn failure(&mut self, now: Timestamp, message: &dyn std::fmt::Display) {
        let message = message.to_string().chars().take(500).collect();
        self.state.last_failure = Some(Failure { at: now.floor_to_second(), message });
    }

    /// How the forwards get on.
    pub(super) fn forwards(&mut self, forwards: Vec<ForwardState>) {
        self.state.forwards = forwards;
    }

    /// How the WebSocket stands.
    pub(super) fn connection(&mut self, now: Timestamp, connection: ConnectionState) {
        if self.state.connection != connection {
            self.state.connection = connection;
            self.state.connection_since = now.floor_to_second();
        }
    }

    /// The device is quarantined; whether that is news.
    pub(super) fn quarantined(&mut self, now: Timestamp) -> bool {
        let is_news = self.state.quarantined_since.is_none();
        self.state.quarantined_since.get_or_insert(now.floor_to_second());
        is_news
    }

    /// The device is served; whether it was quarantined before.
    pub(super) fn served(&mut self) -> bool {
        self.state.quarantined_since.take().is_some()
    }

    pub(super) const fn is_quarantined(&self) -> bool {
        self.state.quarantined_since.is_some()
    }

    /// Lets others see it, if there is anything new.
    pub(super) fn publish(&mut self) {
        if self.written.as_ref() == Some(&self.state) {
            return;
        }
        if let Err(error) = self.file.write(&self.state) {
            tracing::debug!(%error, "cannot write the state file");
        }
        let line = line(&self.state);
        if self.written.as_ref().map(self::line) != Some(line) {
            self.supervisor.status(line);
        }
        self.written = Some(self.state.clone());
    }

    /// Takes back what was written.
    pub(super) fn withdraw(&self) {
        if let Err(error) = self.file.remove() {
            tracing::warn!(%error, "cannot remove the state file");
        }
    }
}

/// The state in a line.
fn line(state: &RunState) -> &'static str {
    match (state.quarantined_since, state.connection, &state.last_failure) {
        (Some(_), ..) => "Quarantined: an admin has to approve this device",
        (None, ConnectionState::Unauthorized, _) => "Refused: the control plane does not admit this device",
        (None, _, Some(_)) => "Trying to reach the control plane",
        (None, ConnectionState::Superseded, None) => "Another process connects as this device",
        (None, ConnectionState::Open, None) => "Connected",
        (None, ConnectionState::Unsupported, None) => "Connected by heartbeats",
        (None, ConnectionState::Connecting | ConnectionState::Lost | ConnectionState::Quarantined, None) => {
            "Connecting"
        }
    }
}
