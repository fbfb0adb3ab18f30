//! Syslog, RFC 5424: over TCP with counted octets (RFC 6587, section 3.4.1), over TLS (RFC 5425), in datagrams
//! (RFC 5426), and to a socket of this machine.
//!
//! No syslog server says what it has. Over TCP and TLS a batch has arrived once the server, told that it was all,
//! has read to its end and closed: one that dies with something unread resets. Of datagrams nobody knows.

use std::io::ErrorKind;
use std::net::{Ipv6Addr, SocketAddr};
use std::path::Path;

use anyhow::Context as _;
use countersign_authority::audit_streams::StreamedEntry;
use countersign_tls::{ClientIdentity, ClientTls, ServerTrust};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket, UnixDatagram, lookup_host};

use crate::config::{ServerAddress, SyslogPlace, SyslogTls};
use crate::system_roots::roots;

/// Facility 13, the log of an audit, and severity 6, for information: 13 · 8 + 6.
const PRIORITY: u8 = 110;

/// The longest message in a datagram, in octets.
const LONGEST_DATAGRAM: usize = 60_000;

/// The longest HOSTNAME and MSGID (RFC 5424, section 6).
const LONGEST_HOST: usize = 255;
const LONGEST_KIND: usize = 32;

/// A syslog server.
pub(super) struct Syslog {
    place: SyslogPlace,
    host: String,
}

impl Syslog {
    pub(super) fn new(place: SyslogPlace, host: &str) -> Self {
        let host: String = host.chars().filter(char::is_ascii_graphic).take(LONGEST_HOST).collect();
        Self { place, host: if host.is_empty() { "-".to_owned() } else { host } }
    }

    /// Sends all of them, in order.
    pub(super) async fn send(&self, entries: &[StreamedEntry]) -> anyhow::Result<()> {
        let messages: Vec<String> = entries.iter().map(|entry| message(&self.host, entry)).collect();
        match &self.place {
            SyslogPlace::Tcp(address) => stream(connect(address).await?, &messages).await,
            SyslogPlace::Tls(address, tls) => {
                let host = address.host.to_string();
                let reached = client(tls)?.connect(&host, address.port).await;
                stream(reached.context("connect")?, &messages).await
            }
            SyslogPlace::Udp(address) => datagrams(address, &messages).await,
            SyslogPlace::Unix(path) => local(path, &messages).await,
        }
    }
}

/// The structured data stays empty: all of an entry is in its message, in ASCII, so that no byte order mark is
/// needed (RFC 5424, section 6.4).
fn message(host: &str, entry: &StreamedEntry) -> String {
    let kind: String = entry.event.chars().take(LONGEST_KIND).collect();
    format!("<{PRIORITY}>1 {} {host} countersign - {kind} - {}", entry.at, ascii(&entry.json))
}

/// JSON with every other character as its escape, which says the same.
fn ascii(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for one in json.chars() {
        if one.is_ascii() {
            text.push(one);
            continue;
        }
        for unit in one.encode_utf16(&mut [0; 2]) {
            text.push_str(&format!("\\u{unit:04x}"));
        }
    }
    text
}

async fn connect(address: &ServerAddress) -> anyhow::Result<TcpStream> {
    TcpStream::connect((address.host.to_string(), address.port)).await.context("connect")
}

/// Read anew for each batch: certificates are renewed.
fn client(tls: &SyslogTls) -> anyhow::Result<ClientTls> {
    let trust = ServerTrust::Roots(roots(tls.ca_file.as_deref(), "audit_to.ca_file")?);
    let identity = match &tls.identity {
        None => None,
        Some((chain, key)) => {
            let chain = fs_err::read_to_string(chain).context("read the certificate")?;
            Some(ClientIdentity::from_pem(chain, fs_err::read_to_string(key).context("read the key")?))
        }
    };
    let tls = ClientTls::new(&trust, identity.as_ref()).context("set up TLS")?;
    Ok(tls.with_protocols(&[]))
}

async fn stream<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, messages: &[String]) -> anyhow::Result<()> {
    let framed: String = messages.iter().map(|message| format!("{} {message}", message.len())).collect();
    stream.write_all(framed.as_bytes()).await.context("send")?;
    stream.shutdown().await.context("say that it was all")?;
    let mut said = [0; 512];
    loop {
        match stream.read(&mut said).await {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            // Not every server says goodbye in TLS; one that did not read all resets instead.
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(()),
            Err(error) => return Err(error).context("wait until it was read"),
        }
    }
}

async fn datagrams(address: &ServerAddress, messages: &[String]) -> anyhow::Result<()> {
    let found = lookup_host((address.host.to_string(), address.port)).await.context("find the host")?;
    let to = found.into_iter().next().context("find the host")?;
    let any = match to {
        SocketAddr::V4(_) => SocketAddr::from(([0, 0, 0, 0], 0)),
        SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
    };
    let socket = UdpSocket::bind(any).await.context("open a socket")?;
    socket.connect(to).await.context("connect")?;
    for message in messages {
        socket.send(datagram(message)).await.context("send")?;
    }
    Ok(())
}

async fn local(path: &Path, messages: &[String]) -> anyhow::Result<()> {
    let socket = UnixDatagram::unbound().context("open a socket")?;
    socket.connect(path).context("connect")?;
    for message in messages {
        socket.send(datagram(message)).await.context("send")?;
    }
    Ok(())
}

/// What fits; it is ASCII.
fn datagram(message: &str) -> &[u8] {
    let bytes = message.as_bytes();
    bytes.get(..LONGEST_DATAGRAM).unwrap_or(bytes)
}

#[cfg(test)]
mod tests {
    use countersign_core::audit::AuditEvent;
    use countersign_core::time::Timestamp;

    use super::*;

    fn entry(event: AuditEvent, json: &str) -> StreamedEntry {
        let at = Timestamp::parse("2026-02-11T10:00:00.123Z").unwrap();
        StreamedEntry { at, event: event.as_str(), json: json.to_owned() }
    }

    #[test]
    fn a_message_is_ascii_and_says_the_same() {
        let text = "{\"name\":\"ünï 🐙 \\n\"}";
        let message = message("gateway.example", &entry(AuditEvent::DeviceDenied, text));
        assert_eq!(
            message,
            "<110>1 2026-02-11T10:00:00.123Z gateway.example countersign - device.denied - \
             {\"name\":\"\\u00fcn\\u00ef \\ud83d\\udc19 \\n\"}"
        );
        let json = message.splitn(8, ' ').last().unwrap();
        let read: serde_json::Value = serde_json::from_str(json).unwrap();
        assert_eq!(read, serde_json::from_str::<serde_json::Value>(text).unwrap());
    }

    #[test]
    fn no_part_of_a_header_is_longer_than_it_may_be() {
        for event in AuditEvent::ALL {
            let line = message("h", &entry(*event, "{}"));
            let fields: Vec<&str> = line.splitn(8, ' ').collect();
            assert!((1..=LONGEST_KIND).contains(&fields[5].len()), "{line}");
            assert!(fields[5].bytes().all(|byte| byte.is_ascii_graphic()), "{line}");
        }
        assert_eq!(Syslog::new(SyslogPlace::Unix("/dev/log".into()), "ü ").host, "-");
    }

    #[test]
    fn a_datagram_is_cut_where_none_could_be_sent() {
        assert_eq!(datagram(&"x".repeat(70_000)).len(), LONGEST_DATAGRAM);
        assert_eq!(datagram("short"), b"short");
    }
}
