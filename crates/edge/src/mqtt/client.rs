//! A client of a stock broker, for this process's own business there: MQTT 3.1.1 over a private connection.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use thiserror::Error;
use tokio::time::{Instant, timeout, timeout_at};

use super::leg::{Leg, ReceiveError};
use super::upstream::Password;
use super::wire::{
    Connect, Encoder, Fault, Kind, Packet, Properties, PropertyWriter, Publish, Qos, Reason, Subscription,
    Version, next_frame,
};
use crate::tcp::upstream::{TcpUpstream, UpstreamStream};

/// The longest packet that is taken.
const PACKET_BYTES: usize = 64 << 20;

/// After how many seconds of silence the broker takes the client for gone. Pings come at a third of it.
const KEEP_ALIVE: u16 = 30;

/// How long the broker may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// How many messages are on their way at once without having been acknowledged.
const INFLIGHT: usize = 16;

/// Where a broker is, and who the client says it is.
#[derive(Clone, Debug)]
pub struct BrokerAccount {
    /// Where it is, and by what it is recognised.
    pub server: TcpUpstream,
    /// Its user name and password there.
    pub login: Option<(String, Password)>,
}

/// What becomes of an earlier session with the same client identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EarlierSession {
    /// It is forgotten.
    Forgotten,
    /// It goes on: what came meanwhile is delivered.
    Resumed,
}

/// A message that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// On which topic.
    pub topic: String,
    /// At which QoS.
    pub qos: Qos,
    /// Whether it may have come before.
    pub is_dup: bool,
    /// Whether it was kept for whoever comes later.
    pub is_retained: bool,
    /// What it says.
    pub payload: Vec<u8>,
    packet_id: Option<u16>,
}

/// A conversation with the broker is over, or did not begin.
#[derive(Debug, Error)]
pub enum ClientError {
    /// It cannot be reached.
    #[error("connect to the broker at {0}")]
    Connect(TcpUpstream, #[source] Box<dyn std::error::Error + Send + Sync>),
    /// It refused the account.
    #[error("the broker refuses the account with code {0}")]
    Refused(u8),
    /// It does not answer.
    #[error("the broker does not answer in time")]
    Timeout,
    /// The connection ended or broke.
    #[error("the conversation with the broker ended")]
    Ended(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It says something that cannot be understood.
    #[error("the broker is not understood")]
    Fault(#[source] Fault),
    /// It answers with something else than what was asked for.
    #[error("the broker answers with another packet")]
    OtherPacket,
    /// It does not let the account read there.
    #[error("the broker refuses the subscription to {0}")]
    NotSubscribed(String),
}

/// A conversation with a broker.
#[derive(Debug)]
pub struct BrokerClient {
    leg: Leg<UpstreamStream>,
    next_id: u16,
    waiting: VecDeque<Delivered>,
    heard: Instant,
    said: Instant,
}

impl BrokerClient {
    /// Begins a conversation.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn connect(
        account: &BrokerAccount,
        client_id: &str,
        earlier: EarlierSession,
    ) -> Result<Self, ClientError> {
        let stream = account.server.reach(&[], PATIENCE).await;
        let stream = stream.map_err(|error| ClientError::Connect(account.server.clone(), error.into()))?;
        let now = Instant::now();
        let mut client =
            Self { leg: Leg::new(stream), next_id: 0, waiting: VecDeque::new(), heard: now, said: now };
        let connect = Connect {
            version: Version::V311,
            is_clean: earlier == EarlierSession::Forgotten,
            keep_alive: KEEP_ALIVE,
            properties: Properties::default(),
            client_id,
            will: None,
            user_name: account.login.as_ref().map(|(name, _)| name.as_str()),
            password: account.login.as_ref().map(|(_, password)| password.reveal().as_bytes()),
        };
        client.encoder().connect(&connect, &PropertyWriter::new(), None);
        client.flush().await?;
        let packet = client.receive(Instant::now() + PATIENCE).await?;
        let Packet::Connack(connack) = read(&packet)? else { return Err(ClientError::OtherPacket) };
        if connack.code == 0 { Ok(client) } else { Err(ClientError::Refused(connack.code)) }
    }

    /// Subscribes; messages come from [`Self::next`].
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn subscribe(&mut self, filter: &str, qos: Qos) -> Result<(), ClientError> {
        let id = self.fresh_id();
        let subscription = Subscription { filter, options: qos.bits() };
        self.encoder().subscribe(id, Properties::default(), std::iter::once(subscription));
        self.flush().await?;
        let until = Instant::now() + PATIENCE;
        loop {
            let packet = self.receive(until).await?;
            if let Packet::Suback(codes) = read(&packet)? {
                let is_granted = codes.packet_id == id && codes.codes.iter().all(|code| *code < 0x80);
                return if is_granted { Ok(()) } else { Err(ClientError::NotSubscribed(filter.to_owned())) };
            }
            self.keep(&packet)?;
        }
    }

    /// Publishes at QoS 1, and returns once the broker has all of them.
    ///
    /// # Errors
    /// See [`ClientError`]: then the broker may have some of them, and it is unknown which.
    pub async fn publish<'m>(
        &mut self,
        messages: impl IntoIterator<Item = (&'m str, &'m [u8])>,
    ) -> Result<(), ClientError> {
        let mut open = HashSet::new();
        for (topic, payload) in messages {
            while open.len() >= INFLIGHT {
                self.acknowledged(&mut open).await?;
            }
            let id = self.fresh_id();
            let publish = Publish {
                is_dup: false,
                qos: Qos::AtLeastOnce,
                is_retained: false,
                topic,
                packet_id: Some(id),
                properties: Properties::default(),
                payload,
            };
            self.encoder().publish(&publish, topic, &PropertyWriter::new());
            open.insert(id);
            self.flush().await?;
        }
        while !open.is_empty() {
            self.acknowledged(&mut open).await?;
        }
        Ok(())
    }

    async fn acknowledged(&mut self, open: &mut HashSet<u16>) -> Result<(), ClientError> {
        let packet = self.receive(Instant::now() + PATIENCE).await?;
        let Packet::Puback(ack) = read(&packet)? else { return self.keep(&packet) };
        open.remove(&ack.packet_id);
        Ok(())
    }

    /// Takes what is retained on this topic away.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn take_away(&mut self, topic: &str) -> Result<(), ClientError> {
        let nothing = Publish {
            is_dup: false,
            qos: Qos::AtMostOnce,
            is_retained: true,
            topic,
            packet_id: None,
            properties: Properties::default(),
            payload: &[],
        };
        self.encoder().publish(&nothing, topic, &PropertyWriter::new());
        self.flush().await
    }

