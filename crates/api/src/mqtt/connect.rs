//! CONNECT (section 3.1).

use super::cursor::Cursor;
use super::fault::Fault;
use super::property::{Place, Properties, PropertyId};
use super::text::is_topic_name;
use super::{Qos, Version};

/// A client begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connect<'a> {
    /// In which version.
    pub version: Version,
    /// Whether what was left of an earlier session is forgotten.
    pub is_clean: bool,
    /// After how many seconds of silence it counts as gone; 0: never.
    pub keep_alive: u16,
    /// Its properties.
    pub properties: Properties<'a>,
    /// What it calls itself; may be empty.
    pub client_id: &'a str,
    /// What is to be said when it is gone without a word.
    pub will: Option<Will<'a>>,
    /// Whom it claims to be.
    pub user_name: Option<&'a str>,
    /// How it would prove that.
    pub password: Option<&'a [u8]>,
}

/// A message for when its client is gone without a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Will<'a> {
    /// How hard it is delivered.
    pub qos: Qos,
    /// Whether it is kept for those who come later.
    pub is_retained: bool,
    /// Its properties.
    pub properties: Properties<'a>,
    /// Its topic.
    pub topic: &'a str,
    /// What it says.
    pub payload: &'a [u8],
}

const RESERVED: u8 = 0b0000_0001;
const CLEAN: u8 = 0b0000_0010;
const WILL: u8 = 0b0000_0100;
const WILL_DETAILS: u8 = 0b0011_1000;
const WILL_RETAIN: u8 = 0b0010_0000;
const PASSWORD: u8 = 0b0100_0000;
const USER_NAME: u8 = 0b1000_0000;

impl<'a> Connect<'a> {
    pub(super) fn read(body: &'a [u8]) -> Result<Self, Fault> {
        let mut cursor = Cursor::new(body);
        let name = cursor.text()?;
        let level = cursor.byte()?;
        let version = match (name, level) {
            ("MQTT", 4) => Version::V311,
            ("MQTT", 5) => Version::V5,
            ("MQTT" | "MQIsdp", level) => return Err(Fault::UnsupportedLevel(level)),
            _ => return Err(Fault::Malformed("a CONNECT of another protocol")),
        };
        let flags = cursor.byte()?;
        check_flags(flags, version)?;
        let keep_alive = cursor.two()?;
        let properties = match version {
            Version::V311 => Properties::default(),
            Version::V5 => Properties::read(&mut cursor, Place::Connect)?,
        };
        if properties.has(PropertyId::AuthenticationData) && !properties.has(PropertyId::AuthenticationMethod)
        {
            return Err(Fault::Protocol("authentication data without a method"));
        }
        let client_id = cursor.text()?;
        let will = if flags & WILL == 0 { None } else { Some(Will::read(&mut cursor, flags, version)?) };
        let user_name = if flags & USER_NAME == 0 { None } else { Some(cursor.text()?) };
        let password = if flags & PASSWORD == 0 { None } else { Some(cursor.binary()?) };
        cursor.end()?;
        let is_clean = flags & CLEAN != 0;
        Ok(Self { version, is_clean, keep_alive, properties, client_id, will, user_name, password })
    }
}

fn check_flags(flags: u8, version: Version) -> Result<(), Fault> {
    if flags & RESERVED != 0 {
        return Err(Fault::Malformed("a reserved flag is set"));
    }
    if flags & WILL == 0 && flags & WILL_DETAILS != 0 {
        return Err(Fault::Malformed("details of a will without a will"));
    }
    if version == Version::V311 && flags & PASSWORD != 0 && flags & USER_NAME == 0 {
        return Err(Fault::Malformed("a password without a user name"));
    }
    Ok(())
}

impl<'a> Will<'a> {
    fn read(cursor: &mut Cursor<'a>, flags: u8, version: Version) -> Result<Self, Fault> {
        let qos = Qos::from_bits((flags >> 3) & 0b11).ok_or(Fault::Malformed("a will of QoS 3"))?;
        let properties = match version {
            Version::V311 => Properties::default(),
            Version::V5 => Properties::read(cursor, Place::Will)?,
        };
        let topic = cursor.text()?;
        if !is_topic_name(topic) {
            return Err(Fault::Malformed("the topic of a will is none"));
        }
        if properties.text(PropertyId::ResponseTopic).is_some_and(|topic| !is_topic_name(topic)) {
            return Err(Fault::Protocol("a response topic that is none"));
        }
        let payload = cursor.binary()?;
        Ok(Self { qos, is_retained: flags & WILL_RETAIN != 0, properties, topic, payload })
    }
}
