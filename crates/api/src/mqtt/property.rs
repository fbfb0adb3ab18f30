//! The properties of MQTT 5 (section 2.2.2): known, allowed where they stand, right, and there once.

use super::cursor::Cursor;
use super::fault::Fault;

/// What a property is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum PropertyId {
    /// Whether the payload is text.
    PayloadFormat = 0x01,
    /// How long a message is of use.
    MessageExpiry = 0x02,
    /// What the payload is.
    ContentType = 0x03,
    /// Where an answer goes.
    ResponseTopic = 0x08,
    /// What an answer is about.
    CorrelationData = 0x09,
    /// By which subscription a message comes.
    SubscriptionIdentifier = 0x0B,
    /// How long a session outlives its connection.
    SessionExpiry = 0x11,
    /// The client's name, chosen by the server.
    AssignedClientIdentifier = 0x12,
    /// The keep-alive that counts.
    ServerKeepAlive = 0x13,
    /// How credentials are exchanged.
    AuthenticationMethod = 0x15,
    /// Credentials.
    AuthenticationData = 0x16,
    /// Whether reasons are wanted in words.
    RequestProblemInformation = 0x17,
    /// How long a will waits.
    WillDelay = 0x18,
    /// Whether a base for response topics is wanted.
    RequestResponseInformation = 0x19,
    /// A base for response topics.
    ResponseInformation = 0x1A,
    /// Another server.
    ServerReference = 0x1C,
    /// The reason in words.
    ReasonString = 0x1F,
    /// How many messages may be under way.
    ReceiveMaximum = 0x21,
    /// The highest topic alias.
    TopicAliasMaximum = 0x22,
    /// A number in place of a topic.
    TopicAlias = 0x23,
    /// The highest QoS.
    MaximumQos = 0x24,
    /// Whether messages are retained.
    RetainAvailable = 0x25,
    /// A name and a value of the application's.
    UserProperty = 0x26,
    /// The longest packet.
    MaximumPacketSize = 0x27,
    /// Whether filters may have wildcards.
    WildcardAvailable = 0x28,
    /// Whether subscriptions may have numbers.
    SubscriptionIdentifierAvailable = 0x29,
    /// Whether subscriptions may be shared.
    SharedAvailable = 0x2A,
}

/// Where properties stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub(super) enum Place {
    Connect = 1,
    Will = 2,
    Connack = 4,
    Publish = 8,
    /// PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK and UNSUBACK.
    Ack = 16,
    Subscribe = 32,
    Unsubscribe = 64,
    Disconnect = 128,
    Auth = 256,
}

#[derive(Clone, Copy)]
enum Shape {
    /// 0 or 1.
    Switch,
    Two,
    /// Not 0.
    TwoPositive,
    Four,
    /// Not 0.
    FourPositive,
    /// A variable byte integer, not 0.
    Variable,
    Text,
    Binary,
    Pair,
}

