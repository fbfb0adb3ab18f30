//! What is wrong with a packet, and the codes in which MQTT says why.

use thiserror::Error;

/// Why a packet is not read any further; the connection ends with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Fault {
    /// Bytes that are no such packet.
    #[error("malformed packet: {0}")]
    Malformed(&'static str),
    /// A packet that may not be there, or not like this.
    #[error("protocol error: {0}")]
    Protocol(&'static str),
    /// More bytes than are taken.
    #[error("a packet of {0} bytes is too large")]
    TooLarge(usize),
    /// A topic alias that is out of range or was never set.
    #[error("topic alias {0} is not valid")]
    TopicAlias(u16),
    /// A CONNECT of another version of the protocol.
    #[error("protocol level {0} is not supported")]
    UnsupportedLevel(u8),
}

impl Fault {
    /// How MQTT 5 says it.
    #[must_use]
    pub const fn reason(self) -> Reason {
        match self {
            Self::Malformed(_) => Reason::Malformed,
            Self::Protocol(_) => Reason::ProtocolError,
            Self::TooLarge(_) => Reason::PacketTooLarge,
            Self::TopicAlias(_) => Reason::TopicAliasInvalid,
            Self::UnsupportedLevel(_) => Reason::UnsupportedVersion,
        }
    }
}

/// The reason codes of MQTT 5 (section 2.4) that the door itself gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Reason {
    /// All right; in DISCONNECT, a normal end.
    Success = 0x00,
    /// Bytes that are no packet.
    Malformed = 0x81,
    /// A packet in the wrong place.
    ProtocolError = 0x82,
    /// This version is not spoken here.
    UnsupportedVersion = 0x84,
    /// A client identifier that is not taken.
    ClientIdentifierInvalid = 0x85,
    /// Not allowed.
    NotAuthorized = 0x87,
    /// Nobody is behind the door.
    ServerUnavailable = 0x88,
    /// Too much to do.
    ServerBusy = 0x89,
    /// This client is not served.
    Banned = 0x8A,
    /// The door closes.
    ServerShuttingDown = 0x8B,
    /// No authentication but the certificate.
    BadAuthenticationMethod = 0x8C,
    /// Nothing was heard for too long.
    KeepAliveTimeout = 0x8D,
    /// Not a filter.
    TopicFilterInvalid = 0x8F,
    /// There is no exchange with this packet identifier.
    PacketIdentifierNotFound = 0x92,
    /// More messages under way than agreed.
    ReceiveMaximumExceeded = 0x93,
    /// A topic alias that means nothing.
    TopicAliasInvalid = 0x94,
    /// More bytes than agreed.
    PacketTooLarge = 0x95,
    /// A quota is used up.
    QuotaExceeded = 0x97,
    /// Somebody decided so.
    AdministrativeAction = 0x98,
}

impl Reason {
    /// Its code.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The return code with which MQTT 3.1.1 refuses a connection for this (section 3.2.2.3).
    #[must_use]
    pub const fn return_code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::UnsupportedVersion => 1,
            Self::ClientIdentifierInvalid => 2,
            Self::ServerUnavailable
            | Self::ServerBusy
            | Self::ServerShuttingDown
            | Self::QuotaExceeded
            | Self::KeepAliveTimeout => 3,
            Self::Malformed
            | Self::ProtocolError
            | Self::NotAuthorized
            | Self::Banned
            | Self::BadAuthenticationMethod
            | Self::TopicFilterInvalid
            | Self::PacketIdentifierNotFound
            | Self::ReceiveMaximumExceeded
            | Self::TopicAliasInvalid
            | Self::PacketTooLarge
            | Self::AdministrativeAction => 5,
        }
    }
}
