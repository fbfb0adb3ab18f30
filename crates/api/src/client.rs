//! The typed client of the agent endpoints.
//!
//! Credentials go to one origin only: HTTPS is the only scheme, the server has proved who it is
//! before a byte is written, and a redirect that leads to another origin is refused.

mod channel;
mod device;
mod edge;

use std::error::Error as StdError;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use bytes::Bytes;
use countersign_core::ids::AgentId;
use countersign_tls::{ClientTls, ConnectError, HttpsConnector};
use http::header::{AUTHORIZATION, CONTENT_TYPE, LOCATION, RETRY_AFTER, USER_AGENT};
use http::uri::{Authority, PathAndQuery};
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;
use tokio::time::{Instant, timeout_at};

use crate::error::ErrorBody;
use crate::wire::agent::{
    ChallengeResponse, ConfirmRequest, EnrollRequest, EnrollResponse, HeartbeatRequest, HeartbeatResponse,
    RenewRequest, RenewResponse, Success,
};
use crate::wire::reported::{AccessReportRequest, AccessReportResponse};

pub use channel::Channel;

/// How long a request may take, redirects included.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// The longest answer that is read, in bytes.
pub const ANSWER_LIMIT: usize = 1024 * 1024;

/// How many redirects within the origin are followed.
pub const REDIRECT_LIMIT: usize = 3;

/// Where a control plane is: `https://host[:port]`, nothing more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerUrl(Authority);

/// A text that is no [`ServerUrl`].
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("not a server URL of the form https://host[:port]: {0:?}")]
pub struct ServerUrlError(String);

impl FromStr for ServerUrl {
    type Err = ServerUrlError;

    /// Fails closed: any other scheme, a user name, a path, a query or a fragment is refused.
    fn from_str(text: &str) -> Result<Self, ServerUrlError> {
        let refused = || ServerUrlError(text.chars().take(200).collect());
        let uri: Uri = text.trim().parse().map_err(|_malformed| refused())?;
        let parts = uri.into_parts();
        let is_https = parts.scheme.is_some_and(|scheme| scheme == http::uri::Scheme::HTTPS);
        let is_bare = parts.path_and_query.is_none_or(|path| path.as_str() == "/");
        match parts.authority {
            Some(authority) if is_https && is_bare && is_plain(&authority) && !text.contains('#') => {
                Ok(Self(authority))
            }
            Some(_) | None => Err(refused()),
        }
    }
}

/// Whether it is a host and, if given, a port: no user name, no port that is no number.
fn is_plain(authority: &Authority) -> bool {
    let host = authority.host();
    let rest = authority.as_str().strip_prefix(host);
    !host.is_empty() && (rest == Some("") || authority.port_u16().is_some_and(|port| port != 0)) && {
        !authority.as_str().contains('@')
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "https://{}", self.0)
    }
}

impl ServerUrl {
    /// Host and port.
    #[must_use]
    pub const fn authority(&self) -> &Authority {
        &self.0
    }

    fn with_path(&self, path: PathAndQuery) -> Result<Uri, http::uri::InvalidUriParts> {
        let mut parts = http::uri::Parts::default();
        parts.scheme = Some(http::uri::Scheme::HTTPS);
        parts.authority = Some(self.0.clone());
        parts.path_and_query = Some(path);
        Uri::from_parts(parts)
    }

    fn is_origin_of(&self, uri: &Uri) -> bool {
        let port = |authority: &Authority| authority.port_u16().unwrap_or(443);
        uri.scheme() == Some(&http::uri::Scheme::HTTPS)
            && uri.authority().is_some_and(|other| {
                is_plain(other)
                    && other.host().eq_ignore_ascii_case(self.0.host())
                    && port(other) == port(&self.0)
            })
    }
}

/// The control plane answered with an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    /// The status.
    pub status: StatusCode,
    /// The body; its code is empty when something other than a control plane answered.
    pub body: ErrorBody,
    /// How long to wait before asking again, when the answer says so in seconds.
    pub retry_after: Option<Duration>,
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}", self.body.error, self.status.as_u16())?;
        if !self.body.code.is_empty() {
            write!(f, " {}", self.body.code)?;
        }
        if let Some(reason) = &self.body.reason {
            write!(f, ", {reason}")?;
        }
        f.write_str(")")
    }
}

impl StdError for ApiError {}

impl ApiError {
    /// Whether the same request may succeed later without anybody doing anything: 408, 429 and 5xx.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.status.is_server_error()
            || self.status == StatusCode::TOO_MANY_REQUESTS
            || self.status == StatusCode::REQUEST_TIMEOUT
    }

    /// Whether it has this stable code.
    #[must_use]
    pub fn has_code(&self, code: &str) -> bool {
        self.body.code == code
    }
}

