//! What an egress listener is made of.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use thiserror::Error;

use crate::headers::CfBlobHeader;
use crate::http::group::UpstreamGroup;

/// Where local services come to, and what they reach from there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EgressListener {
    /// Where.
    pub address: EgressAddress,
    /// Whether an address beyond loopback is meant.
    pub reach: EgressReach,
    /// Who may come over a Unix socket; empty: whoever this process runs as.
    pub allowed_uids: Vec<u32>,
    /// The header that workerd's `cfBlobHeader` fills with the `cf` of a `fetch`.
    pub cf_blob: CfBlobHeader,
    /// The closed list.
    pub ways: Vec<EgressWay>,
}

/// Whether a listener may be reached from other machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum EgressReach {
    /// From this machine alone.
    #[default]
    Loopback,
    /// From wherever its address can be reached: whoever can connect borrows the identities.
    DangerBeyondLoopback,
}

/// One host, reached with one certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EgressWay {
    /// The host that requests are for, without port.
    pub host: String,
    /// The beginning of their path, whole segments.
    pub path_prefix: String,
    /// The id by which requests name the certificate; `None`: the certificate of those that name none.
    pub certificate_id: Option<String>,
    /// Where they go, and what is shown there.
    pub upstreams: UpstreamGroup,
}

/// Where a listener listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum EgressAddress {
    /// A TCP port.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
}

/// A text that is no such address.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("not an address such as 127.0.0.1:8790 or unix:/run/countersign/egress.sock: {0:?}")]
pub struct EgressAddressError(String);

impl FromStr for EgressAddress {
    type Err = EgressAddressError;

    fn from_str(text: &str) -> Result<Self, EgressAddressError> {
        let refused = || EgressAddressError(text.chars().take(160).collect());
        match text.strip_prefix("unix:") {
            Some(path) if path.starts_with('/') => Ok(Self::Unix(path.into())),
            Some(_relative) => Err(refused()),
            None => text.parse().map(Self::Tcp).map_err(|_invalid| refused()),
        }
    }
}

impl fmt::Display for EgressAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}
