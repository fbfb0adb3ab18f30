//! The client side of every measurement: TLS as agents speak it, and as little HTTP as will do.

use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};

use anyhow::{Context as _, bail, ensure};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{cipher_suite, default_provider, kx_group};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, HandshakeKind, RootCertStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// What the client offers, and how the servers are set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Profile {
    /// AES-128-GCM-SHA256 and X25519 for everyone.
    LikeForLike,
    /// The TLS library's own offer (X25519MLKEM768, AES-256 first) to servers as they come.
    AsTheyCome,
}

/// Whether a client goes on with earlier sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sessions {
    /// Every handshake is a full one.
    New,
    /// It resumes where it can.
    Resumed,
}

/// A certificate with its key.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: Arc<Vec<u8>>,
}

impl Profile {
    fn provider(self) -> Arc<CryptoProvider> {
        static LIKE: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| {
            Arc::new(CryptoProvider {
                cipher_suites: vec![cipher_suite::TLS13_AES_128_GCM_SHA256],
                kx_groups: vec![kx_group::X25519],
                ..default_provider()
            })
        });
        static OWN: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| Arc::new(default_provider()));
        match self {
            Self::LikeForLike => Arc::clone(&LIKE),
            Self::AsTheyCome => Arc::clone(&OWN),
        }
    }
}

/// Makes clients that trust one root.
#[derive(Clone, Debug)]
pub(crate) struct Clients {
    verifier: Arc<WebPkiServerVerifier>,
}

impl Clients {
    /// Of servers below this root (DER).
    pub(crate) fn new(root: &[u8]) -> anyhow::Result<Self> {
        Self::of([CertificateDer::from(root.to_vec())])
    }

    /// Trusts all of these CAs, PEM.
    pub(crate) fn of_pem(bundle: &[u8]) -> anyhow::Result<Self> {
        let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(bundle).collect();
        Self::of(all.context("read the CAs")?)
    }

    fn of(all: impl IntoIterator<Item = CertificateDer<'static>>) -> anyhow::Result<Self> {
        let mut roots = RootCertStore::empty();
        for root in all {
            roots.add(root).context("trust a root")?;
        }
        let provider = Profile::AsTheyCome.provider();
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider);
        Ok(Self { verifier: verifier.build().context("trust the root")? })
    }

    /// A client that shows this certificate, if any.
    pub(crate) fn client(
        &self,
        profile: Profile,
        identity: Option<&Identity>,
        sessions: Sessions,
    ) -> anyhow::Result<Client> {
        let provider = profile.provider();
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .context("set up TLS")?
            .with_webpki_verifier(Arc::clone(&self.verifier));
        let mut config = match identity {
            None => builder.with_no_client_auth(),
            Some(Identity { chain, key }) => {
                let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.as_slice()));
                let key = provider.key_provider.load_private_key(key.clone_key()).context("load a key")?;
                let shown = SingleCertAndKey::from(CertifiedKey::new(chain.clone(), key));
                builder.with_client_cert_resolver(Arc::new(shown))
            }
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config.resumption = match sessions {
            Sessions::New => Resumption::disabled(),
            Sessions::Resumed => Resumption::default(),
        };
        Ok(Client(Arc::new(config)))
    }
}

/// A client of one door.
#[derive(Clone, Debug)]
pub(crate) struct Client(Arc<ClientConfig>);

impl Client {
    /// The same with other protocols offered; none offers none.
    pub(crate) fn offering(self, protocols: &[&[u8]]) -> Self {
        let mut config = ClientConfig::clone(&self.0);
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        Self(Arc::new(config))
    }

    /// Connects and shakes hands.
    pub(crate) async fn connect(&self, address: SocketAddr) -> anyhow::Result<Connection> {
        let stream = TcpStream::connect(address).await.context("connect")?;
        stream.set_nodelay(true).context("connect")?;
        let name = ServerName::try_from("localhost").context("name the server")?;
        let stream =
            TlsConnector::from(Arc::clone(&self.0)).connect(name, stream).await.context("shake hands")?;
        Ok(Connection { stream, buffer: Vec::new() })
    }

