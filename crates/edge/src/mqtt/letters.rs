//! Letters: messages of the control plane to a device, through the hub or through the broker. At the broker
//! they are said by a client of their own, which comes for each device and goes again: it needs no more than
//! the door's account, and there is nothing to be kept open or mended.

use std::io;
use std::time::Duration;

use countersign_core::snapshot::DeviceKey;
use thiserror::Error;
use tokio::time::timeout;
use uuid::Uuid;

use super::leftovers::leave;
use super::leg::{Leg, ReceiveError};
use super::party::Party;
use super::upstream::{Broker, MqttUpstream, ReachError, UpstreamStream};
use super::wire::{
    Connect, Encoder, Fault, Packet, Properties, PropertyId, PropertyWriter, Publish, Qos, Version,
    next_frame,
};

/// How many letters are under way at once.
const AT_ONCE: usize = 8;

/// The longest packet that a broker says to such a client.
const PACKET_BYTES: usize = 64 * 1024;

/// The code with which a broker of MQTT 5 says that nobody is subscribed.
const NOBODY: u8 = 0x10;

/// The codes with which brokers refuse a version of the protocol.
const OTHER_VERSION: [u8; 2] = [0x01, 0x84];

/// A message to a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// On which topic.
    pub topic: String,
    /// What it says.
    pub payload: Vec<u8>,
    /// For how long it is worth delivering; `None`: always.
    pub life: Option<Duration>,
}

/// What became of a letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Posted {
    /// Somebody has it, or it waits for somebody who is away.
    Taken,
    /// Nobody is subscribed.
    Unheard,
}

/// Letters were not delivered.
#[derive(Debug, Error)]
pub enum PostError {
    /// The broker cannot be reached.
    #[error("reach the broker")]
    Reach(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It does not answer in time.
    #[error("the broker takes too long")]
    Timeout,
    /// It broke off.
    #[error("the broker broke off")]
    Broken(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It refuses the door.
    #[error("the broker refuses the door with code {0}: look at the door's account there")]
    Refused(u8),
    /// It refuses a message.
    #[error("the broker refuses a message with code {0}: look at what the door's account may write there")]
    Denied(u8),
}

impl From<ReceiveError> for PostError {
    fn from(error: ReceiveError) -> Self {
        Self::Broken(error.into())
    }
}

impl From<io::Error> for PostError {
    fn from(error: io::Error) -> Self {
        Self::Broken(error.into())
    }
}

impl From<Fault> for PostError {
    fn from(fault: Fault) -> Self {
        Self::Broken(fault.into())
    }
}

impl From<ReachError> for PostError {
    fn from(error: ReachError) -> Self {
        Self::Reach(error.into())
    }
}

impl MqttUpstream {
    /// Delivers letters to a device in their order, and says what became of each.
    ///
    /// # Errors
    /// [`PostError`]: then some may have been delivered nevertheless.
    pub async fn post(
        &self,
        device: &DeviceKey,
        letters: &[Letter],
        patience: Duration,
    ) -> Result<Vec<Posted>, PostError> {
        match self {
            Self::Hub(hub) => {
                let post = |letter: &Letter| match hub.send(device, letter) {
                    0 => Posted::Unheard,
                    _ => Posted::Taken,
                };
                Ok(letters.iter().map(post).collect())
            }
            Self::Broker(broker) if !letters.is_empty() => {
                let posted = self.through(broker, device, letters, patience);
                timeout(patience, posted).await.map_err(|_elapsed| PostError::Timeout)?
            }
            Self::Broker(_) => Ok(Vec::new()),
        }
    }

    async fn through(
        &self,
        broker: &Broker,
        device: &DeviceKey,
        letters: &[Letter],
        patience: Duration,
    ) -> Result<Vec<Posted>, PostError> {
        let mut clerk = match self.clerk(broker, device, Version::V5, patience).await {
            Err(PostError::Refused(code)) if OTHER_VERSION.contains(&code) => {
                self.clerk(broker, device, Version::V311, patience).await?
            }
            // Older brokers go without a word.
            Err(PostError::Broken(_)) => self.clerk(broker, device, Version::V311, patience).await?,
            clerk => clerk?,
        };
        let mut posted = Vec::with_capacity(letters.len());
        for some in letters.chunks(AT_ONCE) {
            clerk.say(some).await?;
            clerk.hear(some.len(), &mut posted).await?;
        }
        if leave(clerk.leg, clerk.version, &PropertyWriter::new()).await.is_none() {
            tracing::debug!("broker not told that letters are delivered");
        }
        Ok(posted)
    }

    async fn clerk(
        &self,
        broker: &Broker,
        device: &DeviceKey,
        version: Version,
        patience: Duration,
    ) -> Result<Clerk, PostError> {
        let party = Party::Device(device.clone());
        let credentials = broker.account.for_party(&party);
        let client_id = party.client_id(&format!("letters-{}", Uuid::new_v4().simple()));
        let connect = Connect {
            version,
            is_clean: true,
            keep_alive: 30,
            properties: Properties::default(),
            client_id: &client_id,
            will: None,
            user_name: credentials.name.as_deref(),
            password: credentials.password.as_ref().map(|password| password.reveal().as_bytes()),
        };
        let mut leg = Leg::new(self.reach(broker.own_header(), patience).await?);
        Encoder::new(version, &mut leg.outbox).connect(&connect, &PropertyWriter::new(), None);
        leg.drain().await?;
        let answer = leg.receive(PACKET_BYTES).await?;
        let Packet::Connack(connack) = read(&answer, version)? else {
            return Err(Fault::Protocol("another packet in the place of a CONNACK").into());
        };
        if connack.code == 0 { Ok(Clerk { leg, version }) } else { Err(PostError::Refused(connack.code)) }
    }
}

/// The client that says letters at the broker.
struct Clerk {
    leg: Leg<UpstreamStream>,
    version: Version,
}

impl Clerk {
    async fn say(&mut self, letters: &[Letter]) -> Result<(), PostError> {
        for (id, letter) in (1_u16..).zip(letters) {
            let publish = Publish {
                is_dup: false,
                qos: Qos::AtLeastOnce,
                is_retained: false,
                topic: &letter.topic,
                packet_id: Some(id),
                properties: Properties::default(),
                payload: &letter.payload,
            };
            let mut properties = PropertyWriter::new();
            if let Some(life) = letter.life {
                let seconds = u32::try_from(life.as_secs()).unwrap_or(u32::MAX).max(1);
                properties.four(PropertyId::MessageExpiry, seconds);
            }
            Encoder::new(self.version, &mut self.leg.outbox).publish(&publish, &letter.topic, &properties);
        }
        Ok(self.leg.drain().await?)
    }

    /// Hears what became of so many letters, which a broker answers in their order.
    async fn hear(&mut self, count: usize, posted: &mut Vec<Posted>) -> Result<(), PostError> {
        for _nth in 0..count {
            let answer = self.leg.receive(PACKET_BYTES).await?;
            let Packet::Puback(ack) = read(&answer, self.version)? else {
                return Err(Fault::Protocol("another packet in the place of a PUBACK").into());
            };
            match ack.reason {
                NOBODY => posted.push(Posted::Unheard),
                reason if reason < 0x80 => posted.push(Posted::Taken),
                reason => return Err(PostError::Denied(reason)),
            }
        }
        Ok(())
    }
}

fn read(bytes: &[u8], version: Version) -> Result<Packet<'_>, PostError> {
    let frame = next_frame(bytes, PACKET_BYTES)?.ok_or(Fault::Protocol("half a packet"))?;
    Ok(Packet::read(frame, version)?)
}