/// A request did not succeed.
#[derive(Debug, Error)]
pub enum ClientError {
    /// The control plane answered with an error.
    #[error("{path} was refused")]
    Refused {
        /// What was asked.
        path: String,
        /// The answer.
        #[source]
        source: Box<ApiError>,
    },
    /// The answer was a redirect that is not followed.
    #[error("refused the redirect from {path} to {location:?}: {why}")]
    Redirected {
        /// What was asked.
        path: String,
        /// Where it led, cut to 200 characters.
        location: String,
        /// Why it is not followed.
        why: &'static str,
    },
    /// No answer: no connection, no handshake, or cut off.
    #[error("cannot reach {server}")]
    Unreachable {
        /// Whom.
        server: ServerUrl,
        /// Why.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
    /// No answer in time.
    #[error("no answer from {server} to {path} within {} s", .after.as_secs())]
    TimedOut {
        /// Whom.
        server: ServerUrl,
        /// What was asked.
        path: String,
        /// How long was waited.
        after: Duration,
    },
    /// The answer is longer than [`ANSWER_LIMIT`].
    #[error("the answer to {path} is longer than {ANSWER_LIMIT} bytes")]
    TooLarge {
        /// What was asked.
        path: String,
    },
    /// The answer is not what the contract says.
    #[error("cannot read the answer to {path}")]
    Unreadable {
        /// What was asked.
        path: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// The request cannot be written down: the token holds a byte that no header can.
    #[error("cannot write the request to {path}")]
    Unsendable {
        /// What was to be asked.
        path: String,
        /// Why.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
}

impl ClientError {
    /// The control plane's answer, if this is one.
    #[must_use]
    pub fn answer(&self) -> Option<&ApiError> {
        match self {
            Self::Refused { source, .. } => Some(source),
            Self::Redirected { .. }
            | Self::Unreachable { .. }
            | Self::TimedOut { .. }
            | Self::TooLarge { .. }
            | Self::Unreadable { .. }
            | Self::Unsendable { .. } => None,
        }
    }

    /// Why the connection failed, if that is it.
    #[must_use]
    pub fn connect_error(&self) -> Option<&ConnectError> {
        let mut error: Option<&(dyn StdError + 'static)> = Some(self);
        while let Some(this) = error {
            if let Some(found) = this.downcast_ref::<ConnectError>() {
                return Some(found);
            }
            error = this.source();
        }
        None
    }

    /// Whether the same request may succeed later without anybody doing anything.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Refused { source, .. } => source.is_retryable(),
            Self::Unreachable { .. } | Self::TimedOut { .. } => true,
            Self::Redirected { .. }
            | Self::TooLarge { .. }
            | Self::Unreadable { .. }
            | Self::Unsendable { .. } => false,
        }
    }
}

/// An agent's connection to its control plane.
///
/// What it shows in the handshake is fixed when it is made: for another certificate, make another.
#[derive(Clone, Debug)]
pub struct Client {
    server: ServerUrl,
    inner: hyper_util::client::legacy::Client<HttpsConnector, Full<Bytes>>,
    timeout: Duration,
}

/// Who asks.
#[derive(Clone, Copy)]
enum Caller<'a> {
    Nobody,
    Agent(&'a str),
}

impl Client {
    /// A client of `server`, trusting and showing what `tls` says. Connects when first used.
    #[must_use]
    pub fn new(server: ServerUrl, tls: &ClientTls) -> Self {
        let inner = hyper_util::client::legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(90))
            .build(tls.connector());
        Self { server, inner, timeout: REQUEST_TIMEOUT }
    }

    /// The same with another time limit per request.
    #[must_use]
    pub fn with_timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// POST `/agents/enroll`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn enroll(&self, request: &EnrollRequest) -> Result<EnrollResponse, ClientError> {
        self.post(Caller::Nobody, "/api/v1/agents/enroll".to_owned(), request).await
    }

