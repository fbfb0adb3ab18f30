//! A packet looked into.

use super::Version;
use super::ack::{Ack, Codes, farewell};
use super::connack::Connack;
use super::connect::Connect;
use super::fault::Fault;
use super::frame::{Frame, Kind};
use super::property::{Place, Properties};
use super::publish::Publish;
use super::subscribe::{Subscribe, Unsubscribe};

/// A packet, found right as far as it can be by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    /// A client begins.
    Connect(Connect<'a>),
    /// The answer to it.
    Connack(Connack<'a>),
    /// A message.
    Publish(Publish<'a>),
    /// Its acknowledgement at QoS 1.
    Puback(Ack<'a>),
    /// The first acknowledgement at QoS 2.
    Pubrec(Ack<'a>),
    /// The release at QoS 2.
    Pubrel(Ack<'a>),
    /// The last acknowledgement at QoS 2.
    Pubcomp(Ack<'a>),
    /// A client wants messages.
    Subscribe(Subscribe<'a>),
    /// The answer to it.
    Suback(Codes<'a>),
    /// A client wants messages no more.
    Unsubscribe(Unsubscribe<'a>),
    /// The answer to it.
    Unsuback(Codes<'a>),
    /// A client is there.
    Pingreq,
    /// So is the server.
    Pingresp,
    /// The end, and why.
    Disconnect(u8, Properties<'a>),
    /// An exchange of credentials.
    Auth(u8, Properties<'a>),
}

impl<'a> Packet<'a> {
    /// Looks into a packet. A CONNECT says its version itself.
    ///
    /// # Errors
    /// Fails closed: whatever is not exactly as the specification has it is refused.
    pub fn read(frame: Frame<'a>, version: Version) -> Result<Self, Fault> {
        let body = frame.body;
        Ok(match frame.kind {
            Kind::Connect => Self::Connect(Connect::read(body)?),
            Kind::Connack => Self::Connack(Connack::read(body, version)?),
            Kind::Publish => Self::Publish(Publish::read(frame, version)?),
            Kind::Puback => Self::Puback(Ack::read(body, version)?),
            Kind::Pubrec => Self::Pubrec(Ack::read(body, version)?),
            Kind::Pubrel => Self::Pubrel(Ack::read(body, version)?),
            Kind::Pubcomp => Self::Pubcomp(Ack::read(body, version)?),
            Kind::Subscribe => Self::Subscribe(Subscribe::read(body, version)?),
            Kind::Suback => Self::Suback(Codes::read(body, version)?),
            Kind::Unsubscribe => Self::Unsubscribe(Unsubscribe::read(body, version)?),
            Kind::Unsuback => Self::Unsuback(Codes::read(body, version)?),
            Kind::Pingreq => empty(body, Self::Pingreq)?,
            Kind::Pingresp => empty(body, Self::Pingresp)?,
            Kind::Disconnect => {
                let (reason, properties) = farewell(body, version, Place::Disconnect)?;
                Self::Disconnect(reason, properties)
            }
            Kind::Auth if version == Version::V311 => return Err(Fault::Malformed("packet type 15")),
            Kind::Auth => {
                let (reason, properties) = farewell(body, version, Place::Auth)?;
                Self::Auth(reason, properties)
            }
        })
    }
}

fn empty<'a>(body: &[u8], packet: Packet<'a>) -> Result<Packet<'a>, Fault> {
    if body.is_empty() { Ok(packet) } else { Err(Fault::Malformed("a ping that says something")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mqtt::{Encoder, PropertyId, PropertyWriter, Qos, Reason, Will, next_frame};
    use proptest::prelude::*;

    /// Bytes from hexadecimal digits, and texts between quotes with their length before them.
    fn packet(parts: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        for part in parts.split(' ').filter(|part| !part.is_empty()) {
            match part.strip_prefix('\'') {
                Some(text) => {
                    bytes.extend(u16::try_from(text.len()).unwrap().to_be_bytes());
                    bytes.extend(text.as_bytes());
                }
                None => bytes.extend(hex(part)),
            }
        }
        bytes
    }

    fn hex(digits: &str) -> Vec<u8> {
        let digit = |one: u8| u8::try_from(char::from(one).to_digit(16).unwrap()).unwrap();
        digits.as_bytes().chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
    }

    fn read(bytes: &[u8], version: Version) -> Result<Packet<'_>, Fault> {
        let frame = next_frame(bytes, 1 << 20)?.ok_or(Fault::Malformed("half"))?;
        Packet::read(frame, version)
    }

    /// With the first byte given, and the length put in.
    fn whole(first: u8, body: &str) -> Vec<u8> {
        let body = packet(body);
        let mut bytes = vec![first];
        super::super::encode::put_variable(&mut bytes, u32::try_from(body.len()).unwrap());
        bytes.extend(body);
        bytes
    }

    const BOTH: [Version; 2] = [Version::V311, Version::V5];

    #[test]
    fn a_corpus_of_packets_is_taken() {
        for (first, body, versions) in [
            (0x10, "'MQTT 04 02 003c 'id", &BOTH[..]),
            (0x10, "'MQTT 04 c6 003c 'id 'will/topic 'payload 'user 'password", &BOTH),
            (0x10, "'MQTT 05 02 003c 00 'id", &BOTH),
            (0x10, "'MQTT 05 46 003c 05 1100000010 'id 00 'w 'p 'password-alone", &BOTH),
            (0x20, "0000", &BOTH[..1]),
            (0x20, "0100", &BOTH[..1]),
            (0x20, "0005", &BOTH),
            (0x20, "0000 03 210010", &BOTH[1..]),
            (0x30, "'a", &BOTH[..1]),
            (0x31, "'a 00 ff", &BOTH[1..]),
            (0x3a, "'a 0007", &BOTH[..1]),
            (0x30, "0000 03 230001", &BOTH[1..]),
            (0x40, "0001", &BOTH),
            (0x50, "0001 87", &BOTH[1..]),
            (0x62, "0001 92 00", &BOTH[1..]),
            (0x70, "0001", &BOTH),
            (0x82, "0001 'a/+ 01 '# 02", &BOTH[..1]),
            (0x82, "0001 02 0b05 'a/+ 2d", &BOTH[1..]),
            (0x90, "0001 80 01", &BOTH[..1]),
            (0xa2, "0001 'a", &BOTH[..1]),
            (0xa2, "0001 00 'a", &BOTH[1..]),
            (0xb0, "0001", &BOTH[..1]),
            (0xb0, "0001 00 11", &BOTH[1..]),
            (0xc0, "", &BOTH),
            (0xd0, "", &BOTH),
            (0xe0, "", &BOTH),
            (0xe0, "04 05 1100000000", &BOTH[1..]),
            (0xf0, "18 05 15 'ab", &BOTH[1..]),
        ] {
            for version in versions {
                let bytes = whole(first, body);
                assert!(
                    read(&bytes, *version).is_ok(),
                    "{first:x} {body} {version:?}: {:?}",
                    read(&bytes, *version)
                );
            }
        }
    }

    #[test]
    fn a_corpus_of_packets_is_refused() {
        for (first, body, versions) in [
            (0x10, "'MQTT 04 03 003c 'id", &BOTH[..]),
            (0x10, "'MQTT 04 40 003c 'id 'password", &BOTH),
            (0x10, "'MQTT 04 0a 003c 'id", &BOTH),
            (0x10, "'MQTT 04 1e 003c 'id 'w 'p", &BOTH),
            (0x10, "'MQTT 04 06 003c 'id 'w/# 'p", &BOTH),
            (0x10, "'MQTT 04 02 003c 'id 'more", &BOTH),
            (0x10, "'MQTT 05 02 003c 03 16 0000 'id", &BOTH),
            (0x10, "'MQIsdp 03 02 003c 'id", &BOTH),
            (0x10, "'MQTT 06 02 003c 'id", &BOTH),
            (0x10, "'mqtt 04 02 003c 'id", &BOTH),
            (0x20, "0200", &BOTH),
            (0x20, "0105", &BOTH),
            (0x30, "'a/+", &BOTH),
            (0x30, "'#", &BOTH),
            (0x30, "0000", &BOTH),
            (0x30, "0000 00", &BOTH),
            (0x30, "0001 00", &BOTH),
            (0x30, "0003 eda080", &BOTH),
            (0x30, "0002 c080", &BOTH),
            (0x30, "0005 61", &BOTH),
            (0x36, "'a 0001 00", &BOTH),
            (0x38, "'a 00", &BOTH),
            (0x32, "'a 0000 00", &BOTH),
            (0x30, "'a 0b 23 0001 23 0002", &BOTH[1..]),
            (0x30, "'a 06 08 'x/+", &BOTH[1..]),
            (0x40, "0000", &BOTH),
            (0x40, "0001 00", &BOTH[..1]),
            (0x40, "0001 00 00 00", &BOTH),
            (0x82, "0001", &BOTH),
            (0x82, "0001 'a 03", &BOTH[..1]),
            (0x82, "0001 'a 04", &BOTH[..1]),
            (0x82, "0001 00 'a 40", &BOTH[1..]),
            (0x82, "0001 00 'a 30", &BOTH[1..]),
            (0x82, "0001 00 '$share/g/a 04", &BOTH[1..]),
            (0x82, "0001 'a# 00", &BOTH[..1]),
            (0x82, "0000 'a 00", &BOTH[..1]),
            (0xa2, "0001", &BOTH),
            (0xa2, "0001 '#/a", &BOTH[..1]),
            (0xc0, "00", &BOTH),
            (0xd0, "00", &BOTH),
            (0xe0, "00", &BOTH[..1]),
            (0xe0, "00 00 00", &BOTH),
            (0xf0, "", &BOTH[..1]),
        ] {
            for version in versions {
                assert!(read(&whole(first, body), *version).is_err(), "{first:x} {body} {version:?}");
            }
        }
    }

    fn will_of(is_there: bool) -> Option<Will<'static>> {
        let will = Will {
            qos: Qos::AtLeastOnce,
            is_retained: true,
            properties: Properties::default(),
            topic: "w",
            payload: b"gone",
        };
        is_there.then_some(will)
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(first in any::<u8>(), body in proptest::collection::vec(any::<u8>(), 0..64)) {
            let mut bytes = vec![first, u8::try_from(body.len()).unwrap()];
            bytes.extend(body);
            for version in BOTH {
                drop(read(&bytes, version));
            }
        }

        #[test]
        fn a_connect_that_is_written_reads_back(
            client_id in "[ -~é]{0,20}", user in proptest::option::of("[a-z]{0,9}"), has_will in any::<bool>(),
            keep_alive in any::<u16>(), is_clean in any::<bool>(), is_v5 in any::<bool>(),
        ) {
            let version = if is_v5 { Version::V5 } else { Version::V311 };
            let connect = Connect {
                version, is_clean, keep_alive, properties: Properties::default(), client_id: &client_id,
                will: will_of(has_will), user_name: user.as_deref(), password: None,
            };
            let mut bytes = Vec::new();
            let none = PropertyWriter::new();
            let will = connect.will.as_ref().map(|will| (will, &none));
            Encoder::new(version, &mut bytes).connect(&connect, &none, will);
            prop_assert_eq!(read(&bytes, version), Ok(Packet::Connect(connect)));
        }

        #[test]
        fn a_message_that_is_written_reads_back(
            topic in "[a-z/é]{1,20}", payload in proptest::collection::vec(any::<u8>(), 0..300),
            id in 1_u16.., qos in 0_u8..3, is_retained in any::<bool>(), is_v5 in any::<bool>(),
        ) {
            let version = if is_v5 { Version::V5 } else { Version::V311 };
            let qos = Qos::from_bits(qos).unwrap();
            let mut properties = PropertyWriter::new();
            properties.pair("name", "value");
            let publish = Publish {
                is_dup: qos == Qos::ExactlyOnce, qos, is_retained, topic: &topic,
                packet_id: (qos != Qos::AtMostOnce).then_some(id), properties: Properties::default(),
                payload: &payload,
            };
            let mut bytes = Vec::new();
            Encoder::new(version, &mut bytes).publish(&publish, &topic, &properties);
            let Ok(Packet::Publish(read)) = read(&bytes, version) else { panic!("{bytes:?}") };
            prop_assert_eq!(read.properties.iter().count(), usize::from(is_v5));
            prop_assert_eq!(Publish { properties: Properties::default(), ..read }, publish);
        }
    }

    #[test]
    fn what_the_door_says_reads_back() {
        for version in BOTH {
            let mut bytes = Vec::new();
            Encoder::new(version, &mut bytes).refusal(Reason::NotAuthorized);
            let Ok(Packet::Connack(connack)) = read(&bytes, version) else { panic!("{bytes:?}") };
            assert_eq!(connack.code, if version == Version::V5 { 0x87 } else { 5 });
            let mut bytes = Vec::new();
            let mut properties = PropertyWriter::new();
            if version == Version::V5 {
                properties.four(PropertyId::SessionExpiry, 0);
            }
            Encoder::new(version, &mut bytes).disconnect(Reason::AdministrativeAction, &properties);
            assert!(read(&bytes, version).is_ok(), "{bytes:?}");
            let mut bytes = Vec::new();
            Encoder::new(version, &mut bytes).codes(Kind::Suback, 7, Properties::default(), &[1, 0x80]);
            let Ok(Packet::Suback(codes)) = read(&bytes, version) else { panic!("{bytes:?}") };
            assert_eq!((codes.packet_id, codes.codes), (7, &[1, 0x80][..]));
        }
    }
}
