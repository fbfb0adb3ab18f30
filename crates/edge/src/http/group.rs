//! The upstreams of a route, as they are configured.

use crate::headers::IdentityHeaders;

/// The servers behind a route, and what they are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamGroup {
    /// `http://host[:port]`.
    pub address: http::Uri,
    /// The families of headers in which it is told about the client.
    pub identity: IdentityHeaders,
}

impl UpstreamGroup {
    /// One server at `http://host[:port]`, told about the client as RFC 9440 says.
    #[must_use]
    pub fn plain(address: http::Uri) -> Self {
        Self { address, identity: IdentityHeaders::default() }
    }
}
