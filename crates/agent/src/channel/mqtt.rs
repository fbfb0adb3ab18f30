//! The agent's session at an MQTT door (MQTT 5) in the place of the WebSocket: a task that opens it, listens for
//! commands and parts of jobs, and says what came of them and how the agent is.

use std::collections::HashMap;
use std::io;
use std::time::Duration;

use countersign_api::mqtt::{
    Connect, Encoder, Fault, Kind, Packet, Properties, PropertyId, PropertyWriter, Publish, Qos, Reason,
    Subscription, Version, next_frame,
};
use countersign_api::wire::command::{Command, CommandStatus, FRAME_LIMIT, FromAgent};
use countersign_core::ids::CommandId;
use countersign_tls::{ClientStream, ClientTls};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, timeout, timeout_at};

use super::end::End;
use super::link::{Event, Saying};
use crate::chain::Chain;
use crate::config::MqttServer;

/// How long connecting, and each answer to its packets, may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The longest packet that is taken.
const PACKET_LIMIT: usize = 2 * FRAME_LIMIT;

/// How many messages the door may send at once.
const AT_ONCE: u16 = 16;

/// What the agent is called among the clients of its device.
const CLIENT: &str = "countersign-agent";

/// A ping (section 3.12).
const PING: [u8; 2] = [0xc0, 0x00];

/// The code with which a session ends because somebody decided so.
const DECIDED: u8 = 0x98;

/// The code with which a session ends for a newer one.
const TAKEN_OVER: u8 = 0x8e;

/// What a session is opened with.
pub(crate) struct MqttOpening {
    pub(crate) server: MqttServer,
    pub(crate) tls: ClientTls,
    /// How long nothing at all may be heard before it counts as lost.
    pub(crate) silence: Duration,
}

/// Why a session is over.
type Over = (End, String);

/// What waits for the door's word that it has a message.
enum Waiting {
    Nothing,
    Result(CommandId),
    State,
}

/// The task.
pub(super) async fn keep(
    opening: MqttOpening,
    events: mpsc::Sender<Event>,
    outgoing: mpsc::Receiver<Saying>,
) {
    let (end, why) = match Session::open(&opening).await {
        Ok(session) => {
            if events.send(Event::Opened).await.is_err() {
                return;
            }
            session.talk(opening.silence, &events, outgoing).await
        }
        Err(over) => over,
    };
    // When the agent is gone there is nobody to tell.
    drop(events.send(Event::Ended(end, why)).await);
}

struct Session {
    stream: ClientStream<TcpStream>,
    inbox: Vec<u8>,
    /// What the topics of this device begin with, as the door says.
    prefix: String,
    last_id: u16,
    waiting: HashMap<u16, Waiting>,
}

impl Session {
    async fn open(opening: &MqttOpening) -> Result<Self, Over> {
        let stream = timeout(PATIENCE, connected(opening)).await.map_err(|_elapsed| late())??;
        let (prefix, inbox) = (String::new(), Vec::new());
        let mut session = Self { stream, inbox, prefix, last_id: 1, waiting: HashMap::new() };
        let greeted = async {
            session.greet(opening.silence).await?;
            session.subscribe().await
        };
        timeout(PATIENCE, greeted).await.map_err(|_elapsed| late())??;
        Ok(session)
    }

    async fn greet(&mut self, silence: Duration) -> Result<(), Over> {
        let connect = Connect {
            version: Version::V5,
            is_clean: true,
            keep_alive: u16::try_from(silence.as_secs() / 2).unwrap_or(u16::MAX).max(1),
            properties: Properties::default(),
            client_id: CLIENT,
            will: None,
            user_name: None,
            password: None,
        };
        let mut properties = PropertyWriter::new();
        properties.byte(PropertyId::RequestResponseInformation, 1);
        properties.two(PropertyId::ReceiveMaximum, AT_ONCE);
        properties.four(PropertyId::MaximumPacketSize, u32::try_from(PACKET_LIMIT).unwrap_or(u32::MAX));
        let mut out = Vec::new();
        Encoder::new(Version::V5, &mut out).connect(&connect, &properties, None);
        self.write(&out).await?;
        let answer = self.next().await?;
        let Packet::Connack(connack) = read(&answer)? else { return Err(unexpected()) };
        if connack.code != 0 {
            return Err(refused(connack.code));
        }
        let prefix = connack.properties.text(PropertyId::ResponseInformation);
        let unsaid = || (End::Unsupported, "the MQTT door does not say where topics are".to_owned());
        prefix.ok_or_else(unsaid)?.clone_into(&mut self.prefix);
        Ok(())
    }

