//! MQTT packets (3.1.1 and 5) as they are on the wire: looked at in place, and written anew only where the
//! door has something to change.
//!
//! Strict where the specifications leave room, because a packet that the door and the broker behind it read
//! differently is a way past the door: lengths are encoded in the fewest bytes, texts are well-formed UTF-8
//! without control characters, properties are known, allowed where they stand and there once.

mod ack;
mod connack;
mod connect;
mod cursor;
mod encode;
mod fault;
mod frame;
mod packet;
mod property;
mod publish;
mod subscribe;
mod text;

pub use ack::{Ack, Codes};
pub use connack::Connack;
pub use connect::{Connect, Will};
pub use encode::{Encoder, PropertyWriter};
pub use fault::{Fault, Reason};
pub use frame::{Frame, Kind, next_frame};
pub use packet::Packet;
pub use property::{Properties, Property, PropertyId, Value};
pub use publish::Publish;
pub use subscribe::{Subscribe, Subscription, Unsubscribe};
pub use text::{is_text, is_topic_filter, is_topic_name};

/// The protocol's version, by the level that CONNECT names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Version {
    /// MQTT 3.1.1, level 4.
    V311,
    /// MQTT 5.0, level 5.
    V5,
}

/// How hard a message is delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Qos {
    /// At most once.
    AtMostOnce,
    /// At least once.
    AtLeastOnce,
    /// Exactly once.
    ExactlyOnce,
}

impl Qos {
    /// By its two bits; 3 is none.
    #[must_use]
    pub const fn from_bits(bits: u8) -> Option<Self> {
        match bits {
            0 => Some(Self::AtMostOnce),
            1 => Some(Self::AtLeastOnce),
            2 => Some(Self::ExactlyOnce),
            _ => None,
        }
    }

    /// Its two bits.
    #[must_use]
    pub const fn bits(self) -> u8 {
        match self {
            Self::AtMostOnce => 0,
            Self::AtLeastOnce => 1,
            Self::ExactlyOnce => 2,
        }
    }
}