    /// Everything that the broker has sent by now.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn so_far(&mut self) -> Result<Vec<Delivered>, ClientError> {
        self.encoder().ping();
        self.flush().await?;
        let until = Instant::now() + PATIENCE;
        loop {
            let packet = self.receive(until).await?;
            if matches!(read(&packet)?, Packet::Pingresp) {
                return Ok(self.waiting.drain(..).collect());
            }
            self.keep(&packet)?;
        }
    }

    /// The next message, when there is one. Nothing is lost when it is no longer waited for.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn next(&mut self) -> Result<Delivered, ClientError> {
        let third = Duration::from_secs(u64::from(KEEP_ALIVE) / 3);
        loop {
            if let Some(message) = self.waiting.pop_front() {
                return Ok(message);
            }
            if Instant::now() >= self.said + third {
                if self.heard + third + PATIENCE < Instant::now() {
                    return Err(ClientError::Timeout);
                }
                self.encoder().ping();
                self.flush().await?;
            }
            match timeout_at(self.said + third, self.leg.receive(PACKET_BYTES)).await {
                Err(_time_to_ping) => {}
                Ok(packet) => {
                    let packet = packet.map_err(ended)?;
                    self.heard = Instant::now();
                    self.keep(&packet)?;
                }
            }
        }
    }

    /// Tells the broker that a message was taken: it will not come again.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn took(&mut self, message: &Delivered) -> Result<(), ClientError> {
        match (message.packet_id, message.qos) {
            (Some(id), Qos::AtLeastOnce) => {
                self.encoder().ack(Kind::Puback, id, Reason::Success);
                self.flush().await
            }
            _ => Ok(()),
        }
    }

    /// Ends the conversation, so that the broker knows.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn leave(mut self) -> Result<(), ClientError> {
        self.encoder().disconnect(Reason::Success, &PropertyWriter::new());
        self.flush().await?;
        self.leg.shutdown().await.map_err(|error| ClientError::Ended(error.into()))
    }

    const fn encoder(&mut self) -> Encoder<'_> {
        Encoder::new(Version::V311, &mut self.leg.outbox)
    }

    fn fresh_id(&mut self) -> u16 {
        self.next_id = self.next_id.checked_add(1).unwrap_or(1);
        self.next_id
    }

    async fn flush(&mut self) -> Result<(), ClientError> {
        let drained = timeout(PATIENCE, self.leg.drain()).await;
        self.said = Instant::now();
        drained.map_err(|_elapsed| ClientError::Timeout)?.map_err(|error| ClientError::Ended(error.into()))
    }

    async fn receive(&mut self, until: Instant) -> Result<Vec<u8>, ClientError> {
        let packet = timeout_at(until, self.leg.receive(PACKET_BYTES)).await;
        let packet = packet.map_err(|_elapsed| ClientError::Timeout)?.map_err(ended)?;
        self.heard = Instant::now();
        Ok(packet)
    }

    /// Keeps a message for later; what is no message needs nothing.
    fn keep(&mut self, packet: &[u8]) -> Result<(), ClientError> {
        if let Packet::Publish(publish) = read(packet)? {
            self.waiting.push_back(Delivered {
                topic: publish.topic.to_owned(),
                qos: publish.qos,
                is_dup: publish.is_dup,
                is_retained: publish.is_retained,
                payload: publish.payload.to_vec(),
                packet_id: publish.packet_id,
            });
        }
        Ok(())
    }
}

fn ended(error: ReceiveError) -> ClientError {
    match error {
        ReceiveError::Fault(fault) => ClientError::Fault(fault),
        ReceiveError::Ended | ReceiveError::Broken(_) => ClientError::Ended(error.into()),
    }
}

fn read(packet: &[u8]) -> Result<Packet<'_>, ClientError> {
    let frame = next_frame(packet, PACKET_BYTES).map_err(ClientError::Fault)?;
    let read = frame.map(|frame| Packet::read(frame, Version::V311)).transpose();
    read.map_err(ClientError::Fault)?.ok_or(ClientError::OtherPacket)
}
