//! One WebSocket of a device: commands out, acknowledgements and results in, until either side or a
//! decision about the device ends it.

use std::collections::HashSet;
use std::time::Duration;

use countersign_api::UpgradedConnection;
use countersign_api::wire::command::{CommandResult, CommandStatus, FRAME_LIMIT, FromAgent, ToAgent, close};
use countersign_authority::channels::{Channel, Parting};
use countersign_authority::commands::{CommandReport, RecordResultError, ReportedVerdict};
use countersign_core::access::{Access, Holder, Place, decide};
use countersign_core::ids::CommandId;
use countersign_core::snapshot::{Bar, Standing, TenantService};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::DuplexStream;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::device::commands::wire_offered;
use crate::device::identify::AdmittedAgent;
use crate::state::ControlPlane;

/// How long the last word may take: less than a door waits for it.
const LAST_WORD: Duration = Duration::from_millis(200);
/// How much is read at once.
const READ_AT_ONCE: usize = 4096;
/// How much may wait to be written: a command is at most a quarter of it.
const WRITE_LIMIT: usize = 2 * FRAME_LIMIT;

type Socket = WebSocketStream<DuplexStream>;

/// A device's WebSocket.
pub(crate) struct Session {
    pub(crate) state: ControlPlane,
    pub(crate) agent: AdmittedAgent,
    pub(crate) channel: Channel,
}

/// How a session ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Farewell {
    /// The agent ended it, or is gone: nothing is left to say.
    Gone,
    /// With this code and reason.
    Close(u16, &'static str),
}

impl Farewell {
    const NOT_AUTHORISED: Self = Self::Close(close::UNAUTHORIZED, "not authorised any more");
    const SUPERSEDED: Self = Self::Close(close::SUPERSEDED, "a newer connection of this device");
    const PONG_TIMEOUT: Self = Self::Close(close::PONG_TIMEOUT, "no answer to a ping");
    const QUARANTINED: Self = Self::Close(close::QUARANTINED, "device quarantined");
    const GOING_AWAY: Self = Self::Close(1001, "the server is going away");
    const PROTOCOL: Self = Self::Close(1002, "not the WebSocket protocol");
    const NO_TEXT: Self = Self::Close(1003, "only text is taken");
    const NO_MESSAGE: Self = Self::Close(1007, "not a message");
    const TOO_MANY: Self = Self::Close(1008, "too many messages");
    const TOO_LARGE: Self = Self::Close(1009, "messages are at most 64 KiB");
    const FAILED: Self = Self::Close(1011, "something went wrong on our side");
}

/// What is waited for next between pings and pongs.
struct Pulse {
    every: Duration,
    next: Instant,
    is_answer_due: bool,
}

impl Pulse {
    fn new(every: Duration) -> Self {
        Self { every, next: Instant::now() + every, is_answer_due: false }
    }

    /// How long the answer to a ping may take: 10 s where a ping is sent every 30 s.
    fn patience(&self) -> Duration {
        self.every / 3
    }

    fn pinged(&mut self) {
        self.is_answer_due = true;
        self.next = Instant::now() + self.patience();
    }

    fn answered(&mut self) {
        self.is_answer_due = false;
        self.next = Instant::now() + self.every;
    }
}

