//! CONNACK (section 3.2).

use super::Version;
use super::cursor::Cursor;
use super::fault::Fault;
use super::property::{Place, Properties};

/// The answer to CONNECT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connack<'a> {
    /// Whether there is something left of an earlier session.
    pub is_session_present: bool,
    /// 0, or why not.
    pub code: u8,
    /// Its properties.
    pub properties: Properties<'a>,
}

impl<'a> Connack<'a> {
    pub(super) fn read(body: &'a [u8], version: Version) -> Result<Self, Fault> {
        let mut cursor = Cursor::new(body);
        let flags = cursor.byte()?;
        let code = cursor.byte()?;
        let properties = match version {
            Version::V311 => Properties::default(),
            // An older server answers what it does not speak in the shorter form.
            Version::V5 if cursor.is_empty() && code != 0 => Properties::default(),
            Version::V5 => Properties::read(&mut cursor, Place::Connack)?,
        };
        cursor.end()?;
        if flags & !1 != 0 || (flags == 1 && code != 0) {
            return Err(Fault::Malformed("flags of a CONNACK"));
        }
        Ok(Self { is_session_present: flags == 1, code, properties })
    }
}
