//! One WebSocket: a task that opens it, answers pings, and passes on what is said.

use std::time::Duration;

use countersign_api::client::{Client, ClientError};
use countersign_api::wire::command::{Command, FRAME_LIMIT, FromAgent, ToAgent};
use countersign_core::ids::{AgentId, CommandId};
use futures_util::{SinkExt as _, StreamExt as _};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error as SocketError, Message};

use super::end::End;
use super::mqtt::MqttOpening;
use crate::secret::Secret;

/// How many frames may wait on either side of the task.
const WAITING: usize = 64;

/// How long saying goodbye may take.
const FAREWELL: Duration = Duration::from_secs(2);

type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// What happens on a WebSocket.
#[derive(Debug)]
pub(crate) enum Event {
    /// It is open.
    Opened,
    /// It was not opened.
    Refused(Box<ClientError>),
    /// A command has come, and its arrival was acknowledged.
    Command(Box<Command>),
    /// A result is stored.
    Recorded(CommandId),
    /// How the agent is has been heard.
    Beaten,
    /// It is over.
    Ended(End, String),
}

/// What a WebSocket is opened with.
pub(crate) struct Opening {
    pub(crate) client: Client,
    pub(crate) token: Secret,
    pub(crate) agent: AgentId,
    /// How long nothing at all may be heard before it counts as lost.
    pub(crate) silence: Duration,
}

/// What the agent says.
#[derive(Debug)]
pub(crate) enum Saying {
    /// A frame, whatever it is said over.
    Frame(FromAgent),
    /// How it is; over MQTT alone, elsewhere heartbeats say it.
    State(serde_json::Value),
}

/// The agent's end of the task; the task ends with it.
pub(crate) struct Link {
    events: mpsc::Receiver<Event>,
    frames: Option<mpsc::Sender<Saying>>,
    task: JoinHandle<()>,
}

impl Drop for Link {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Link {
    /// Begins to open a WebSocket.
    pub(crate) fn open(opening: Opening) -> Self {
        let (to_agent, events) = mpsc::channel(WAITING);
        let (frames, outgoing) = mpsc::channel(WAITING);
        let task = tokio::spawn(keep(opening, to_agent, outgoing));
        Self { events, frames: Some(frames), task }
    }

    /// Begins to open a session at an MQTT door.
    pub(crate) fn open_mqtt(opening: MqttOpening) -> Self {
        let (to_agent, events) = mpsc::channel(WAITING);
        let (frames, outgoing) = mpsc::channel(WAITING);
        let task = tokio::spawn(super::mqtt::keep(opening, to_agent, outgoing));
        Self { events, frames: Some(frames), task }
    }

    /// What happens next. After [`Event::Refused`] and [`Event::Ended`] nothing does.
    pub(crate) async fn event(&mut self) -> Event {
        let over = || Event::Ended(End::of_code(None), "the connection's task has ended".to_owned());
        self.events.recv().await.unwrap_or_else(over)
    }

    /// Sends a frame, unless too many are waiting: what matters is said again elsewhere.
    pub(crate) fn send(&self, saying: Saying) {
        if let Some(frames) = &self.frames
            && let Err(error) = frames.try_send(saying)
        {
            tracing::debug!(%error, "frame not sent");
        }
    }