    /// POST `/agents/:agentId/heartbeat`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn heartbeat(
        &self,
        token: &str,
        agent: &AgentId,
        request: &HeartbeatRequest,
    ) -> Result<HeartbeatResponse, ClientError> {
        self.post(Caller::Agent(token), format!("/api/v1/agents/{agent}/heartbeat"), request).await
    }

    /// POST `/api/audit`: by the certificate that is shown.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn report_access(
        &self,
        request: &AccessReportRequest,
    ) -> Result<AccessReportResponse, ClientError> {
        self.post(Caller::Nobody, "/api/audit".to_owned(), request).await
    }

    /// POST `/agents/renew-cert`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn renew(&self, token: &str, request: &RenewRequest) -> Result<RenewResponse, ClientError> {
        self.post(Caller::Agent(token), "/api/v1/agents/renew-cert".to_owned(), request).await
    }

    /// POST `/agents/renew-cert/challenge`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn challenge(&self, token: &str) -> Result<ChallengeResponse, ClientError> {
        #[derive(Serialize)]
        struct Empty {}
        self.post(Caller::Agent(token), "/api/v1/agents/renew-cert/challenge".to_owned(), &Empty {}).await
    }

    /// POST `/agents/renew-cert/confirm`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn confirm(&self, token: &str, request: &ConfirmRequest) -> Result<Success, ClientError> {
        self.post(Caller::Agent(token), "/api/v1/agents/renew-cert/confirm".to_owned(), request).await
    }

    async fn post<Q: Serialize + Sync, A: DeserializeOwned>(
        &self,
        caller: Caller<'_>,
        path: String,
        request: &Q,
    ) -> Result<A, ClientError> {
        self.call(Method::POST, caller, path, request).await
    }

    /// Sends a JSON body and reads a JSON answer.
    async fn call<Q: Serialize + Sync, A: DeserializeOwned>(
        &self,
        method: Method,
        caller: Caller<'_>,
        path: String,
        request: &Q,
    ) -> Result<A, ClientError> {
        let body = serde_json::to_vec(request).map_err(|error| unsendable(&path, error))?;
        let bytes = self.exchange(&method, caller, &path, body.into()).await?;
        serde_json::from_slice(&bytes).map_err(|source| ClientError::Unreadable { path, source })
    }

    /// The body of the answer, which is a success, within the time limit.
    async fn exchange(
        &self,
        method: &Method,
        caller: Caller<'_>,
        path: &str,
        body: Bytes,
    ) -> Result<Bytes, ClientError> {
        let deadline = Instant::now() + self.timeout;
        match timeout_at(deadline, self.follow(method, caller, path, body)).await {
            Ok(outcome) => outcome,
            Err(_elapsed) => Err(self.timed_out(path)),
        }
    }

    async fn follow(
        &self,
        method: &Method,
        caller: Caller<'_>,
        path: &str,
        body: Bytes,
    ) -> Result<Bytes, ClientError> {
        let mut uri = self.uri(path)?;
        for _ in 0..=REDIRECT_LIMIT {
            let message = message(caller, method.clone(), uri, body.clone())
                .map_err(|error| unsendable(path, error))?;
            let answer = self.inner.request(message).await.map_err(|error| self.unreachable(error))?;
            if !answer.status().is_redirection() {
                return self.read(path, answer).await;
            }
            uri = self.next_hop(path, &answer)?;
        }
        Err(redirected(path, "", "too many redirects"))
    }

    fn uri(&self, path: &str) -> Result<Uri, ClientError> {
        let target = PathAndQuery::from_str(path).map_err(|error| unsendable(path, error))?;
        self.server.with_path(target).map_err(|error| unsendable(path, error))
    }

    fn timed_out(&self, path: &str) -> ClientError {
        ClientError::TimedOut { server: self.server.clone(), path: path.to_owned(), after: self.timeout }
    }

    /// Where a redirect leads, if it may be followed: the same method and body, the same origin.
    fn next_hop(&self, path: &str, answer: &Response<Incoming>) -> Result<Uri, ClientError> {
        let location = answer.headers().get(LOCATION).and_then(|value| value.to_str().ok()).unwrap_or("");
        let refused = |why| redirected(path, location, why);
        if !matches!(answer.status(), StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT) {
            return Err(refused("only 307 and 308 keep the request as it is"));
        }
        let is_path = location.starts_with('/') && !location.starts_with("//");
        if is_path {
            let target = PathAndQuery::from_str(location).map_err(|_malformed| refused("not a URL"))?;
            return self.server.with_path(target).map_err(|_malformed| refused("not a URL"));
        }
        let uri: Uri = location.parse().map_err(|_malformed| refused("not a URL"))?;
        if uri.scheme() != Some(&http::uri::Scheme::HTTPS) {
            return Err(refused("it leaves HTTPS"));
        }
        if !self.server.is_origin_of(&uri) {
            return Err(refused("it leads to another host"));
        }
        Ok(uri)
    }

    async fn read(&self, path: &str, answer: Response<Incoming>) -> Result<Bytes, ClientError> {
        let (head, body) = answer.into_parts();
        let bytes = match Limited::new(body, ANSWER_LIMIT).collect().await {
            Ok(collected) => collected.to_bytes(),
            Err(error) if error.is::<LengthLimitError>() => {
                return Err(ClientError::TooLarge { path: path.to_owned() });
            }
            Err(source) => return Err(ClientError::Unreachable { server: self.server.clone(), source }),
        };
        if head.status.is_success() {
            return Ok(bytes);
        }
        let retry_after = head.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let source = ApiError {
            status: head.status,
            body: error_body(head.status, &bytes),
            retry_after: retry_after.and_then(|text| text.trim().parse().ok()).map(Duration::from_secs),
        };
        Err(ClientError::Refused { path: path.to_owned(), source: Box::new(source) })
    }

    fn unreachable(&self, error: hyper_util::client::legacy::Error) -> ClientError {
        ClientError::Unreachable { server: self.server.clone(), source: error.into() }
    }
}

