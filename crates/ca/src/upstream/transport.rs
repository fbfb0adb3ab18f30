//! What is carried to the API and back, and by whom.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use thiserror::Error;

/// How something is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApiMethod {
    /// Read.
    Get,
    /// Make.
    Post,
    /// Replace.
    Put,
    /// Take away.
    Delete,
}

/// One call, without the token: that is the transport's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiRequest {
    /// How.
    pub method: ApiMethod,
    /// Below the API's base: `/zones/…`, query included.
    pub path: String,
    /// JSON.
    pub body: Option<Vec<u8>>,
}

/// What was answered, not yet read.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiResponse {
    /// The HTTP status.
    pub status: u16,
    /// How long to stay away, if it says so in seconds.
    pub retry_after: Option<Duration>,
    /// The body.
    pub body: Vec<u8>,
}

impl fmt::Debug for ApiResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiResponse").field("status", &self.status).finish_non_exhaustive()
    }
}

/// A call got no answer.
#[derive(Debug, Error)]
pub enum TransportError {
    /// It never left: there was no connection.
    #[error("cannot reach {address}")]
    Unreachable {
        /// Whom.
        address: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It may have arrived: the connection broke, or the time was over.
    #[error("no answer from {address}")]
    NoAnswer {
        /// From whom.
        address: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// A call on its way.
pub type Sending<'a> = Pin<Box<dyn Future<Output = Result<ApiResponse, TransportError>> + Send + 'a>>;

/// Carries calls to the API: the one place that knows the network and the token, which it neither
/// prints nor gives away. It gives up by itself after seconds.
pub trait Transport: fmt::Debug + Send + Sync {
    /// Carries one call.
    fn send(&self, request: ApiRequest) -> Sending<'_>;
}
