//! SUBSCRIBE and UNSUBSCRIBE (sections 3.8 and 3.10).

use super::Version;
use super::cursor::Cursor;
use super::fault::Fault;
use super::property::{Place, Properties};
use super::text::is_topic_filter;

/// One filter of a SUBSCRIBE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subscription<'a> {
    /// Which messages are wanted.
    pub filter: &'a str,
    /// The options, as they are on the wire.
    pub options: u8,
}

/// A client wants messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscribe<'a> {
    /// What the answer names.
    pub packet_id: u16,
    /// Its properties.
    pub properties: Properties<'a>,
    /// The filters, in order.
    pub subscriptions: Vec<Subscription<'a>>,
}

/// A client wants messages no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsubscribe<'a> {
    /// What the answer names.
    pub packet_id: u16,
    /// Its properties.
    pub properties: Properties<'a>,
    /// The filters, in order.
    pub filters: Vec<&'a str>,
}

fn filter<'a>(cursor: &mut Cursor<'a>) -> Result<&'a str, Fault> {
    let text = cursor.text()?;
    if is_topic_filter(text) { Ok(text) } else { Err(Fault::Malformed("a topic filter that is none")) }
}

fn properties<'a>(cursor: &mut Cursor<'a>, version: Version, place: Place) -> Result<Properties<'a>, Fault> {
    match version {
        Version::V311 => Ok(Properties::default()),
        Version::V5 => Properties::read(cursor, place),
    }
}

impl<'a> Subscribe<'a> {
    pub(super) fn read(body: &'a [u8], version: Version) -> Result<Self, Fault> {
        let mut cursor = Cursor::new(body);
        let packet_id = cursor.packet_id()?;
        let properties = properties(&mut cursor, version, Place::Subscribe)?;
        let mut subscriptions = Vec::new();
        while !cursor.is_empty() {
            let filter = filter(&mut cursor)?;
            let options = cursor.byte()?;
            check_options(filter, options, version)?;
            subscriptions.push(Subscription { filter, options });
        }
        if subscriptions.is_empty() {
            return Err(Fault::Protocol("a SUBSCRIBE without a filter"));
        }
        Ok(Self { packet_id, properties, subscriptions })
    }
}

fn check_options(filter: &str, options: u8, version: Version) -> Result<(), Fault> {
    let allowed = match version {
        Version::V311 => 0b0000_0011,
        Version::V5 => 0b0011_1111,
    };
    if options & !allowed != 0 || options & 0b11 == 0b11 || options & 0b0011_0000 == 0b0011_0000 {
        return Err(Fault::Malformed("subscription options that are none"));
    }
    if options & 0b100 != 0 && filter.starts_with("$share/") {
        return Err(Fault::Protocol("no local in a shared subscription"));
    }
    Ok(())
}

impl<'a> Unsubscribe<'a> {
    pub(super) fn read(body: &'a [u8], version: Version) -> Result<Self, Fault> {
        let mut cursor = Cursor::new(body);
        let packet_id = cursor.packet_id()?;
        let properties = properties(&mut cursor, version, Place::Unsubscribe)?;
        let mut filters = Vec::new();
        while !cursor.is_empty() {
            filters.push(filter(&mut cursor)?);
        }
        if filters.is_empty() {
            return Err(Fault::Protocol("an UNSUBSCRIBE without a filter"));
        }
        Ok(Self { packet_id, properties, filters })
    }
}