fn message(
    caller: Caller<'_>,
    method: Method,
    uri: Uri,
    body: Bytes,
) -> Result<Request<Full<Bytes>>, http::Error> {
    let mut builder = Request::builder()
        .method(method)
        .uri(uri)
        .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
        .header(USER_AGENT, concat!("countersign/", env!("CARGO_PKG_VERSION")));
    if let Caller::Agent(token) = caller {
        let mut value = HeaderValue::try_from(format!("Bearer {token}"))?;
        value.set_sensitive(true);
        builder = builder.header(AUTHORIZATION, value);
    }
    builder.body(Full::new(body))
}

fn unsendable(path: &str, source: impl StdError + Send + Sync + 'static) -> ClientError {
    ClientError::Unsendable { path: path.to_owned(), source: source.into() }
}

/// The answer to an upgrade is a success, but no upgrade.
fn not_upgraded(path: &str, status: StatusCode) -> ClientError {
    let body = ErrorBody::new("", "the server did not switch to WebSocket");
    let source = Box::new(ApiError { status, body, retry_after: None });
    ClientError::Refused { path: path.to_owned(), source }
}

fn redirected(path: &str, location: &str, why: &'static str) -> ClientError {
    ClientError::Redirected { path: path.to_owned(), location: location.chars().take(200).collect(), why }
}

/// The error body, or what stands in for it when a proxy answered.
fn error_body(status: StatusCode, bytes: &[u8]) -> ErrorBody {
    serde_json::from_slice(bytes).unwrap_or_else(|_not_ours| {
        ErrorBody::new("", status.canonical_reason().unwrap_or("the server answered with an error"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn server() -> ServerUrl {
        "https://cs.example.com:8443".parse().unwrap()
    }

    #[test]
    fn fails_closed_on_every_other_url() {
        for url in [
            "",
            "cs.example.com",
            "http://cs.example.com",
            "ftp://cs.example.com",
            "https://",
            "https://user@cs.example.com",
            "https://user:word@cs.example.com",
            "https://cs.example.com/api/v1",
            "https://cs.example.com?x=1",
            "https://cs.example.com/#x",
            "https://cs.example.com:",
            "https://cs.example.com:0",
            "https://cs.example.com:99999",
            "https://cs.example.com:port",
        ] {
            assert!(url.parse::<ServerUrl>().is_err(), "{url}");
        }
        for url in ["https://cs.example.com", "https://[::1]:8443", "https://10.0.0.1:1/"] {
            assert!(url.parse::<ServerUrl>().is_ok(), "{url}");
        }
        assert_eq!(server().to_string(), "https://cs.example.com:8443");
    }

    #[test]
    fn only_the_same_origin_counts_as_the_same() {
        let is_same = |url: &str| server().is_origin_of(&url.parse().unwrap());
        assert!(is_same("https://CS.example.com:8443/x"));
        for url in [
            "http://cs.example.com:8443/",
            "https://cs.example.com/",
            "https://cs.example.com:8444/",
            "https://cs.example.com.evil.net:8443/",
            "https://cs.example.com:8443@evil.net/",
            "/x",
        ] {
            assert!(!is_same(url), "{url}");
        }
        let default: ServerUrl = "https://a.b".parse().unwrap();
        assert!(default.is_origin_of(&"https://a.b:443/".parse().unwrap()));
    }

    #[test]
    fn a_proxys_error_page_becomes_an_error_without_a_code() {
        let body = error_body(StatusCode::BAD_GATEWAY, b"<html>");
        assert_eq!((body.code.as_str(), body.error.as_str()), ("", "Bad Gateway"));
    }

    #[test]
    fn a_token_never_shows_in_what_is_printed() {
        let uri = "https://a.b/".parse().unwrap();
        let request = message(Caller::Agent("brz_secret"), Method::POST, uri, Bytes::new());
        assert!(!format!("{request:?}").contains("brz_secret"));
    }

    proptest! {
        #[test]
        fn a_server_url_prints_as_it_reads(host in "[a-z][a-z0-9]{0,10}(\\.[a-z]{2,5}){0,2}", port in 1_u16..) {
            let url: ServerUrl = format!("https://{host}:{port}").parse().unwrap();
            prop_assert_eq!(url.to_string().parse::<ServerUrl>().unwrap(), url);
        }
    }
}
