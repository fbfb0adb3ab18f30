//! Calls over HTTP, a connection each: there are few of them, and none is kept waiting by another's end.

use std::fmt;
use std::time::Duration;

use anyhow::Context as _;
use countersign_ca::upstream::{ApiMethod, ApiRequest, ApiResponse, Sending, Transport, TransportError};
use countersign_tls::{ClientTls, ServerTrust};
use http::uri::Scheme;
use http::{HeaderValue, Method, Request, Response, header};
use http_body_util::{BodyExt as _, Empty, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{error::Elapsed, timeout};

use crate::config::{ApiToken, CloudflareApi};
use crate::system_roots::roots;

/// How long the way there may take.
const CONNECT: Duration = Duration::from_secs(10);

/// How long the answer may take.
const ANSWER: Duration = Duration::from_secs(15);

/// The longest answer that is read.
const LARGEST_ANSWER: usize = 8 << 20;

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Carries calls to the configured API, with the token.
pub(super) struct HttpTransport {
    base: http::Uri,
    host: String,
    port: u16,
    proxy: Option<(String, u16)>,
    /// `None`: the API is on this machine, without TLS.
    tls: Option<ClientTls>,
    authorization: HeaderValue,
}

impl fmt::Debug for HttpTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpTransport").field("base", &self.base).finish_non_exhaustive()
    }
}

impl HttpTransport {
    /// A transport of this configuration. Connects when it is used.
    pub(super) fn new(config: &CloudflareApi, token: &ApiToken) -> anyhow::Result<Self> {
        let base = config.url.uri().clone();
        let is_tls = base.scheme() == Some(&Scheme::HTTPS);
        let tls = if is_tls {
            let trust = ServerTrust::Roots(roots(config.roots.as_deref(), "mtls.cloudflare_roots")?);
            Some(ClientTls::new(&trust, None).context("set up TLS for Cloudflare's API")?)
        } else {
            None
        };
        // The text of the error would be that of the token.
        let mut authorization = HeaderValue::from_str(&format!("Bearer {}", token.expose()))
            .map_err(|_token| anyhow::anyhow!("CLOUDFLARE_API_TOKEN has characters that no token has"))?;
        authorization.set_sensitive(true);
        let proxy = config.proxy.as_ref().map(|proxy| place(proxy.uri(), 80));
        let (host, port) = place(&base, if is_tls { 443 } else { 80 });
        Ok(Self { base, host, port, proxy, tls, authorization })
    }

    fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    fn unreachable(&self, source: impl Into<Cause>) -> TransportError {
        TransportError::Unreachable { address: self.address(), source: source.into() }
    }

    fn unanswered(&self, source: impl Into<Cause>) -> TransportError {
        TransportError::NoAnswer { address: self.address(), source: source.into() }
    }

    async fn carry(&self, request: ApiRequest) -> Result<ApiResponse, TransportError> {
        let request = self.written(request).map_err(|error| self.unreachable(error))?;
        let late = |_late: Elapsed| self.unreachable(std::io::Error::from(std::io::ErrorKind::TimedOut));
        let open = timeout(CONNECT, self.open()).await.map_err(late)?;
        let sender = open.map_err(|error| self.unreachable(error))?;
        let answered = timeout(ANSWER, exchange(sender, request)).await;
        let late = |_late: Elapsed| self.unanswered(std::io::Error::from(std::io::ErrorKind::TimedOut));
        answered.map_err(late)?.map_err(|error| self.unanswered(error))
    }

    fn written(&self, request: ApiRequest) -> Result<Request<Full<Bytes>>, http::Error> {
        let method = match request.method {
            ApiMethod::Get => Method::GET,
            ApiMethod::Post => Method::POST,
            ApiMethod::Put => Method::PUT,
            ApiMethod::Delete => Method::DELETE,
        };
        let path = format!("{}{}", self.base.path().trim_end_matches('/'), request.path);
        let host = self.base.authority().map(ToString::to_string).unwrap_or_default();
        Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, host)
            .header(header::AUTHORIZATION, self.authorization.clone())
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ACCEPT, "application/json")
            .header(header::USER_AGENT, concat!("countersign/", env!("CARGO_PKG_VERSION")))
            .body(Full::from(request.body.unwrap_or_default()))
    }

    /// A connection on which the API has proved who it is.
    async fn open(&self) -> Result<Sender, Cause> {
        match (&self.tls, &self.proxy) {
            (Some(tls), None) => start(tls.connect(&self.host, self.port).await?).await,
            (Some(tls), Some(proxy)) => {
                start(tls.handshake(&self.host, self.tunnel(proxy).await?).await?).await
            }
            (None, _) => start(TcpStream::connect((self.host.as_str(), self.port)).await?).await,
        }
    }

    /// A way through the proxy, which sees where it leads and nothing else.
    async fn tunnel(&self, proxy: &(String, u16)) -> Result<TokioIo<hyper::upgrade::Upgraded>, Cause> {
        let stream = TcpStream::connect((proxy.0.as_str(), proxy.1)).await?;
        let (mut sender, connection) = http1::handshake::<_, Empty<Bytes>>(TokioIo::new(stream)).await?;
        tokio::spawn(connection.with_upgrades());
        let address = self.address();
        let request = Request::builder()
            .method(Method::CONNECT)
            .uri(&address)
            .header(header::HOST, &address)
            .body(Empty::<Bytes>::new())?;
        let response = sender.send_request(request).await?;
        if !response.status().is_success() {
            return Err(format!("the proxy refuses the way to {address}: {}", response.status()).into());
        }
        Ok(TokioIo::new(hyper::upgrade::on(response).await?))
    }
}

impl Transport for HttpTransport {
    fn send(&self, request: ApiRequest) -> Sending<'_> {
        Box::pin(self.carry(request))
    }
}

type Sender = http1::SendRequest<Full<Bytes>>;

fn place(uri: &http::Uri, port: u16) -> (String, u16) {
    let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    (host.to_owned(), uri.port_u16().unwrap_or(port))
}

async fn start<IO>(io: IO) -> Result<Sender, Cause>
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = http1::handshake(TokioIo::new(io)).await?;
    // It ends with the sender; what it has to say, the sender hears.
    tokio::spawn(connection);
    Ok(sender)
}

async fn exchange(mut sender: Sender, request: Request<Full<Bytes>>) -> Result<ApiResponse, Cause> {
    let response: Response<Incoming> = sender.send_request(request).await?;
    let status = response.status().as_u16();
    let retry_after = response
        .headers()
        .get(header::RETRY_AFTER)
        .and_then(|value| value.to_str().ok()?.trim().parse().ok())
        .map(Duration::from_secs);
    let body = Limited::new(response.into_body(), LARGEST_ANSWER).collect().await?.to_bytes().to_vec();
    Ok(ApiResponse { status, retry_after, body })
}
