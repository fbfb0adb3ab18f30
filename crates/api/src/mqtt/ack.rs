//! The packets that only answer or end something; they are checked and passed on as they are.

use super::Version;
use super::cursor::Cursor;
use super::fault::Fault;
use super::property::{Place, Properties};

/// PUBACK, PUBREC, PUBREL or PUBCOMP (sections 3.4 to 3.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ack<'a> {
    /// What it is about.
    pub packet_id: u16,
    /// 0, or what went wrong; always 0 in MQTT 3.1.1.
    pub reason: u8,
    /// Its properties.
    pub properties: Properties<'a>,
}

impl<'a> Ack<'a> {
    pub(super) fn read(body: &'a [u8], version: Version) -> Result<Self, Fault> {
        let mut cursor = Cursor::new(body);
        let packet_id = cursor.packet_id()?;
        let (reason, properties) = ending(&mut cursor, version, Place::Ack)?;
        Ok(Self { packet_id, reason, properties })
    }
}

/// SUBACK or UNSUBACK (sections 3.9 and 3.11).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Codes<'a> {
    /// What it is about.
    pub packet_id: u16,
    /// Its properties.
    pub properties: Properties<'a>,
    /// One for each filter; none in an UNSUBACK of MQTT 3.1.1.
    pub codes: &'a [u8],
}

impl<'a> Codes<'a> {
    pub(super) fn read(body: &'a [u8], version: Version) -> Result<Self, Fault> {
        let mut cursor = Cursor::new(body);
        let packet_id = cursor.packet_id()?;
        let properties = match version {
            Version::V311 => Properties::default(),
            Version::V5 => Properties::read(&mut cursor, Place::Ack)?,
        };
        Ok(Self { packet_id, properties, codes: cursor.rest() })
    }
}

/// The reason and properties of a DISCONNECT or AUTH.
pub(super) fn farewell(body: &[u8], version: Version, place: Place) -> Result<(u8, Properties<'_>), Fault> {
    ending(&mut Cursor::new(body), version, place)
}

/// A reason and properties, which may both be left out in MQTT 5 and are not there in 3.1.1.
fn ending<'a>(
    cursor: &mut Cursor<'a>,
    version: Version,
    place: Place,
) -> Result<(u8, Properties<'a>), Fault> {
    if version == Version::V311 || cursor.is_empty() {
        cursor.end()?;
        return Ok((0, Properties::default()));
    }
    let reason = cursor.byte()?;
    let properties = if cursor.is_empty() { Properties::default() } else { Properties::read(cursor, place)? };
    cursor.end()?;
    Ok((reason, properties))
}
