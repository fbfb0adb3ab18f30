//! What an upstream is told about a client before the first byte: version 2 of the PROXY protocol
//! (haproxy.org/download/2.8/doc/proxy-protocol.txt), with the identity in its type-length-values.

use std::io;
use std::net::{IpAddr, SocketAddr};

use countersign_core::ids::RequestId;
use countersign_tls::{AttributeType, LeafDetails, Peer};
use ppp::v2::{Builder, Command, Protocol, Type, Version};

use crate::admit::Admitted;

/// The identity's URI: `spiffe://…/tenant/acme/device/d1`.
const IDENTITY: u8 = 0xe0;
/// The tenant.
const TENANT: u8 = 0xe1;
/// The device's name within its tenant.
const DEVICE: u8 = 0xe2;

const UNIQUE_ID: u8 = 0x05;
const SSL_VERSION: u8 = 0x21;
const SSL_CN: u8 = 0x22;
const SSL_CIPHER: u8 = 0x23;

const CLIENT_SSL: u8 = 0x01;
const CLIENT_CERT_CONN: u8 = 0x02;
const CLIENT_CERT_SESS: u8 = 0x04;

const VERIFIED: u32 = 0;
const NOT_VERIFIED: u32 = 1;

/// What the upstream is told before the first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum ProxyHeader {
    /// Nothing: the first byte is the client's.
    #[default]
    None,
    /// A PROXY header, version 2: where the client comes from; by PP2_TYPE_SSL the version of TLS, the
    /// cipher, the certificate's CN and whether it was admitted; the id of the session; and for a device
    /// in good standing 0xE0 its identity's URI, 0xE1 its tenant, 0xE2 its name. In front of TLS, unencrypted.
    V2,
}

/// The header of a connection that was let in.
///
/// # Errors
/// When it does not fit into its 65,535 octets.
pub(crate) fn v2(
    admitted: &Admitted,
    (client, door): (SocketAddr, SocketAddr),
    id: RequestId,
) -> io::Result<Vec<u8>> {
    let peer = admitted.peer();
    let mut header =
        Builder::with_addresses(Version::Two | Command::Proxy, Protocol::Stream, one_family(client, door))
            .write_tlv(UNIQUE_ID, id.to_string().as_bytes())?;
    if let Some(name) = peer.server_name() {
        header = header.write_tlv(Type::Authority, name.as_bytes())?;
    }
    header = header.write_tlv(Type::SSL, &ssl(peer, admitted)?)?;
    if let Some(claim) = admitted.device() {
        let identity = &claim.identity;
        header = header
            .write_tlv(IDENTITY, identity.uri().as_bytes())?
            .write_tlv(TENANT, identity.tenant().as_str().as_bytes())?
            .write_tlv(DEVICE, identity.device().as_str().as_bytes())?;
    }
    header.build()
}

/// `pp2_tlv_ssl`: flags, verdict, and values of their own. The CN of a certificate that nobody vouches
/// for is a stranger's word, and is not told.
fn ssl(peer: &Peer, admitted: &Admitted) -> io::Result<Vec<u8>> {
    let presented = match (peer.is_presented(), peer.is_resumed()) {
        (false, _) => 0,
        (true, true) => CLIENT_CERT_SESS,
        (true, false) => CLIENT_CERT_CONN | CLIENT_CERT_SESS,
    };
    let verified = admitted.may_be_told();
    let mut value = vec![CLIENT_SSL | presented];
    value.extend_from_slice(&if verified { VERIFIED } else { NOT_VERIFIED }.to_be_bytes());
    let mut part = |kind: u8, text: &str| -> io::Result<()> {
        let length = u16::try_from(text.len()).map_err(io::Error::other)?;
        value.push(kind);
        value.extend_from_slice(&length.to_be_bytes());
        value.extend_from_slice(text.as_bytes());
        Ok(())
    };
    part(SSL_VERSION, peer.protocol().as_str())?;
    part(SSL_CIPHER, peer.cipher())?;
    if let Some(name) = peer.leaf().filter(|_leaf| verified).and_then(common_name) {
        part(SSL_CN, name)?;
    }
    Ok(value)
}

/// The last CN, which most take for the only one.
fn common_name(leaf: &LeafDetails) -> Option<&str> {
    let last = leaf.subject.iter().rfind(|one| one.kind == AttributeType::COMMON_NAME);
    last?.value.as_deref()
}

/// Both addresses of one family: the protocol has no header for two.
fn one_family(client: SocketAddr, door: SocketAddr) -> (SocketAddr, SocketAddr) {
    let canonical = |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
    let (client, door) = (canonical(client), canonical(door));
    if client.is_ipv4() == door.is_ipv4() {
        return (client, door);
    }
    let mapped = |address: SocketAddr| match address.ip() {
        IpAddr::V4(ip) => SocketAddr::new(ip.to_ipv6_mapped().into(), address.port()),
        IpAddr::V6(_) => address,
    };
    (mapped(client), mapped(door))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_two_families_become_those_of_one() {
        let v4: SocketAddr = "192.0.2.7:1".parse().unwrap();
        let v6: SocketAddr = "[2001:db8::1]:2".parse().unwrap();
        let mapped: SocketAddr = "[::ffff:192.0.2.7]:1".parse().unwrap();
        assert_eq!(one_family(v4, v4), (v4, v4));
        assert_eq!(one_family(mapped, v4), (v4, v4));
        assert_eq!(one_family(v4, v6), (mapped, v6));
        assert_eq!(one_family(v6, v4), (v6, mapped));
    }
}
