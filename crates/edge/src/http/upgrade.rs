//! Connections that stop being HTTP: WebSocket and its like over HTTP/1.1 (RFC 9110 section 7.8), and
//! WebSocket over HTTP/2 (RFC 8441), where only a stream of the connection does.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use countersign_api::upgrade::{DoorEnd, OfferedUpgrade};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version, header};
use hyper::ext::Protocol;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, copy_bidirectional_with_sizes};
use tokio::time::timeout;
use tracing::debug;

use super::connection::Arrived;
use super::multiplexed::Stream;
use super::websocket;
use crate::registry::{Ending, RequestGuard};

const WEBSOCKET: &str = "websocket";
const BUFFER: usize = 16 * 1024;
/// The control plane's connections say little, and there may be many.
const SMALL_BUFFER: usize = 4 * 1024;
/// How long the control plane's last word may take to get out before the connection is cut.
const LAST_WORD: Duration = Duration::from_millis(250);

/// The protocol a client asks to go on with, and its end of the connection.
#[derive(Debug)]
pub(crate) struct Wanted {
    protocol: HeaderValue,
    client: OnUpgrade,
    over: Over,
    /// The `Sec-WebSocket-Key`: over HTTP/2, which has none, one of ours.
    key: Option<HeaderValue>,
}

/// How a client asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Over {
    /// With `Upgrade`.
    Http1,
    /// With an extended CONNECT.
    Http2,
}

/// An upstream that promised another protocol and does not speak it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotGranted;

/// Takes the wish for another protocol out of a request. `h2c` is not granted: behind it a client
/// could hide requests from the door. A WebSocket over HTTP/2 is a GET from here on, as it is over
/// HTTP/1.1, so that rules and upstreams see one thing.
pub(crate) fn take<B>(request: &mut Request<B>) -> Option<Wanted> {
    if is_extended_connect(request) {
        let client = hyper::upgrade::on(&mut *request);
        let key = websocket::key();
        *request.method_mut() = Method::GET;
        request.headers_mut().remove(header::UPGRADE);
        request.headers_mut().insert(header::SEC_WEBSOCKET_KEY, key.clone());
        let protocol = HeaderValue::from_static(WEBSOCKET);
        return Some(Wanted { protocol, client, over: Over::Http2, key: Some(key) });
    }
    let is_asked = request.version() == Version::HTTP_11 && names_upgrade(request.headers());
    let client = hyper::upgrade::on(&mut *request);
    let protocol = request.headers_mut().remove(header::UPGRADE)?;
    let is_h2c = protocol
        .to_str()
        .is_ok_and(|text| text.split(',').any(|one| one.trim().to_ascii_lowercase().starts_with("h2")));
    let key = request.headers().get(header::SEC_WEBSOCKET_KEY).cloned();
    (is_asked && !is_h2c).then_some(Wanted { protocol, client, over: Over::Http1, key })
}

fn is_extended_connect<B>(request: &Request<B>) -> bool {
    request.version() == Version::HTTP_2
        && *request.method() == Method::CONNECT
        && request
            .extensions()
            .get::<Protocol>()
            .is_some_and(|protocol| protocol.as_str().eq_ignore_ascii_case(WEBSOCKET))
}

fn names_upgrade(headers: &HeaderMap) -> bool {
    headers.get_all(header::CONNECTION).iter().any(|value| {
        value.to_str().is_ok_and(|list| list.split(',').any(|one| one.trim().eq_ignore_ascii_case("upgrade")))
    })
}

impl Wanted {
    /// Says in a message to or from the upstream what it is about.
    pub(crate) fn announce(&self, headers: &mut HeaderMap) {
        announce(headers, self.protocol.clone());
    }

    /// Whether it is a WebSocket, which alone is known to HTTP/2.
    pub(crate) fn is_websocket(&self) -> bool {
        self.protocol.as_bytes().eq_ignore_ascii_case(WEBSOCKET.as_bytes()) && self.key.is_some()
    }

    /// Asks an HTTP/2 upstream for a WebSocket.
    pub(crate) fn ask_http2<B>(&self, request: &mut Request<B>) {
        *request.method_mut() = Method::CONNECT;
        request.headers_mut().remove(header::SEC_WEBSOCKET_KEY);
        request.extensions_mut().insert(Protocol::from_static(WEBSOCKET));
    }

