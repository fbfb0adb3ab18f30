//! What a server shows to anybody: its certificate, taken as it is and trusted for nothing.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, Error};
use thiserror::Error as ThisError;
use tokio::net::TcpStream;

use crate::provider::VERSIONS;
use crate::server_verdict::{Judged, Verdict};

/// How long everything together may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why no certificate was seen.
#[derive(Debug, ThisError)]
pub enum ProbeError {
    /// No name that a server can have.
    #[error("not a server's name: {0:?}")]
    BadName(String),
    /// The host has no address.
    #[error("look up {host}")]
    Lookup {
        /// Whose address.
        host: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Nobody answers there.
    #[error("connect to {address}")]
    Connect {
        /// Where; the last address of several.
        address: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// It took too long.
    #[error("no certificate from {address} within {} s", PATIENCE.as_secs())]
    TimedOut {
        /// From whom.
        address: String,
    },
    /// No TLS, nothing in common, or a certificate whose key the server did not prove to have.
    #[error("TLS handshake with {address}")]
    Handshake {
        /// With whom.
        address: String,
        /// What went wrong.
        #[source]
        source: io::Error,
    },
}

impl ProbeError {
    /// One stable word for the kind of failure.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::BadName(_) => "name",
            Self::Lookup { .. } => "dns",
            Self::Connect { .. } => "connect",
            Self::TimedOut { .. } => "timeout",
            Self::Handshake { .. } => "tls",
        }
    }
}

/// The certificates that the server at `host:port` shows to whoever asks for `server_name`, leaf first, in
/// DER, at least one. The server has proved that it holds the leaf's key; apart from that it is taken as it
/// is, expired or for somebody else. No certificate is shown to the server, and nothing is sent after the
/// handshake.
///
/// # Errors
/// [`ProbeError`], at the latest after ten seconds.
pub async fn shown_certificates(
    host: &str,
    port: u16,
    server_name: &str,
) -> Result<Vec<Vec<u8>>, ProbeError> {
    let name = ServerName::try_from(server_name.to_owned()).map_err(|_no_name| bad_name(server_name))?;
    let probing = async {
        let io = connect(host, port).await?;
        let taken = Arc::new(DangerTakesAny::default());
        let connector = tokio_rustls::TlsConnector::from(Arc::new(taken.config().map_err(|error| {
            ProbeError::Handshake { address: address(host, port), source: io::Error::other(error) }
        })?));
        let ended = connector.connect(name, io).await;
        // One that wants a certificate of ours may have said no after it had shown its own.
        match (taken.proved(), ended) {
            (Some(chain), _) => Ok(chain),
            (None, Ok(_)) => Err(io::ErrorKind::InvalidData.into()),
            (None, Err(source)) => Err(source),
        }
        .map_err(|source| ProbeError::Handshake { address: address(host, port), source })
    };
    let late = |_elapsed| ProbeError::TimedOut { address: address(host, port) };
    tokio::time::timeout(PATIENCE, probing).await.map_err(late)?
}

fn bad_name(name: &str) -> ProbeError {
    ProbeError::BadName(name.chars().take(160).collect())
}

fn address(host: &str, port: u16) -> String {
    match host.parse::<IpAddr>() {
        Ok(ip) => SocketAddr::new(ip, port).to_string(),
        Err(_name) => format!("{host}:{port}"),
    }
}

/// Tries each address of the host in turn.
async fn connect(host: &str, port: u16) -> Result<TcpStream, ProbeError> {
    let unknown = |source| ProbeError::Lookup { host: host.to_owned(), source };
    let addresses = tokio::net::lookup_host((host, port)).await.map_err(unknown)?;
    let mut failed = unknown(io::ErrorKind::NotFound.into());
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(io) => return Ok(io),
            Err(source) => failed = ProbeError::Connect { address: address.to_string(), source },
        }
    }
    Err(failed)
}

/// Takes whatever certificate is shown, and trusts it for nothing.
#[derive(Debug, Default)]
struct DangerTakesAny {
    shown: OnceLock<Vec<Vec<u8>>>,
    proof: OnceLock<()>,
}

impl DangerTakesAny {
    /// Speaks all that the TLS library can: the more servers can be looked at, the better.
    fn config(self: &Arc<Self>) -> Result<ClientConfig, Error> {
        let verifier = Judged(Arc::clone(self));
        let mut config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(VERSIONS)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        config.resumption = Resumption::disabled();
        Ok(config)
    }

    /// What was shown, if the key was proved.
    fn proved(&self) -> Option<Vec<Vec<u8>>> {
        self.proof.get().and(self.shown.get()).cloned()
    }
}

impl Verdict for Arc<DangerTakesAny> {
    fn on(
        &self,
        (end_entity, intermediates): (&CertificateDer<'_>, &[CertificateDer<'_>]),
        _server_name: &ServerName<'_>,
        _now: UnixTime,
    ) -> Result<(), Error> {
        self.shown.get_or_init(|| {
            std::iter::once(end_entity).chain(intermediates).map(|shown| shown.to_vec()).collect()
        });
        Ok(())
    }

    fn key_proved(&self) {
        self.proof.get_or_init(|| ());
    }
}
