//! Where packets begin and end in a stream of bytes (section 2.1).

use super::cursor::variable;
use super::fault::Fault;

/// What kind of packet it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// A client begins.
    Connect = 1,
    /// The answer to it.
    Connack = 2,
    /// A message.
    Publish = 3,
    /// Its acknowledgement at QoS 1.
    Puback = 4,
    /// The first acknowledgement at QoS 2.
    Pubrec = 5,
    /// The release at QoS 2.
    Pubrel = 6,
    /// The last acknowledgement at QoS 2.
    Pubcomp = 7,
    /// A client wants messages.
    Subscribe = 8,
    /// The answer to it.
    Suback = 9,
    /// A client wants them no more.
    Unsubscribe = 10,
    /// The answer to it.
    Unsuback = 11,
    /// A client is there.
    Pingreq = 12,
    /// So is the server.
    Pingresp = 13,
    /// The end.
    Disconnect = 14,
    /// An exchange of credentials, MQTT 5 alone.
    Auth = 15,
}

impl Kind {
    const fn from_bits(bits: u8) -> Option<Self> {
        Some(match bits {
            1 => Self::Connect,
            2 => Self::Connack,
            3 => Self::Publish,
            4 => Self::Puback,
            5 => Self::Pubrec,
            6 => Self::Pubrel,
            7 => Self::Pubcomp,
            8 => Self::Subscribe,
            9 => Self::Suback,
            10 => Self::Unsubscribe,
            11 => Self::Unsuback,
            12 => Self::Pingreq,
            13 => Self::Pingresp,
            14 => Self::Disconnect,
            15 => Self::Auth,
            _ => return None,
        })
    }

    /// The flags that a packet of this kind must have; a message says its own.
    const fn flags(self) -> Option<u8> {
        match self {
            Self::Publish => None,
            Self::Pubrel | Self::Subscribe | Self::Unsubscribe => Some(0b0010),
            Self::Connect
            | Self::Connack
            | Self::Puback
            | Self::Pubrec
            | Self::Pubcomp
            | Self::Suback
            | Self::Unsuback
            | Self::Pingreq
            | Self::Pingresp
            | Self::Disconnect
            | Self::Auth => Some(0),
        }
    }

    /// The first byte of such a packet.
    pub(super) const fn first_byte(self, message_flags: u8) -> u8 {
        let flags = match self.flags() {
            Some(flags) => flags,
            None => message_flags,
        };
        ((self as u8) << 4) | flags
    }
}

/// One packet, not looked into yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What it is.
    pub kind: Kind,
    /// The lower half of its first byte.
    pub flags: u8,
    /// What follows its length.
    pub body: &'a [u8],
    /// The whole of it.
    pub bytes: &'a [u8],
}

/// The packet at the beginning of `buffer`; `None` when it is not there whole.
///
/// # Errors
/// As soon as the bytes that are there can be no packet, or begin one of more than `limit` bytes.
pub fn next_frame(buffer: &[u8], limit: usize) -> Result<Option<Frame<'_>>, Fault> {
    let Some((first, rest)) = buffer.split_first() else { return Ok(None) };
    let kind = Kind::from_bits(first >> 4).ok_or(Fault::Malformed("packet type 0"))?;
    let flags = first & 0x0f;
    if kind.flags().is_some_and(|needed| needed != flags) {
        return Err(Fault::Malformed("reserved flags are set"));
    }
    let Some((length, taken)) = variable(rest)? else { return Ok(None) };
    let head = 1 + taken;
    let total = usize::try_from(length).unwrap_or(usize::MAX).saturating_add(head);
    if total > limit {
        return Err(Fault::TooLarge(total));
    }
    let Some((bytes, _)) = buffer.split_at_checked(total) else { return Ok(None) };
    let Some((_, body)) = bytes.split_at_checked(head) else { return Ok(None) };
    Ok(Some(Frame { kind, flags, body, bytes }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_packets_wait_for_the_rest() {
        let packet = [0x30, 0x03, 0x00, 0x01, b'a', 0xc0];
        for length in 0..5 {
            assert_eq!(next_frame(&packet[..length], 100), Ok(None), "{length}");
        }
        let frame = next_frame(&packet, 100).unwrap().unwrap();
        assert_eq!((frame.kind, frame.flags, frame.bytes.len()), (Kind::Publish, 0, 5));
        assert_eq!(frame.body, [0, 1, b'a']);
    }

    #[test]
    fn what_can_be_no_packet_is_refused_at_its_first_bytes() {
        assert_eq!(next_frame(&[0x00], 10), Err(Fault::Malformed("packet type 0")));
        for first in [0x11, 0x43, 0x60, 0x80, 0xa1, 0xc1, 0xe8, 0xf2] {
            assert!(next_frame(&[first], 10).is_err(), "{first:x}");
        }
        assert_eq!(next_frame(&[0x30, 0x0a], 11), Err(Fault::TooLarge(12)));
        assert_eq!(next_frame(&[0x30, 0x09], 11), Ok(None));
        assert!(next_frame(&[0x30, 0xff, 0xff, 0xff, 0xff], usize::MAX).is_err());
        assert!(next_frame(&[0xc0, 0x80, 0x00], 100).is_err());
    }
}