    /// Turns an HTTP/1.1 server's 101 into what this client understands as consent.
    ///
    /// # Errors
    /// Fails closed: where the client cannot check that the server means this handshake, we do.
    pub(crate) fn granted_by_http1<B>(
        &self,
        response: &mut Response<B>,
        protocol: HeaderValue,
    ) -> Result<(), NotGranted> {
        match self.over {
            Over::Http1 => announce(response.headers_mut(), protocol),
            Over::Http2 => {
                let shown = response.headers_mut().remove(header::SEC_WEBSOCKET_ACCEPT);
                let expected = self.key.as_ref().and_then(websocket::accept);
                if shown.is_none() || shown != expected {
                    return Err(NotGranted);
                }
                *response.status_mut() = StatusCode::OK;
            }
        }
        Ok(())
    }

    /// Turns an HTTP/2 server's consent into what this client understands as such.
    pub(crate) fn granted_by_http2<B>(&self, response: &mut Response<B>) {
        if self.over == Over::Http1 {
            *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
            let headers = response.headers_mut();
            headers.remove(header::CONTENT_LENGTH);
            announce(headers, self.protocol.clone());
            if let Some(accept) = self.key.as_ref().and_then(websocket::accept) {
                headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
            }
        }
    }

    fn began(&self, arrived: &Arrived) {
        // Over HTTP/2 the connection goes on as it was.
        if self.over == Over::Http1 {
            arrived.framing.upgraded();
        }
    }

    /// Lets both ends talk until one of them, or the door, ends it. `place` counts until then.
    pub(crate) fn join(
        self,
        (upstream, place): (OnUpgrade, Option<Stream>),
        arrived: Arc<Arrived>,
        guard: RequestGuard,
    ) {
        self.began(&arrived);
        tokio::spawn(async move {
            tokio::select! {
                () = arrived.live.told(Ending::Kill) => {}
                () = splice(self.client, async { upstream.await.map(TokioIo::new) }, BUFFER) => {}
            }
            drop((arrived, guard, place));
        });
    }

    /// What is offered to the control plane in this process, and the door's end of it.
    pub(crate) fn offer(&self) -> (OfferedUpgrade, DoorEnd) {
        OfferedUpgrade::new(String::from_utf8_lossy(self.protocol.as_bytes()).into_owned())
    }

    /// Lets the client and the control plane talk until one of them, or the door, ends it. Before the
    /// door cuts the connection, and after the control plane has let go of it, there is a moment for
    /// what was said last to get out.
    pub(crate) fn join_control_plane(self, door: DoorEnd, arrived: Arc<Arrived>, guard: RequestGuard) {
        let DoorEnd { stream, control } = door;
        self.began(&arrived);
        tokio::spawn(async move {
            let mut spliced = pin!(splice(self.client, async { Ok(stream) }, SMALL_BUFFER));
            let is_over = tokio::select! {
                () = spliced.as_mut() => true,
                () = control.let_go() => false,
                () = arrived.live.told(Ending::Kill) => {
                    control.give_notice();
                    false
                }
            };
            if !is_over && timeout(LAST_WORD, spliced).await.is_err() {
                debug!("upgraded connection cut");
            }
            drop((arrived, guard));
        });
    }
}

/// Marks a 101 answer, or a request for one.
pub(crate) fn announce(headers: &mut HeaderMap, protocol: HeaderValue) {
    headers.insert(header::UPGRADE, protocol);
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
}

async fn splice<IO: AsyncRead + AsyncWrite + Unpin>(
    client: OnUpgrade,
    other: impl Future<Output = Result<IO, hyper::Error>>,
    buffer: usize,
) {
    let joined = async {
        let (client, mut other) = tokio::try_join!(client, other).map_err(std::io::Error::other)?;
        copy_bidirectional_with_sizes(&mut TokioIo::new(client), &mut other, buffer, buffer).await
    };
    if let Err(error) = joined.await {
        debug!(%error, "upgraded connection ended");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wants(version: Version, connection: &str, protocol: &str) -> bool {
        let mut request = Request::builder()
            .version(version)
            .header(header::CONNECTION, connection)
            .header(header::UPGRADE, protocol)
            .body(())
            .unwrap();
        let wanted = take(&mut request).is_some();
        assert!(!request.headers().contains_key(header::UPGRADE));
        wanted
    }

    #[test]
    fn only_http_1_1_and_only_when_both_headers_say_so() {
        assert!(wants(Version::HTTP_11, "keep-alive, Upgrade", "websocket"));
        assert!(!wants(Version::HTTP_11, "keep-alive", "websocket"));
        assert!(!wants(Version::HTTP_10, "upgrade", "websocket"));
        assert!(!wants(Version::HTTP_2, "upgrade", "websocket"));
    }

    #[test]
    fn h2c_is_not_granted() {
        for protocol in ["h2c", "H2C", "websocket, h2c"] {
            assert!(!wants(Version::HTTP_11, "upgrade", protocol), "{protocol}");
        }
    }
}
