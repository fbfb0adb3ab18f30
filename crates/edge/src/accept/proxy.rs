//! The PROXY protocol, versions 1 and 2 (haproxy.org/download/2.8/doc/proxy-protocol.txt): where a
//! connection comes from, said by a listed load balancer before the handshake.

use std::io;
use std::net::SocketAddr;

use ppp::{v1, v2};
use thiserror::Error;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

const V2_SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
const V1_MAX: usize = 107;
const V2_MAX: usize = 2048;

/// A connection from a listed network that does not begin as it must.
#[derive(Debug, Error)]
pub(crate) enum ProxyError {
    /// It ended or broke before the header did.
    #[error("read the PROXY header")]
    Read(#[from] io::Error),
    /// It does not begin with a PROXY header, or with one that is malformed.
    #[error("no valid PROXY header")]
    Malformed,
    /// The header is longer than any that is needed.
    #[error("PROXY header too long")]
    TooLong,
}

/// Reads the header and nothing after it. `None`: the load balancer speaks for itself (a health
/// check), or does not know whom for.
pub(crate) async fn read(stream: &mut TcpStream) -> Result<Option<SocketAddr>, ProxyError> {
    let mut start = [0; 12];
    stream.read_exact(&mut start).await?;
    if start == V2_SIGNATURE {
        version_2(stream).await
    } else if start.starts_with(b"PROXY ") {
        version_1(stream, &start).await
    } else {
        Err(ProxyError::Malformed)
    }
}

async fn version_1(stream: &mut TcpStream, start: &[u8]) -> Result<Option<SocketAddr>, ProxyError> {
    let mut header = start.to_vec();
    let mut window = [0; V1_MAX];
    while !header.ends_with(b"\n") {
        let room = window.get_mut(..V1_MAX.saturating_sub(header.len())).unwrap_or_default();
        if room.is_empty() {
            return Err(ProxyError::TooLong);
        }
        let seen = stream.peek(room).await?;
        let seen = room.get_mut(..seen).unwrap_or_default();
        if seen.is_empty() {
            return Err(ProxyError::Read(io::ErrorKind::UnexpectedEof.into()));
        }
        let end = seen.iter().position(|byte| *byte == b'\n').map_or(seen.len(), |at| at + 1);
        let taken = seen.get_mut(..end).unwrap_or_default();
        stream.read_exact(taken).await?;
        header.extend_from_slice(taken);
    }
    source_v1(&header)
}

async fn version_2(stream: &mut TcpStream) -> Result<Option<SocketAddr>, ProxyError> {
    let mut header = V2_SIGNATURE.to_vec();
    let mut fixed = [0; 4];
    stream.read_exact(&mut fixed).await?;
    header.extend_from_slice(&fixed);
    let [_, _, high, low] = fixed;
    let length = usize::from(u16::from_be_bytes([high, low]));
    if length > V2_MAX {
        return Err(ProxyError::TooLong);
    }
    let mut rest = vec![0; length];
    stream.read_exact(&mut rest).await?;
    header.extend_from_slice(&rest);
    source_v2(&header)
}

fn source_v1(header: &[u8]) -> Result<Option<SocketAddr>, ProxyError> {
    let parsed = v1::Header::try_from(header).map_err(|_invalid| ProxyError::Malformed)?;
    Ok(match parsed.addresses {
        v1::Addresses::Unknown => None,
        v1::Addresses::Tcp4(ip) => Some((ip.source_address, ip.source_port).into()),
        v1::Addresses::Tcp6(ip) => Some((ip.source_address, ip.source_port).into()),
    })
}

fn source_v2(header: &[u8]) -> Result<Option<SocketAddr>, ProxyError> {
    let parsed = v2::Header::try_from(header).map_err(|_invalid| ProxyError::Malformed)?;
    if parsed.command == v2::Command::Local {
        return Ok(None);
    }
    Ok(match parsed.addresses {
        v2::Addresses::Unspecified | v2::Addresses::Unix(_) => None,
        v2::Addresses::IPv4(ip) => Some((ip.source_address, ip.source_port).into()),
        v2::Addresses::IPv6(ip) => Some((ip.source_address, ip.source_port).into()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn v2_header(command: u8, source: [u8; 4], port: u16) -> Vec<u8> {
        let mut header = V2_SIGNATURE.to_vec();
        header.extend_from_slice(&[0x20 | command, 0x11, 0, 12]);
        header.extend_from_slice(&source);
        header.extend_from_slice(&[127, 0, 0, 1]);
        header.extend_from_slice(&port.to_be_bytes());
        header.extend_from_slice(&443_u16.to_be_bytes());
        header
    }

    #[test]
    fn both_versions_name_the_source() {
        let expected = Some("192.0.2.7:4711".parse().unwrap());
        assert_eq!(source_v1(b"PROXY TCP4 192.0.2.7 127.0.0.1 4711 443\r\n").unwrap(), expected);
        assert_eq!(source_v2(&v2_header(1, [192, 0, 2, 7], 4711)).unwrap(), expected);
        let v6 = source_v1(b"PROXY TCP6 2001:db8::7 ::1 4711 443\r\n").unwrap();
        assert_eq!(v6, Some("[2001:db8::7]:4711".parse().unwrap()));
    }

    #[test]
    fn a_balancer_that_speaks_for_itself_names_no_one() {
        assert_eq!(source_v1(b"PROXY UNKNOWN\r\n").unwrap(), None);
        assert_eq!(source_v2(&v2_header(0, [192, 0, 2, 7], 4711)).unwrap(), None);
    }

    #[test]
    fn refuses_what_is_malformed() {
        for bad in [&b"PROXY TCP4 999.0.2.7 127.0.0.1 1 2\r\n"[..], b"PROXY TCP4\r\n", b"PROXY "] {
            assert!(source_v1(bad).is_err());
        }
        let mut short = v2_header(1, [1, 2, 3, 4], 1);
        short.truncate(20);
        assert!(source_v2(&short).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_parsed_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            drop(source_v1(&bytes));
            drop(source_v2(&[&V2_SIGNATURE[..], &bytes].concat()));
        }
    }
}