    /// Says goodbye, so that the control plane need not find out by itself.
    pub(crate) async fn close(mut self) {
        self.frames = None;
        if timeout(FAREWELL, &mut self.task).await.is_err() {
            tracing::debug!("the control plane did not answer the goodbye");
        }
    }
}

/// The task.
async fn keep(opening: Opening, events: mpsc::Sender<Event>, outgoing: mpsc::Receiver<Saying>) {
    let last = match open(&opening).await {
        Ok(socket) => {
            if events.send(Event::Opened).await.is_err() {
                return;
            }
            let (end, why) = talk(socket, opening.silence, &events, outgoing).await;
            Event::Ended(end, why)
        }
        Err(Unopened::Client(error)) => Event::Refused(error),
        Err(Unopened::NoWebSocket) => {
            Event::Ended(End::Unsupported, "the server's answer is no WebSocket's".to_owned())
        }
    };
    // When the agent is gone there is nobody to tell.
    drop(events.send(last).await);
}

enum Unopened {
    Client(Box<ClientError>),
    NoWebSocket,
}

async fn open(opening: &Opening) -> Result<Socket, Unopened> {
    let key = generate_key();
    let channel = opening
        .client
        .open_channel(opening.token.expose(), &opening.agent, &key)
        .await
        .map_err(|error| Unopened::Client(Box::new(error)))?;
    let expected = derive_accept_key(key.as_bytes());
    if channel.accept.as_ref().is_none_or(|accept| accept.as_bytes() != expected.as_bytes()) {
        return Err(Unopened::NoWebSocket);
    }
    let config =
        WebSocketConfig::default().max_message_size(Some(FRAME_LIMIT)).max_frame_size(Some(FRAME_LIMIT));
    Ok(WebSocketStream::from_raw_socket(TokioIo::new(channel.io), Role::Client, Some(config)).await)
}

/// Until it is over, and why it is.
async fn talk(
    mut socket: Socket,
    silence: Duration,
    events: &mpsc::Sender<Event>,
    mut outgoing: mpsc::Receiver<Saying>,
) -> (End, String) {
    let lost = |why: &str| (End::of_code(None), why.to_owned());
    let mut deadline = Instant::now() + silence;
    loop {
        tokio::select! {
            heard = timeout_at(deadline, socket.next()) => {
                deadline = Instant::now() + silence;
                match heard {
                    Err(_elapsed) => return lost("nothing was heard for too long"),
                    Ok(None) => return lost("the connection broke"),
                    Ok(Some(Err(error))) => return lost(&error.to_string()),
                    Ok(Some(Ok(Message::Close(frame)))) => {
                        // Reading on sends the answer to it.
                        drop(timeout(FAREWELL, socket.next()).await);
                        return closed(frame);
                    }
                    Ok(Some(Ok(Message::Text(text)))) => {
                        if let Some(id) = pass_on(text.as_str(), events)
                            && let Err(error) = say(&mut socket, &FromAgent::Ack { id }).await
                        {
                            return lost(&error.to_string());
                        }
                    }
                    // Reading has answered a ping already.
                    Ok(Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Binary(_) | Message::Frame(_)))) => {}
                }
            }
            frame = outgoing.recv() => {
                let sent = match frame {
                    Some(Saying::Frame(frame)) => say(&mut socket, &frame).await,
                    Some(Saying::State(_)) => Ok(()),
                    None => return farewell(&mut socket).await,
                };
                if let Err(error) = sent {
                    return lost(&error.to_string());
                }
            }
        }
    }
}

/// The agent ends it.
async fn farewell(socket: &mut Socket) -> (End, String) {
    let frame = CloseFrame { code: CloseCode::Away, reason: "the agent stops".into() };
    let why = match socket.close(Some(frame)).await {
        Ok(()) => "the agent stops".to_owned(),
        Err(error) => error.to_string(),
    };
    (End::of_code(None), why)
}

fn closed(frame: Option<CloseFrame>) -> (End, String) {
    let code = frame.as_ref().map(|frame| u16::from(frame.code));
    let why = frame.map_or_else(
        || "the control plane closed it".to_owned(),
        |frame| format!("the control plane closed it: {} {}", u16::from(frame.code), frame.reason),
    );
    (End::of_code(code), why)
}

/// Passes on what was said; gives the id of a command whose arrival is to be acknowledged. When the
/// agent has no room for a command, it is not, and will be offered again.
fn pass_on(text: &str, events: &mpsc::Sender<Event>) -> Option<CommandId> {
    match serde_json::from_str(text) {
        Ok(ToAgent::Command { command }) => {
            let id = command.id;
            events.try_send(Event::Command(Box::new(command))).is_ok().then_some(id)
        }
        Ok(ToAgent::Recorded { id }) => {
            // Should there be no room, the result is sent once more and recorded once more.
            drop(events.try_send(Event::Recorded(id)));
            None
        }
        Ok(ToAgent::Unknown) => None,
        Err(error) => {
            tracing::debug!(%error, "a frame that cannot be read is ignored");
            None
        }
    }
}

async fn say(socket: &mut Socket, frame: &FromAgent) -> Result<(), SocketError> {
    match serde_json::to_string(frame) {
        Ok(text) => socket.send(Message::text(text)).await,
        Err(error) => {
            tracing::warn!(%error, "a frame cannot be written");
            Ok(())
        }
    }
}