    async fn subscribe(&mut self) -> Result<(), Over> {
        let filters = ["commands", "jobs/#"].map(|rest| format!("{}{rest}", self.prefix));
        let wanted = filters.iter().map(|filter| Subscription { filter, options: Qos::AtLeastOnce.bits() });
        let mut out = Vec::new();
        Encoder::new(Version::V5, &mut out).subscribe(1, Properties::default(), wanted);
        self.write(&out).await?;
        let answer = self.next().await?;
        let Packet::Suback(codes) = read(&answer)? else { return Err(unexpected()) };
        match codes.codes.first() {
            Some(code) if *code < 0x80 => Ok(()),
            Some(_) | None => Err((End::Unsupported, "the MQTT door grants no commands".to_owned())),
        }
    }

    /// Until it is over, and why it is.
    async fn talk(
        mut self,
        silence: Duration,
        events: &mpsc::Sender<Event>,
        mut outgoing: mpsc::Receiver<Saying>,
    ) -> Over {
        let mut deadline = Instant::now() + silence;
        let mut pings = tokio::time::interval_at(Instant::now() + silence / 3, silence / 3);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let done = tokio::select! {
                heard = timeout_at(deadline, self.next()) => match heard {
                    Err(_elapsed) => return lost("nothing was heard for too long"),
                    Ok(Err(over)) => return over,
                    Ok(Ok(packet)) => {
                        deadline = Instant::now() + silence;
                        self.hear(&packet, events).await
                    }
                },
                _tick = pings.tick() => self.write(&PING).await,
                said = outgoing.recv() => match said {
                    Some(said) => self.say(said).await,
                    None => return self.farewell().await,
                },
            };
            if let Err(over) = done {
                return over;
            }
        }
    }

    async fn hear(&mut self, packet: &[u8], events: &mpsc::Sender<Event>) -> Result<(), Over> {
        match read(packet)? {
            Packet::Publish(publish) => {
                let command = serde_json::from_slice::<Command>(publish.payload);
                if let Err(error) = &command {
                    tracing::debug!(%error, "a message that cannot be read is ignored");
                }
                if let Some(id) = publish.packet_id {
                    let mut out = Vec::new();
                    Encoder::new(Version::V5, &mut out).ack(Kind::Puback, id, Reason::Success);
                    self.write(&out).await?;
                }
                let Ok(command) = command else { return Ok(()) };
                let id = command.id;
                // When the agent has no room for a command, it is offered again with the next session.
                if events.try_send(Event::Command(Box::new(command))).is_ok() {
                    self.publish(
                        "commands/ack",
                        &json!({ "id": id, "status": "received" }),
                        Waiting::Nothing,
                    )
                    .await?;
                }
                Ok(())
            }
            Packet::Puback(ack) => {
                let told = match self.waiting.remove(&ack.packet_id) {
                    Some(Waiting::Result(id)) if ack.reason < 0x80 => Event::Recorded(id),
                    Some(Waiting::State) if ack.reason < 0x80 => Event::Beaten,
                    Some(_) | None => return Ok(()),
                };
                // Should there be no room, it is said once more and recorded once more.
                drop(events.try_send(told));
                Ok(())
            }
            Packet::Pingresp => Ok(()),
            Packet::Disconnect(code, _) => Err(ended(code)),
            Packet::Connect(_)
            | Packet::Connack(_)
            | Packet::Pubrec(_)
            | Packet::Pubrel(_)
            | Packet::Pubcomp(_)
            | Packet::Subscribe(_)
            | Packet::Suback(_)
            | Packet::Unsubscribe(_)
            | Packet::Unsuback(_)
            | Packet::Pingreq
            | Packet::Auth(..) => Err(unexpected()),
        }
    }

    async fn say(&mut self, saying: Saying) -> Result<(), Over> {
        match saying {
            Saying::Frame(FromAgent::Result { id, result }) => {
                let status = match result.status {
                    CommandStatus::Completed => "completed",
                    CommandStatus::Failed => "failed",
                };
                let word =
                    json!({ "id": id, "status": status, "result": result.result, "error": result.error });
                self.publish("commands/ack", &word, Waiting::Result(id)).await
            }
            Saying::Frame(FromAgent::Ack { id }) => {
                let word = json!({ "id": id, "status": "received" });
                self.publish("commands/ack", &word, Waiting::Nothing).await
            }
            Saying::Frame(FromAgent::Unknown) => Ok(()),
            Saying::State(state) => {
                self.publish("shadow/reported", &json!({ "reported": state }), Waiting::State).await
            }
        }
    }

    async fn publish(&mut self, rest: &str, payload: &Value, waiting: Waiting) -> Result<(), Over> {
        let id = self.free_id();
        self.waiting.insert(id, waiting);
        let (topic, payload) = (format!("{}{rest}", self.prefix), payload.to_string());
        let publish = Publish {
            is_dup: false,
            qos: Qos::AtLeastOnce,
            is_retained: false,
            topic: &topic,
            packet_id: Some(id),
            properties: Properties::default(),
            payload: payload.as_bytes(),
        };
        let mut out = Vec::new();
        Encoder::new(Version::V5, &mut out).publish(&publish, &topic, &PropertyWriter::new());
        self.write(&out).await
    }

    fn free_id(&mut self) -> u16 {
        loop {
            self.last_id = self.last_id.wrapping_add(1).max(1);
            if !self.waiting.contains_key(&self.last_id) {
                return self.last_id;
            }
        }
    }

    /// The agent ends it.
    async fn farewell(mut self) -> Over {
        let mut out = Vec::new();
        Encoder::new(Version::V5, &mut out).disconnect(Reason::Success, &PropertyWriter::new());
        match self.write(&out).await {
            Ok(()) => lost("the agent stops"),
            Err(over) => over,
        }
    }

    /// The next packet; nothing is lost when it is not waited for to the end.
    async fn next(&mut self) -> Result<Vec<u8>, Over> {
        loop {
            if let Some(frame) = next_frame(&self.inbox, PACKET_LIMIT).map_err(fault)? {
                let packet = frame.bytes.to_vec();
                self.inbox.drain(..packet.len());
                return Ok(packet);
            }
            if self.stream.read_buf(&mut self.inbox).await.map_err(|error| broken(&error))? == 0 {
                return Err(lost("the connection broke"));
            }
        }
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), Over> {
        self.stream.write_all(bytes).await.map_err(|error| broken(&error))?;
        self.stream.flush().await.map_err(|error| broken(&error))
    }
}