impl Session {
    /// Serves the connection to its end.
    pub(crate) async fn run(self, connection: UpgradedConnection) {
        let UpgradedConnection { stream, mut notice } = connection;
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_AT_ONCE)
            .write_buffer_size(0)
            .max_write_buffer_size(WRITE_LIMIT)
            .max_message_size(Some(FRAME_LIMIT))
            .max_frame_size(Some(FRAME_LIMIT));
        let mut socket = WebSocketStream::from_raw_socket(stream, Role::Server, Some(config)).await;
        let farewell = tokio::select! {
            biased;
            // The door cuts for what the snapshot says, or because it closes.
            () = notice.given() => self.verdict().err().unwrap_or(Farewell::GOING_AWAY),
            fallen = self.fall() => fallen,
            said = self.converse(&mut socket) => said,
        };
        tracing::debug!(device = %self.agent.caller.id(), ?farewell, "channel closed");
        if let Farewell::Close(code, reason) = farewell
            && timeout(LAST_WORD, part(&mut socket, code, reason)).await.is_err()
        {
            tracing::debug!(device = %self.agent.caller.id(), "close frame not answered");
        }
        // Only now, so that the door waits until the last word is out.
        drop((socket, notice));
    }

    /// Waits until the session may not go on.
    async fn fall(&self) -> Farewell {
        let mut parting = std::pin::pin!(self.channel.parting());
        loop {
            if let Err(farewell) = self.verdict() {
                return farewell;
            }
            tokio::select! {
                () = self.channel.trust_changed() => {}
                parting = &mut parting => return match parting {
                    Parting::Replaced => Farewell::SUPERSEDED,
                    Parting::NotAuthorised => self.verdict().err().unwrap_or(Farewell::NOT_AUTHORISED),
                    Parting::GoingAway => Farewell::GOING_AWAY,
                },
            }
        }
    }

    /// Whether the session may go on at this moment: as a new one may, and over a certificate that was
    /// replaced until its overlap is over.
    ///
    /// Fails closed: a device or tenant that the snapshot does not know has none.
    fn verdict(&self) -> Result<(), Farewell> {
        let authority = &self.state.authority;
        let (snapshot, now) = (authority.snapshot(), authority.now());
        let identity = self.agent.caller.identity();
        let peer = &self.agent.arrival.peer;
        let holder = peer.claim().map_or(Holder::Other, |claim| self.agent.caller.holder(claim));
        let own = peer.claim().filter(|_claim| holder == Holder::Own);
        let standing = own.map(|claim| snapshot.standing(claim, now));
        if standing == Some(Standing::Revoked) {
            return Err(Farewell::NOT_AUTHORISED);
        }
        match snapshot.barred.get(&(identity.tenant().clone(), identity.device().clone())) {
            Some(Bar::Quarantined) => return Err(Farewell::QUARANTINED),
            Some(Bar::Decommissioned) => return Err(Farewell::NOT_AUTHORISED),
            None => {}
        }
        let trust = snapshot.tenants.get(identity.tenant()).ok_or(Farewell::NOT_AUTHORISED)?;
        if trust.service == TenantService::Suspended {
            return Err(Farewell::NOT_AUTHORISED);
        }
        let overlaps = |claim| snapshot.session_may_go_on(claim, now);
        if standing == Some(Standing::Superseded) && own.is_some_and(overlaps) {
            return Ok(());
        }
        match decide(Place::Agent, peer.shown(&snapshot, holder, now), trust.enforcement) {
            Access::Granted | Access::GrantedUnderObservation(_) | Access::ProofNeeded => Ok(()),
            Access::Refused(_) => Err(Farewell::NOT_AUTHORISED),
        }
    }

    /// Talks with the agent until there is nothing more to say.
    async fn converse(&self, socket: &mut Socket) -> Farewell {
        let mut pulse = Pulse::new(self.state.ping_every());
        let mut offered = HashSet::new();
        self.heard();
        loop {
            let done = tokio::select! {
                message = socket.next() => match message {
                    Some(Ok(message)) => self.hear(socket, message, &mut pulse).await,
                    Some(Err(error)) => Err(farewell_to(&error)),
                    None => Err(Farewell::Gone),
                },
                () = self.channel.woken() => self.offer(socket, &mut offered, &pulse).await,
                () = sleep_until(pulse.next) => self.beat(socket, &mut pulse).await,
            };
            if let Err(farewell) = done {
                return farewell;
            }
        }
    }

    async fn beat(&self, socket: &mut Socket, pulse: &mut Pulse) -> Result<(), Farewell> {
        if pulse.is_answer_due {
            return Err(Farewell::PONG_TIMEOUT);
        }
        pulse.pinged();
        send(socket, Message::Ping(bytes::Bytes::new()), pulse).await
    }

    /// Sends what waits for the device and was not sent over this connection.
    async fn offer(
        &self,
        socket: &mut Socket,
        offered: &mut HashSet<CommandId>,
        pulse: &Pulse,
    ) -> Result<(), Farewell> {
        let open = self.state.authority.open_commands(self.agent.caller.id()).await;
        let open = open.map_err(|error| failed(&error))?;
        // What is no longer open is not offered again anyway.
        offered.retain(|id| open.iter().any(|row| row.id == *id));
        for row in open {
            if offered.insert(row.id) {
                say(socket, &ToAgent::Command { command: wire_offered(row) }, pulse).await?;
            }
        }
        Ok(())
    }

    async fn hear(&self, socket: &mut Socket, message: Message, pulse: &mut Pulse) -> Result<(), Farewell> {
        self.state.authority.count_message(&self.agent.caller).map_err(|_flood| Farewell::TOO_MANY)?;
        let text = match message {
            Message::Text(text) => text,
            Message::Pong(_) => {
                pulse.answered();
                self.heard();
                return Ok(());
            }
            // The library answers these itself, and after a close there is no next message.
            Message::Ping(_) | Message::Close(_) | Message::Frame(_) => return Ok(()),
            Message::Binary(_) => return Err(Farewell::NO_TEXT),
        };
        match serde_json::from_str(&text) {
            Ok(FromAgent::Ack { id }) => {
                let noted = self.state.authority.acknowledge_command(&self.agent.caller, id).await;
                noted.map_err(|error| failed(&error))
            }
            Ok(FromAgent::Result { id, result: CommandResult { status, result, error } }) => {
                let verdict = match status {
                    CommandStatus::Completed => ReportedVerdict::Completed,
                    CommandStatus::Failed => ReportedVerdict::Failed,
                };
                let report = CommandReport::new(verdict, result, error.as_deref());
                self.record(socket, id, report.map_err(|_unfit| Farewell::NO_MESSAGE)?, pulse).await
            }
            Ok(FromAgent::Unknown) => Ok(()),
            Err(_unreadable) => Err(Farewell::NO_MESSAGE),
        }
    }

    async fn record(
        &self,
        socket: &mut Socket,
        id: CommandId,
        report: CommandReport,
        pulse: &Pulse,
    ) -> Result<(), Farewell> {
        match self.state.authority.record_result(&self.agent.caller, id, report).await {
            Ok(()) => {
                // There is room for another one.
                self.channel.wake();
                say(socket, &ToAgent::Recorded { id }, pulse).await
            }
            Err(RecordResultError::Unknown) => {
                tracing::debug!(device = %self.agent.caller.id(), command = %id, "result of no command");
                Ok(())
            }
            Err(error @ RecordResultError::Store(_)) => Err(failed(&error)),
        }
    }

    fn heard(&self) {
        let address = self.agent.arrival.address.ip().to_canonical();
        self.state.authority.heard_of(&self.agent.caller, address);
    }
}

