//! A subject of NATS JetStream, in NATS' own text protocol: a message counts once its stream has it.

use std::collections::HashSet;
use std::time::Duration;

use anyhow::Context as _;
use countersign_core::ids::RequestId;
use countersign_edge::TcpUpstream;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{
    AsyncBufRead, AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _,
    BufReader,
};
use tokio::net::TcpStream;
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::queue::{Deliver, Delivering};
use super::record::Record;

/// How long the server may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The longest line and the longest answer that are read.
const LONGEST_LINE: u64 = 1 << 20;
const LONGEST_ANSWER: usize = 1 << 20;

/// A subject of a server.
pub(super) struct NatsSubject {
    pub(super) server: TcpUpstream,
    pub(super) login: Option<(String, Zeroizing<String>)>,
    /// With `{tenant}` and `{device}`.
    pub(super) subject: String,
    connection: Option<Connection>,
}

/// What a server says first (docs.nats.io, client protocol, INFO).
#[derive(Deserialize)]
struct Info {
    #[serde(default)]
    headers: bool,
    #[serde(default)]
    max_payload: usize,
    #[serde(default)]
    tls_required: bool,
}

/// Either in clear or over TLS.
trait Stream: AsyncRead + AsyncWrite + Send + Sync + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Sync + Unpin> Stream for S {}

/// A connection, with a place for answers.
struct Connection {
    stream: BufReader<Box<dyn Stream>>,
    inbox: String,
    max_payload: usize,
    /// How often messages were sent on it: answers to earlier ones do not count.
    round: u64,
}

/// What a server sends.
enum Said {
    /// An answer: to which subject, and what.
    Answer(String, Vec<u8>),
    /// It wants to know whether somebody is there.
    Ping,
    /// Somebody is there.
    Pong,
    /// Nothing that matters.
    Other,
}

impl NatsSubject {
    pub(super) const fn new(
        server: TcpUpstream,
        login: Option<(String, Zeroizing<String>)>,
        subject: String,
    ) -> Self {
        Self { server, login, subject, connection: None }
    }

    /// The server speaks first, in clear; then comes the handshake, if there is to be one.
    async fn connect(&self) -> anyhow::Result<Connection> {
        let (host, port, tls) = match &self.server {
            TcpUpstream::Tcp { host, port } => (host, port, None),
            TcpUpstream::Tls { host, port, server_name, tls } => (host, port, Some((server_name, tls))),
            TcpUpstream::Unix(path) => anyhow::bail!("NATS is not at a socket: {}", path.display()),
        };
        let stream = TcpStream::connect((host.as_str(), *port)).await;
        let stream = stream.with_context(|| format!("connect to {}", self.server))?;
        stream.set_nodelay(true)?;
        let mut stream = BufReader::new(stream);
        let line = line(&mut stream).await?;
        let info = line.strip_prefix("INFO ").context("the server does not say who it is")?;
        let info: Info = serde_json::from_str(info).context("read who the server is")?;
        anyhow::ensure!(info.headers, "the server knows no headers: it is older than JetStream");
        let stream: Box<dyn Stream> = match tls {
            None => {
                anyhow::ensure!(!info.tls_required, "the server wants TLS: say nats+tls://");
                Box::new(stream)
            }
            Some((server_name, tls)) => {
                // Whoever says more in clear is not the server, or is not alone.
                anyhow::ensure!(stream.buffer().is_empty(), "the server says more before TLS");
                let secret = tls.current()?.handshake(server_name, stream.into_inner()).await;
                Box::new(secret.with_context(|| format!("TLS with {}", self.server))?)
            }
        };
        let inbox = format!("_INBOX.{}", RequestId::random());
        let stream = BufReader::new(stream);
        let mut connection = Connection { stream, inbox, max_payload: info.max_payload, round: 0 };
        let hello = hello(self.login.as_ref());
        let first = Zeroizing::new(format!("CONNECT {hello}\r\nSUB {}.> 1\r\nPING\r\n", connection.inbox));
        connection.stream.write_all(first.as_bytes()).await?;
        while !matches!(connection.said().await?, Said::Pong) {}
        Ok(connection)
    }

    async fn publish(&mut self, batch: &[Record]) -> anyhow::Result<()> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        connection.publish(batch, &self.subject).await?;
        self.connection = Some(connection);
        Ok(())
    }
}

/// Who this is.
fn hello(login: Option<&(String, Zeroizing<String>)>) -> Value {
    json!({
        "verbose": false,
        "pedantic": false,
        "headers": true,
        "no_responders": true,
        "name": "countersign",
        "lang": "rust",
        "version": env!("CARGO_PKG_VERSION"),
        "user": login.map(|(user, _password)| user),
        "pass": login.map(|(_user, password)| password.as_str()),
    })
}