impl PropertyId {
    const fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            0x01 => Self::PayloadFormat,
            0x02 => Self::MessageExpiry,
            0x03 => Self::ContentType,
            0x08 => Self::ResponseTopic,
            0x09 => Self::CorrelationData,
            0x0B => Self::SubscriptionIdentifier,
            0x11 => Self::SessionExpiry,
            0x12 => Self::AssignedClientIdentifier,
            0x13 => Self::ServerKeepAlive,
            0x15 => Self::AuthenticationMethod,
            0x16 => Self::AuthenticationData,
            0x17 => Self::RequestProblemInformation,
            0x18 => Self::WillDelay,
            0x19 => Self::RequestResponseInformation,
            0x1A => Self::ResponseInformation,
            0x1C => Self::ServerReference,
            0x1F => Self::ReasonString,
            0x21 => Self::ReceiveMaximum,
            0x22 => Self::TopicAliasMaximum,
            0x23 => Self::TopicAlias,
            0x24 => Self::MaximumQos,
            0x25 => Self::RetainAvailable,
            0x26 => Self::UserProperty,
            0x27 => Self::MaximumPacketSize,
            0x28 => Self::WildcardAvailable,
            0x29 => Self::SubscriptionIdentifierAvailable,
            0x2A => Self::SharedAvailable,
            _ => return None,
        })
    }

    const fn shape(self) -> Shape {
        match self {
            Self::PayloadFormat
            | Self::RequestProblemInformation
            | Self::RequestResponseInformation
            | Self::MaximumQos
            | Self::RetainAvailable
            | Self::WildcardAvailable
            | Self::SubscriptionIdentifierAvailable
            | Self::SharedAvailable => Shape::Switch,
            Self::ServerKeepAlive | Self::TopicAliasMaximum | Self::TopicAlias => Shape::Two,
            Self::ReceiveMaximum => Shape::TwoPositive,
            Self::MessageExpiry | Self::SessionExpiry | Self::WillDelay => Shape::Four,
            Self::MaximumPacketSize => Shape::FourPositive,
            Self::SubscriptionIdentifier => Shape::Variable,
            Self::ContentType
            | Self::ResponseTopic
            | Self::AssignedClientIdentifier
            | Self::AuthenticationMethod
            | Self::ResponseInformation
            | Self::ServerReference
            | Self::ReasonString => Shape::Text,
            Self::CorrelationData | Self::AuthenticationData => Shape::Binary,
            Self::UserProperty => Shape::Pair,
        }
    }

    /// Where it may stand (table 2-4).
    const fn places(self) -> u16 {
        const CONNECT: u16 = Place::Connect as u16;
        const WILL: u16 = Place::Will as u16;
        const CONNACK: u16 = Place::Connack as u16;
        const PUBLISH: u16 = Place::Publish as u16;
        const ACK: u16 = Place::Ack as u16;
        const DISCONNECT: u16 = Place::Disconnect as u16;
        const AUTH: u16 = Place::Auth as u16;
        match self {
            Self::PayloadFormat
            | Self::MessageExpiry
            | Self::ContentType
            | Self::ResponseTopic
            | Self::CorrelationData => PUBLISH | WILL,
            Self::SubscriptionIdentifier => PUBLISH | Place::Subscribe as u16,
            Self::SessionExpiry => CONNECT | CONNACK | DISCONNECT,
            Self::AuthenticationMethod | Self::AuthenticationData => CONNECT | CONNACK | AUTH,
            Self::RequestProblemInformation | Self::RequestResponseInformation => CONNECT,
            Self::WillDelay => WILL,
            Self::ServerReference => CONNACK | DISCONNECT,
            Self::ReasonString => CONNACK | ACK | DISCONNECT | AUTH,
            Self::ReceiveMaximum | Self::TopicAliasMaximum | Self::MaximumPacketSize => CONNECT | CONNACK,
            Self::TopicAlias => PUBLISH,
            Self::AssignedClientIdentifier
            | Self::ServerKeepAlive
            | Self::ResponseInformation
            | Self::MaximumQos
            | Self::RetainAvailable
            | Self::WildcardAvailable
            | Self::SubscriptionIdentifierAvailable
            | Self::SharedAvailable => CONNACK,
            Self::UserProperty => u16::MAX,
        }
    }

    const fn may_repeat(self, place: Place) -> bool {
        // A message that comes by several subscriptions names them all.
        matches!((self, place), (Self::UserProperty, _) | (Self::SubscriptionIdentifier, Place::Publish))
    }
}

/// The value of a property.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// A number of any width.
    Number(u32),
    /// A text.
    Text(&'a str),
    /// Bytes.
    Binary(&'a [u8]),
    /// A name and its value.
    Pair(&'a str, &'a str),
}

/// One property.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Property<'a> {
    /// What it is about.
    pub id: PropertyId,
    /// What it says.
    pub value: Value<'a>,
    /// All of it, as it is on the wire.
    pub bytes: &'a [u8],
}

/// The properties of a packet, found right; empty in MQTT 3.1.1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Properties<'a>(&'a [u8]);

impl<'a> Properties<'a> {
    /// Reads their length, and checks them.
    pub(super) fn read(cursor: &mut Cursor<'a>, place: Place) -> Result<Self, Fault> {
        let length = cursor.variable()?;
        let bytes = cursor.bytes(usize::try_from(length).unwrap_or(usize::MAX))?;
        let mut rest = Cursor::new(bytes);
        let mut seen = 0_u64;
        while !rest.is_empty() {
            let property = next(&mut rest)?;
            if property.id.places() & place as u16 == 0 {
                return Err(Fault::Protocol("a property has no place in this packet"));
            }
            let bit = 1_u64 << (property.id as u8);
            if seen & bit != 0 && !property.id.may_repeat(place) {
                return Err(Fault::Protocol("a property is there twice"));
            }
            seen |= bit;
        }
        Ok(Self(bytes))
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// One after the other.
    pub fn iter(&self) -> impl Iterator<Item = Property<'a>> + use<'a> {
        let mut rest = Cursor::new(self.0);
        // They were read once: there is no fault to come.
        std::iter::from_fn(move || if rest.is_empty() { None } else { next(&mut rest).ok() })
    }

    fn find(&self, id: PropertyId) -> Option<Value<'a>> {
        self.iter().find(|property| property.id == id).map(|property| property.value)
    }