/// Says something.
async fn say(socket: &mut Socket, message: &ToAgent, pulse: &Pulse) -> Result<(), Farewell> {
    let text = serde_json::to_string(message).map_err(|error| failed(&error))?;
    send(socket, Message::text(text), pulse).await
}

/// Sends; an agent that does not read for as long as it may take to answer a ping is as good as gone.
async fn send(socket: &mut Socket, message: Message, pulse: &Pulse) -> Result<(), Farewell> {
    match timeout(pulse.patience(), socket.send(message)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(farewell_to(&error)),
        Err(_elapsed) => Err(Farewell::PONG_TIMEOUT),
    }
}

/// Says goodbye and hears the agent out: bytes that nobody reads would make the system tear the
/// connection down, and the goodbye with it.
async fn part(socket: &mut Socket, code: u16, reason: &'static str) {
    let frame = CloseFrame { code: CloseCode::from(code), reason: reason.into() };
    if socket.close(Some(frame)).await.is_err() {
        return;
    }
    let mut is_answered = false;
    while let Some(Ok(unheard)) = socket.next().await {
        is_answered |= unheard.is_close();
    }
    if !is_answered && tokio::io::copy(socket.get_mut(), &mut tokio::io::sink()).await.is_err() {
        tracing::debug!("agent gone before the goodbye");
    }
}

fn failed(error: &(dyn std::error::Error + 'static)) -> Farewell {
    tracing::error!(error, "channel failed");
    Farewell::FAILED
}

fn farewell_to(error: &Error) -> Farewell {
    match error {
        Error::Capacity(_) => Farewell::TOO_LARGE,
        Error::Utf8(_) => Farewell::NO_MESSAGE,
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => Farewell::Gone,
        Error::Protocol(_) | Error::AttackAttempt => Farewell::PROTOCOL,
        Error::ConnectionClosed
        | Error::AlreadyClosed
        | Error::Io(_)
        | Error::Tls(_)
        | Error::WriteBufferFull(_)
        | Error::Url(_)
        | Error::Http(_)
        | Error::HttpFormat(_) => Farewell::Gone,
    }
}
