//! HTTP/1.1 through a tunnel: the door's host instead of the local one, and nothing that a web page sent.
//!
//! A page in a browser on this machine can send requests to a loopback address, and would borrow the
//! identity: what has an `Origin`, or asks for another `Host` than this listener's (DNS rebinding), is
//! refused. At a Unix socket there are no browsers.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, ORIGIN, UPGRADE};
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self as client, SendRequest};
use hyper::server::conn::http1 as server;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::Mutex;
use tracing::debug;

use super::forward::Shared;
use super::listen::Accepted;
use super::splice::{SpliceLimits, Traffic, splice};

/// Headers that are about one connection and not about the message (RFC 9110 section 7.6.1).
const HOP_BY_HOP: [HeaderName; 5] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    http::header::TE,
    http::header::TRANSFER_ENCODING,
];

type Body = UnsyncBoxBody<Bytes, hyper::Error>;

/// One local connection.
struct Conversation {
    shared: Arc<Shared>,
    /// The connection to the door that it uses, once there is one.
    door: Mutex<Option<SendRequest<Incoming>>>,
    /// The hosts that this listener is; `None`: any.
    hosts: Option<Vec<String>>,
}

/// Serves the requests of a connection until it ends.
pub(super) async fn serve(local: Accepted, shared: Arc<Shared>, traffic: &Traffic) {
    let hosts = match &local {
        Accepted::Tcp(stream) => Some(stream.local_addr().map(own_hosts).unwrap_or_default()),
        #[cfg(unix)]
        Accepted::Unix(_) => None,
    };
    let conversation = Arc::new(Conversation { shared, door: Mutex::new(None), hosts });
    let service = service_fn(move |request| answer(Arc::clone(&conversation), request));
    let (mut local, (mut inner, outer)) = (local, tokio::io::duplex(64 * 1024));
    // In between, so that what goes over it is counted.
    let counting = async { drop(splice(&mut local, &mut inner, SpliceLimits::default(), traffic).await) };
    let serving = async {
        let mut builder = server::Builder::new();
        builder.timer(TokioTimer::new());
        let served = builder.serve_connection(TokioIo::new(outer), service).with_upgrades().await;
        if let Err(error) = served {
            debug!(%error, "local connection ended early");
        }
    };
    tokio::join!(counting, serving);
}

/// What a listener at this address is called by those who mean it.
fn own_hosts(address: std::net::SocketAddr) -> Vec<String> {
    let port = address.port();
    let ip = match address.ip() {
        std::net::IpAddr::V4(ip) => ip.to_string(),
        std::net::IpAddr::V6(ip) => format!("[{ip}]"),
    };
    [format!("{ip}:{port}"), format!("localhost:{port}"), ip, "localhost".to_owned()].into()
}

async fn answer(
    conversation: Arc<Conversation>,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let answered = match conversation.refusal(&request) {
        Some((status, sentence)) => Err((status, sentence)),
        None => conversation.pass_on(request).await,
    };
    Ok(answered.unwrap_or_else(|(status, sentence)| own(status, sentence)))
}

type Refusal = (StatusCode, &'static str);

impl Conversation {
    fn refusal(&self, request: &Request<Incoming>) -> Option<Refusal> {
        if request.method() == Method::CONNECT {
            return Some((StatusCode::METHOD_NOT_ALLOWED, "this is no proxy"));
        }
        let hosts = self.hosts.as_ref()?;
        if request.headers().contains_key(ORIGIN) {
            return Some((StatusCode::FORBIDDEN, "web pages must not use this machine's identity"));
        }
        let mut named = request.headers().get_all(HOST).iter();
        let host = named.next().and_then(|host| host.to_str().ok()).map(str::to_ascii_lowercase);
        let is_own = named.next().is_none() && host.is_some_and(|host| hosts.contains(&host));
        (!is_own).then_some((StatusCode::MISDIRECTED_REQUEST, "this listener has another host name"))
    }

    /// Sends a request to the door; one that a kept connection did not take goes over another.
    async fn pass_on(&self, mut request: Request<Incoming>) -> Result<Response<Body>, Refusal> {
        const LOST: Refusal = (StatusCode::BAD_GATEWAY, "the door cannot be reached");
        let wanted = take_upgrade(&mut request);
        self.address(&mut request).ok_or(LOST)?;
        if let Some((protocol, _)) = &wanted {
            announce(request.headers_mut(), protocol.clone());
        }
        // HTTP/1.1 asks one thing at a time over one connection.
        let mut door = self.door.lock().await;
        let kept = door.take().filter(|kept| kept.is_ready());
        let mut sender = match kept {
            Some(kept) => kept,
            None => self.connect().await.ok_or(LOST)?,
        };
        let mut sent = sender.try_send_request(request).await;
        if let Err(error) = &mut sent
            && let Some(untouched) = error.take_message()
        {
            sender = self.connect().await.ok_or(LOST)?;
            sent = sender.try_send_request(untouched).await;
        }
        let mut response = sent.map_err(|error| {
            debug!(error = %error.into_error(), "request not answered");
            LOST
        })?;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            let Some((protocol, local)) = wanted else { return Err(LOST) };
            let remote = hyper::upgrade::on(&mut response);
            tokio::spawn(async move {
                if let (Ok(local), Ok(remote)) = (local.await, remote.await) {
                    let (mut local, mut remote) = (TokioIo::new(local), TokioIo::new(remote));
                    let (limits, traffic) = (SpliceLimits::default(), Traffic::default());
                    drop(splice(&mut local, &mut remote, limits, &traffic).await);
                }
            });
            strip(response.headers_mut());
            announce(response.headers_mut(), protocol);
        } else {
            *door = Some(sender);
            strip(response.headers_mut());
        }
        Ok(response.map(|body| body.boxed_unsync()))
    }

    /// Names the door's host, and leaves out what is about this connection alone.
    fn address(&self, request: &mut Request<Incoming>) -> Option<()> {
        let host = self.shared.config.to.authority();
        strip(request.headers_mut());
        request.headers_mut().insert(HOST, HeaderValue::from_str(&host).ok()?);
        let path = request.uri().path_and_query().cloned();
        *request.uri_mut() = path.map(Uri::from).unwrap_or_default();
        Some(())
    }

    async fn connect(&self) -> Option<SendRequest<Incoming>> {
        let stream = self.shared.reach().await.ok()?;
        let (sender, connection) = client::handshake(TokioIo::new(stream)).await.ok()?;
        tokio::spawn(async move {
            if let Err(error) = connection.with_upgrades().await {
                debug!(%error, "connection to the door ended early");
            }
        });
        Some(sender)
    }
}

fn take_upgrade(request: &mut Request<Incoming>) -> Option<(HeaderValue, hyper::upgrade::OnUpgrade)> {
    let protocol = request.headers_mut().remove(UPGRADE)?;
    Some((protocol, hyper::upgrade::on(request)))
}

fn announce(headers: &mut HeaderMap, protocol: HeaderValue) {
    headers.insert(UPGRADE, protocol);
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
}

fn strip(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|list| list.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in HOP_BY_HOP.into_iter().chain(named) {
        headers.remove(name);
    }
}

/// An answer of our own.
fn own(status: StatusCode, sentence: &'static str) -> Response<Body> {
    let body = Full::new(Bytes::from(format!("{{\"error\":\"{sentence}\"}}\n")));
    let mut response = Response::new(body.map_err(|never| match never {}).boxed_unsync());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