    /// The number under this id.
    #[must_use]
    pub fn number(&self, id: PropertyId) -> Option<u32> {
        match self.find(id) {
            Some(Value::Number(number)) => Some(number),
            Some(Value::Text(_) | Value::Binary(_) | Value::Pair(..)) | None => None,
        }
    }

    /// The text under this id.
    #[must_use]
    pub fn text(&self, id: PropertyId) -> Option<&'a str> {
        match self.find(id) {
            Some(Value::Text(text)) => Some(text),
            Some(Value::Number(_) | Value::Binary(_) | Value::Pair(..)) | None => None,
        }
    }

    /// Whether there is one under this id.
    #[must_use]
    pub fn has(&self, id: PropertyId) -> bool {
        self.find(id).is_some()
    }
}

fn next<'a>(rest: &mut Cursor<'a>) -> Result<Property<'a>, Fault> {
    let before = rest.rest();
    let id = PropertyId::from_byte(rest.byte()?).ok_or(Fault::Malformed("an unknown property"))?;
    let value = match id.shape() {
        Shape::Switch => match rest.byte()? {
            value @ (0 | 1) => Value::Number(u32::from(value)),
            _ => return Err(Fault::Protocol("a property is neither 0 nor 1")),
        },
        Shape::Two => Value::Number(u32::from(rest.two()?)),
        Shape::TwoPositive => positive(u32::from(rest.two()?))?,
        Shape::Four => Value::Number(rest.four()?),
        Shape::FourPositive => positive(rest.four()?)?,
        Shape::Variable => positive(rest.variable()?)?,
        Shape::Text => Value::Text(rest.text()?),
        Shape::Binary => Value::Binary(rest.binary()?),
        Shape::Pair => Value::Pair(rest.text()?, rest.text()?),
    };
    let length = before.len() - rest.rest().len();
    let bytes = before.get(..length).unwrap_or_default();
    Ok(Property { id, value, bytes })
}

const fn positive(number: u32) -> Result<Value<'static>, Fault> {
    if number == 0 { Err(Fault::Protocol("a property is 0")) } else { Ok(Value::Number(number)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8], place: Place) -> Result<usize, Fault> {
        let mut cursor = Cursor::new(bytes);
        let properties = Properties::read(&mut cursor, place)?;
        cursor.end()?;
        Ok(properties.iter().count())
    }

    #[test]
    fn each_is_right_in_its_place_and_there_once() {
        assert_eq!(read(&[0], Place::Publish), Ok(0));
        assert_eq!(read(&[3, 0x23, 0, 7], Place::Publish), Ok(1));
        let user = [14, 0x26, 0, 1, b'a', 0, 1, b'b', 0x26, 0, 1, b'a', 0, 1, b'c'];
        assert_eq!(read(&user, Place::Unsubscribe), Ok(2), "a name may repeat");
        assert_eq!(read(&[4, 0x0B, 1, 0x0B, 2], Place::Publish), Ok(2));
        for (bytes, place) in [
            (&[4, 0x0B, 1, 0x0B, 2][..], Place::Subscribe),
            (&[2, 0x0B, 0], Place::Subscribe),
            (&[6, 0x23, 0, 7, 0x23, 0, 7], Place::Publish),
            (&[3, 0x23, 0, 7], Place::Connect),
            (&[2, 0x01, 2], Place::Publish),
            (&[3, 0x21, 0, 0], Place::Connect),
            (&[5, 0x27, 0, 0, 0, 0], Place::Connect),
            (&[2, 0x7f, 0], Place::Publish),
            (&[4, 0x23, 0], Place::Publish),
            (&[2, 0x08, 0], Place::Publish),
            (&[0x80, 0x00], Place::Publish),
        ] {
            assert!(read(bytes, place).is_err(), "{bytes:x?}");
        }
    }
}