async fn connected(opening: &MqttOpening) -> Result<ClientStream<TcpStream>, Over> {
    let MqttServer { host, port } = &opening.server;
    opening.tls.connect(host, *port).await.map_err(|error| (lost_end(), Chain(&error).to_string()))
}

fn read(bytes: &[u8]) -> Result<Packet<'_>, Over> {
    let frame = next_frame(bytes, PACKET_LIMIT).map_err(fault)?.ok_or_else(unexpected)?;
    Packet::read(frame, Version::V5).map_err(fault)
}

const fn lost_end() -> End {
    End::Lost { retry_after: None }
}

fn lost(why: &str) -> Over {
    (lost_end(), why.to_owned())
}

fn late() -> Over {
    lost("the MQTT door does not answer in time")
}

fn unexpected() -> Over {
    lost("the MQTT door says what has no place there")
}

fn broken(error: &io::Error) -> Over {
    (lost_end(), error.to_string())
}

fn fault(fault: Fault) -> Over {
    (lost_end(), fault.to_string())
}

/// The door answers a CONNECT with this code.
fn refused(code: u8) -> Over {
    let end = if code == Reason::Banned.code() || code == Reason::NotAuthorized.code() {
        End::Unauthorized
    } else {
        lost_end()
    };
    (end, format!("the MQTT door refuses the session with code {code:#04x}"))
}

/// The door ends a session with this code. One whose certificate is over comes back with the next.
fn ended(code: u8) -> Over {
    let end = match code {
        DECIDED => End::Unauthorized,
        TAKEN_OVER => End::Superseded,
        _ => lost_end(),
    };
    (end, format!("the MQTT door ended the session with code {code:#04x}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::ConnectionState;

    #[test]
    fn codes_tell_who_has_to_act() {
        for (code, expected) in [
            (0x8a, ConnectionState::Unauthorized),
            (0x87, ConnectionState::Unauthorized),
            (0x88, ConnectionState::Lost),
            (0x97, ConnectionState::Lost),
        ] {
            assert_eq!(refused(code).0.state(), expected, "{code:#x}");
        }
        for (code, expected) in [
            (0x98, ConnectionState::Unauthorized),
            (0x8e, ConnectionState::Superseded),
            (0x87, ConnectionState::Lost),
            (0x8b, ConnectionState::Lost),
        ] {
            assert_eq!(ended(code).0.state(), expected, "{code:#x}");
        }
    }
}
