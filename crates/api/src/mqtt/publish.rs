//! PUBLISH (section 3.3): a message, seen in place.

use super::Qos;
use super::Version;
use super::cursor::Cursor;
use super::fault::Fault;
use super::frame::Frame;
use super::property::{Place, Properties, PropertyId};
use super::text::is_topic_name;

/// A message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Publish<'a> {
    /// Whether it was sent before.
    pub is_dup: bool,
    /// How hard it is delivered.
    pub qos: Qos,
    /// Whether it is kept for those who come later.
    pub is_retained: bool,
    /// Its topic; empty only in MQTT 5, beside a topic alias.
    pub topic: &'a str,
    /// Its packet identifier; there is none at QoS 0.
    pub packet_id: Option<u16>,
    /// Its properties.
    pub properties: Properties<'a>,
    /// What it says.
    pub payload: &'a [u8],
}

impl<'a> Publish<'a> {
    pub(super) fn read(frame: Frame<'a>, version: Version) -> Result<Self, Fault> {
        let qos = Qos::from_bits((frame.flags >> 1) & 0b11).ok_or(Fault::Malformed("QoS 3"))?;
        let is_dup = frame.flags & 0b1000 != 0;
        if is_dup && qos == Qos::AtMostOnce {
            return Err(Fault::Malformed("DUP at QoS 0"));
        }
        let mut cursor = Cursor::new(frame.body);
        let topic = cursor.text()?;
        let packet_id = if qos == Qos::AtMostOnce { None } else { Some(cursor.packet_id()?) };
        let properties = match version {
            Version::V311 => Properties::default(),
            Version::V5 => Properties::read(&mut cursor, Place::Publish)?,
        };
        if topic.is_empty() {
            if !properties.has(PropertyId::TopicAlias) {
                return Err(Fault::Protocol("a message without a topic"));
            }
        } else if !is_topic_name(topic) {
            return Err(Fault::Malformed("a topic with wildcards"));
        }
        if properties.text(PropertyId::ResponseTopic).is_some_and(|topic| !is_topic_name(topic)) {
            return Err(Fault::Protocol("a response topic that is none"));
        }
        let is_retained = frame.flags & 1 != 0;
        Ok(Self { is_dup, qos, is_retained, topic, packet_id, properties, payload: cursor.rest() })
    }

    /// The lower half of its first byte.
    pub(super) const fn flags(&self) -> u8 {
        (self.is_dup as u8) << 3 | self.qos.bits() << 1 | self.is_retained as u8
    }
}
