//! The upstreams of a route, as they are configured.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use countersign_core::ids::SpkiSha256;
use http::Uri;
use http::uri::{Authority, Scheme};
use thiserror::Error;

use crate::headers::IdentityHeaders;

/// The servers behind a route, alike in what they answer, and how they are spoken to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamGroup {
    /// Where they are; requests take turns.
    pub addresses: Vec<UpstreamAddress>,
    /// The families of headers in which they are told about the client.
    pub identity: IdentityHeaders,
    /// What they speak.
    pub protocol: UpstreamProtocol,
    /// How they prove who they are, and what is shown to them: for `https` addresses.
    pub tls: UpstreamTls,
    /// How it is found out whether they are well; `None`: by connecting alone.
    pub health: Option<HealthCheck>,
    /// How long they may take.
    pub timeouts: UpstreamTimeouts,
}

impl UpstreamGroup {
    /// These servers over HTTP/1.1, told about the client as RFC 9440 says.
    #[must_use]
    pub fn new(addresses: Vec<UpstreamAddress>) -> Self {
        Self {
            addresses,
            identity: IdentityHeaders::default(),
            protocol: UpstreamProtocol::Http1,
            tls: UpstreamTls::default(),
            health: None,
            timeouts: UpstreamTimeouts::default(),
        }
    }
}

/// Where an upstream is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum UpstreamAddress {
    /// `http://host[:port]`.
    Plain(Authority),
    /// `https://host[:port]`.
    Tls(Authority),
    /// `unix:/path`, without TLS.
    Unix(PathBuf),
}

/// A text that is no upstream's address.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "not an upstream such as http://127.0.0.1:9000, https://app.internal or unix:/run/app.sock, without path: {0:?}"
)]
pub struct UpstreamAddressError(String);

impl FromStr for UpstreamAddress {
    type Err = UpstreamAddressError;

    fn from_str(text: &str) -> Result<Self, UpstreamAddressError> {
        let refused = || UpstreamAddressError(text.chars().take(160).collect());
        if let Some(path) = text.strip_prefix("unix:") {
            let path = PathBuf::from(path);
            return if path.is_absolute() { Ok(Self::Unix(path)) } else { Err(refused()) };
        }
        let uri: Uri = text.parse().map_err(|_invalid| refused())?;
        let is_bare = uri.path_and_query().is_none_or(|rest| rest.as_str() == "/") && !text.contains('#');
        let authority = uri
            .authority()
            .filter(|authority| is_bare && !authority.as_str().contains('@') && !authority.host().is_empty());
        match (uri.scheme(), authority) {
            (Some(scheme), Some(authority)) if *scheme == Scheme::HTTP => Ok(Self::Plain(authority.clone())),
            (Some(scheme), Some(authority)) if *scheme == Scheme::HTTPS => Ok(Self::Tls(authority.clone())),
            _ => Err(refused()),
        }
    }
}

impl fmt::Display for UpstreamAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(authority) => write!(f, "http://{authority}"),
            Self::Tls(authority) => write!(f, "https://{authority}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// What an upstream speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum UpstreamProtocol {
    /// HTTP/1.1.
    #[default]
    Http1,
    /// HTTP/2: agreed on in TLS, known beforehand without.
    Http2,
}

/// How an upstream proves who it is, and what is shown to it. Without `roots` and `pins` no server proves
/// anything.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct UpstreamTls {
    /// The CAs one of which must vouch for it.
    pub roots: Option<UpstreamRoots>,
    /// The keys one of which it must hold.
    pub pins: Vec<SpkiSha256>,
    /// The name it must prove, if it is not the address's host.
    pub server_name: Option<String>,
    /// What it is shown.
    pub certificate: Option<UpstreamCertificate>,
}

/// Where the CAs of upstreams come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UpstreamRoots {
    /// A file in PEM, read again when it changes.
    File(PathBuf),
    /// The machine's.
    System,
}

/// The client certificate that an upstream is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UpstreamCertificate {
    /// Files in PEM, read again when they change: the chain, leaf first, and the key.
    Files {
        /// The chain.
        chain: PathBuf,
        /// The key.
        key: PathBuf,
    },
    /// What the door shows its own clients.
    Door,
}

impl UpstreamCertificate {
    /// The certificate in a directory `NAME` with `NAME-cert.pem` and `NAME-key.pem`, as `countersign cert
    /// issue` makes them and `countersign cert rotate` swaps them.
    #[must_use]
    pub fn in_directory(directory: &std::path::Path) -> Option<Self> {
        let name = directory.file_name()?.to_str()?;
        let file = |what: &str| directory.join(format!("{name}-{what}.pem"));
        Some(Self::Files { chain: file("cert"), key: file("key") })
    }
}

/// How it is found out whether upstreams are well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthCheck {
    /// What is asked for: well is who answers 2xx or 3xx.
    pub path: String,
    /// How often.
    pub interval: Duration,
    /// After how many good answers in a row an unwell one is well again.
    pub well_after: u32,
    /// After how many bad ones in a row, or none, it is unwell.
    pub unwell_after: u32,
}

/// How long an upstream may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UpstreamTimeouts {
    /// To accept a connection, TLS included.
    pub connect: Duration,
    /// To begin its answer, from when the request's body last moved; `None`: what the door says.
    pub head: Option<Duration>,
    /// Between two pieces of an answer's body; `None`: for ever.
    pub idle: Option<Duration>,
}

impl Default for UpstreamTimeouts {
    fn default() -> Self {
        Self { connect: Duration::from_secs(5), head: None, idle: Some(Duration::from_secs(300)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_server_and_nothing_else() {
        for text in ["http://127.0.0.1:9000", "https://app.internal", "unix:/run/app.sock", "http://[::1]:80"]
        {
            assert_eq!(text.parse::<UpstreamAddress>().unwrap().to_string(), text);
        }
        assert!("http://a/".parse::<UpstreamAddress>().is_ok());
        for text in
            ["", "a:80", "ftp://a", "http://a/x", "http://a?x", "http://u@a", "unix:a", "unix://", "http://"]
        {
            assert!(text.parse::<UpstreamAddress>().is_err() || text == "unix://", "{text}");
        }
    }

    #[test]
    fn a_directory_is_named_like_what_is_in_it() {
        let files = UpstreamCertificate::in_directory("/etc/pki/web".as_ref()).unwrap();
        let (chain, key) = ("/etc/pki/web/web-cert.pem".into(), "/etc/pki/web/web-key.pem".into());
        assert_eq!(files, UpstreamCertificate::Files { chain, key });
        assert_eq!(UpstreamCertificate::in_directory("/".as_ref()), None);
    }
}