impl Connection {
    /// Sends all of them, and waits until a stream has each.
    async fn publish(&mut self, batch: &[Record], subject: &str) -> anyhow::Result<()> {
        self.round += 1;
        let mut out = Vec::new();
        let mut open = HashSet::new();
        for (number, record) in batch.iter().enumerate() {
            let (subject, reply) =
                (record.fill(subject, '.'), format!("{}.{}.{number}", self.inbox, self.round));
            write(&mut out, &subject, &reply, record, self.max_payload)?;
            open.insert(reply);
        }
        self.stream.write_all(&out).await.context("send messages")?;
        while !open.is_empty() {
            match self.said().await? {
                Said::Answer(subject, payload) if open.contains(&subject) => {
                    check_stored(&payload)?;
                    open.remove(&subject);
                }
                Said::Ping => self.stream.write_all(b"PONG\r\n").await?,
                Said::Answer(..) | Said::Pong | Said::Other => {}
            }
        }
        Ok(())
    }

    async fn said(&mut self) -> anyhow::Result<Said> {
        let line = line(&mut self.stream).await?;
        let mut words = line.split_ascii_whitespace();
        Ok(match words.next() {
            Some("PING") => Said::Ping,
            Some("PONG") => Said::Pong,
            Some("-ERR") => anyhow::bail!("the server refuses: {line}"),
            // MSG subject sid [reply-to] bytes; HMSG has the length of its headers before.
            Some(kind @ ("MSG" | "HMSG")) => {
                let subject = words.next().context("read an answer's subject")?.to_owned();
                let bytes: usize =
                    words.next_back().and_then(|word| word.parse().ok()).context("read its length")?;
                anyhow::ensure!(bytes <= LONGEST_ANSWER, "an answer of {bytes} bytes");
                let mut payload = vec![0; bytes + 2];
                self.stream.read_exact(&mut payload).await?;
                payload.truncate(bytes);
                if kind == "HMSG" {
                    check_headers(&payload)?;
                }
                Said::Answer(subject, payload)
            }
            Some(_) | None => Said::Other,
        })
    }
}

async fn line(stream: &mut (impl AsyncBufRead + Unpin)) -> anyhow::Result<String> {
    let mut line = Vec::new();
    let read = stream.take(LONGEST_LINE).read_until(b'\n', &mut line).await?;
    anyhow::ensure!(read > 0 && line.ends_with(b"\n"), "the server ended the connection");
    let line = String::from_utf8(line).context("read a line")?;
    Ok(line.trim_end().to_owned())
}

/// HPUB subject reply-to header-bytes bytes.
fn write(out: &mut Vec<u8>, subject: &str, reply: &str, record: &Record, limit: usize) -> anyhow::Result<()> {
    // A stream that saw this id within its window keeps the message once.
    let headers = format!("NATS/1.0\r\nNats-Msg-Id: {}\r\n\r\n", record.id);
    let total = headers.len() + record.json.len();
    anyhow::ensure!(limit == 0 || total <= limit, "a message of {total} bytes, and the server takes {limit}");
    out.extend(format!("HPUB {subject} {reply} {} {total}\r\n{headers}", headers.len()).bytes());
    out.extend(record.json.bytes());
    out.extend(b"\r\n");
    Ok(())
}

/// A server without an answer says so in headers: `NATS/1.0 503`.
fn check_headers(payload: &[u8]) -> anyhow::Result<()> {
    let text = String::from_utf8_lossy(payload);
    let status = text.lines().next().unwrap_or_default();
    anyhow::ensure!(!status.contains(" 503"), "no stream takes this subject");
    anyhow::bail!("the server answers {status}")
}

/// A stream that has a message says where.
fn check_stored(payload: &[u8]) -> anyhow::Result<()> {
    let said: Value = serde_json::from_slice(payload).context("read what the stream says")?;
    if let Some(error) = said.get("error") {
        anyhow::bail!("the stream refuses: {error}");
    }
    anyhow::ensure!(
        said.get("seq").is_some_and(Value::is_u64),
        "the stream does not say that it has the message"
    );
    Ok(())
}

impl Deliver<Record> for NatsSubject {
    fn deliver<'a>(&'a mut self, batch: &'a [Record]) -> Delivering<'a> {
        Box::pin(async move { timeout(PATIENCE, self.publish(batch)).await.context("wait for NATS")? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_written_with_its_lengths_and_its_id() {
        let record = Record::example("d1");
        let mut out = Vec::new();
        write(&mut out, "a.b", "in.1.0", &record, 0).unwrap();
        let headers = 12 + "Nats-Msg-Id: ".len() + record.id.to_string().len() + 2;
        let text = String::from_utf8(out).unwrap();
        let (line, rest) = text.split_once("\r\n").unwrap();
        assert_eq!(line, format!("HPUB a.b in.1.0 {headers} {}", headers + record.json.len()));
        assert_eq!(rest.len(), headers + record.json.len() + 2);
        assert!(write(&mut Vec::new(), "a", "b", &record, 10).is_err());
    }

    #[test]
    fn only_a_stream_that_has_the_message_counts() {
        check_stored(br#"{"stream":"S","seq":3}"#).unwrap();
        check_stored(br#"{"stream":"S","seq":3,"duplicate":true}"#).unwrap();
        for said in ["", "{}", r#"{"error":{"code":503}}"#, r#"{"seq":"3"}"#] {
            assert!(check_stored(said.as_bytes()).is_err(), "{said}");
        }
        assert!(check_headers(b"NATS/1.0 503\r\n\r\n").unwrap_err().to_string().contains("no stream"));
    }
}