    /// A handshake and nothing else: says goodbye at once and waits for the server to close, which it
    /// does only after it has judged what was shown.
    pub(crate) async fn shake_hands(&self, address: SocketAddr) -> anyhow::Result<HandshakeKind> {
        let mut connection = self.connect(address).await?;
        let kind = connection.stream.get_ref().1.handshake_kind().context("shake hands")?;
        connection.stream.shutdown().await.context("say goodbye")?;
        let mut rest = [0; 4096];
        loop {
            match connection.stream.read(&mut rest).await {
                Ok(0) => return Ok(kind),
                Ok(_) => {}
                // An end without close_notify is an end too; an alert is not.
                Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(kind),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return Ok(kind),
                Err(error) => return Err(error).context("refused in the handshake"),
            }
        }
    }
}

/// A connection over which requests go one after the other.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TlsStream<TcpStream>,
    buffer: Vec<u8>,
}

/// An answer's status and body.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

impl Connection {
    /// Sends these bytes, a whole request, and reads the answer.
    pub(crate) async fn exchange(&mut self, request: &[u8]) -> anyhow::Result<Answer> {
        self.stream.write_all(request).await.context("send a request")?;
        read_answer(&mut self.stream, &mut self.buffer).await
    }

    /// What is below.
    pub(crate) fn into_stream(self) -> TlsStream<TcpStream> {
        self.stream
    }

    /// Takes what has come, at least one octet; how many.
    pub(crate) async fn take_some(&mut self) -> anyhow::Result<usize> {
        self.buffer.resize(64 * 1024, 0);
        let taken = self.stream.read(&mut self.buffer).await.context("take what comes")?;
        ensure!(taken > 0, "the session ended");
        Ok(taken)
    }

    /// Gives octets; how many.
    pub(crate) async fn give(&mut self, octets: &[u8]) -> anyhow::Result<usize> {
        self.stream.write_all(octets).await.context("give octets")?;
        self.stream.flush().await.context("give octets")?;
        Ok(octets.len())
    }

    /// Waits for its end.
    pub(crate) async fn ended(mut self) {
        let mut rest = [0; 1024];
        while matches!(self.stream.read(&mut rest).await, Ok(count) if count > 0) {}
    }
}

/// Reads an answer that says its length.
pub(crate) async fn read_answer(
    stream: &mut (impl tokio::io::AsyncRead + Unpin),
    buffer: &mut Vec<u8>,
) -> anyhow::Result<Answer> {
    loop {
        if let Some((head, rest)) = split_head(buffer) {
            let status = std::str::from_utf8(head.get(9..12).unwrap_or_default()).unwrap_or_default();
            let status = status.parse().context("read a status")?;
            let length = content_length(head).context("an answer without Content-Length")?;
            if rest.len() >= length {
                let body = rest.get(..length).unwrap_or_default().to_vec();
                let used = buffer.len() - rest.len() + length;
                buffer.drain(..used);
                return Ok(Answer { status, body });
            }
        }
        ensure!(buffer.len() < 1 << 20, "an answer without end");
        if stream.read_buf(buffer).await.context("read an answer")? == 0 {
            bail!("the connection ended within an answer");
        }
    }
}

fn split_head(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    bytes.split_at_checked(end + 4)
}

fn content_length(head: &[u8]) -> Option<usize> {
    let text = std::str::from_utf8(head).ok()?;
    if text.get(9..12) == Some("204") {
        return Some(0);
    }
    let fields = text.lines().filter_map(|line| line.split_once(':'));
    let mut lengths = fields.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    lengths.next()?.1.trim().parse().ok()
}

/// The bytes of a request with a JSON body.
pub(crate) fn json_request(path: &str, token: Option<&str>, body: &str) -> Vec<u8> {
    let authorization = token.map(|token| format!("authorization: Bearer {token}\r\n")).unwrap_or_default();
    format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n{authorization}\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_by_its_length() {
        let head = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n";
        assert_eq!(content_length(head), Some(3));
        let bytes = [head.as_slice(), b"abc"].concat();
        assert_eq!(split_head(&bytes).unwrap().1, b"abc");
        assert_eq!(content_length(b"HTTP/1.1 204 No Content\r\n\r\n"), Some(0));
        assert_eq!(content_length(b"HTTP/1.1 200 OK\r\n\r\n"), None);
    }
}
