//! How a door hands a request to the control plane in the same process.

use std::net::SocketAddr;

use countersign_core::ids::RequestId;
use countersign_tls::Peer;

/// What a door knows of a request, attached to it as an extension.
///
/// It cannot be written on the wire and holds a [`Peer`], which only a finished handshake makes: a
/// request that reached the control plane without it has no identity.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// The other side of the handshake.
    pub peer: Peer,
    /// Where the connection comes from: the socket's address, or the PROXY header's from a listed
    /// network. Never a forwarded header.
    pub address: SocketAddr,
    /// The request's id, also in its answer.
    pub request_id: RequestId,
}

/// A rule that the door only observes would have blocked this request; its name. Beside an [`Arrival`], so
/// that whoever learns which device it is can say so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservedRule(pub String);
