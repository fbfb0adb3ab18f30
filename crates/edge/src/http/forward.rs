//! On to the upstream: only with an [`Admitted`].

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use countersign_api::Arrival;
use countersign_core::ids::RequestId;
use http::uri::{Authority, PathAndQuery};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri, Version, header};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::time::timeout;
use tower::ServiceExt as _;
use tracing::{error, warn};

use super::body::{Answered, Passing, full};
use super::connection::Arrived;
use super::host::RequestedHost;
use super::refusal::{self, Answer};
use super::room::Share;
use super::told::Told;
use super::upgrade::{self, Wanted};
use super::upstreams::{Answering, UpstreamError};
use crate::admit::Admitted;
use crate::door::LocalControlPlane;
use crate::headers::{self, IdentityHeaders};
use crate::registry::RequestGuard;
use crate::url::NormalisedPath;

/// When a request that found no room may come again.
const COME_AGAIN: Duration = Duration::from_secs(5);

/// How many headers are added to a request for an upstream.
const HEADERS_ADDED: usize = 12;

/// A request that was let in, and what is known of it.
pub(crate) struct Onward<'a> {
    pub(crate) admitted: Admitted,
    pub(crate) arrived: Arc<Arrived>,
    pub(crate) request: Request<Incoming>,
    pub(crate) id: RequestId,
    /// Its id as it stands in a header.
    pub(crate) marked: &'a HeaderValue,
    pub(crate) host: RequestedHost,
    pub(crate) path: NormalisedPath,
    pub(crate) guard: RequestGuard,
    pub(crate) patience: Duration,
    pub(crate) wanted: Option<Wanted>,
}

/// Sends a request to the control plane, which runs on a runtime of its own. It runs to its end even
/// when the client leaves: what it has begun to change is not left half done. A request that finds no
/// room there is answered 503.
pub(crate) async fn to_control_plane(
    onward: Onward<'_>,
    local: &LocalControlPlane,
) -> Result<Response<Answered>, Answer> {
    let Onward { admitted, arrived, mut request, id, marked: _, host, path, guard, patience, wanted } =
        onward;
    let version = request.version();
    let told = Told::over(&arrived, &host)?;
    let headers = request.headers_mut();
    headers::set_forwarded(headers, &told.provenance);
    headers.insert(header::HOST, told.host_value.clone());
    *request.uri_mut() = onward_uri(&path)?;
    *request.extensions_mut() = http::Extensions::new();
    let arrival = Arrival { peer: admitted.peer().clone(), address: arrived.address, request_id: id };
    request.extensions_mut().insert(arrival);
    let offered = wanted.map(|wanted| {
        let (offer, door_end) = wanted.offer();
        request.extensions_mut().insert(offer);
        (wanted, door_end)
    });
    let request = request.map(|body| Passing::request(body, headers::strip_trailers).boxed_unsync());
    let place = arrived.worker.gate.room.take(arrived.share.get_or_init(Share::default)).await;
    let failed = |answer| arrived.worker.gate.tell_of_failure(&arrived, id, (&host, &path), answer);
    let place = place.ok_or_else(|| failed(Answer::overloaded(COME_AGAIN)))?;
    let answer = local.runtime.spawn(place.during(local.service.clone().oneshot(request)));
    let mut response = match timeout(patience, answer).await {
        Err(_elapsed) => return Err(failed(Answer::upstream_timeout())),
        Ok(Err(error)) => {
            error!(%error, request = %id, "control plane failed on a request");
            return Err(failed(Answer::internal()));
        }
        Ok(Ok(Ok(response))) => response,
    };
    let protocol = response.headers_mut().remove(header::UPGRADE);
    headers::strip_response(response.headers_mut());
    refusal::secure(response.headers_mut());
    let guard = match (response.status(), protocol, offered) {
        (StatusCode::SWITCHING_PROTOCOLS, Some(protocol), Some((wanted, door_end))) => {
            upgrade::announce(response.headers_mut(), protocol);
            wanted.join_control_plane(door_end, arrived, guard);
            None
        }
        (StatusCode::SWITCHING_PROTOCOLS, ..) => return Err(Answer::internal()),
        (StatusCode::UPGRADE_REQUIRED, Some(protocol), _) if version == Version::HTTP_11 => {
            upgrade::announce(response.headers_mut(), protocol);
            Some(guard)
        }
        _ => Some(guard),
    };
    Ok(response.map(|body| Answered::ControlPlane(Passing::answer(body, headers::strip_trailers, guard))))
}

/// Sends a request to an HTTP/1.1 server, with what the handshake showed.
pub(crate) async fn to_http(
    onward: Onward<'_>,
    upstream: &Authority,
    identity: &Arc<IdentityHeaders>,
) -> Result<Response<Answered>, Answer> {
    let Onward { admitted, arrived, mut request, id, marked, host, path, guard, patience, wanted } = onward;
    let told = Told::over(&arrived, &host)?;
    let headers = request.headers_mut();
    // Grows once for what is added here.
    headers.reserve(HEADERS_ADDED);
    headers.remove(header::EXPECT);
    join_cookies(headers);
    headers.insert(header::HOST, told.host_value.clone());
    headers::set_forwarded(headers, &told.provenance);
    headers::set_identity(headers, marked, told.client(&admitted), identity);
    if identity.has_others() {
        told.others(identity, &admitted).set(headers);
    }
    refusal::mark(headers, marked);
    if let Some(wanted) = &wanted {
        wanted.announce(headers);
    }
    *request.uri_mut() = onward_uri(&path)?;
    *request.version_mut() = Version::HTTP_11;
    *request.extensions_mut() = http::Extensions::new();
    let request = request.map(|body| Passing::request(body, headers::strip_trailers));
    let failed = |answer| arrived.worker.gate.tell_of_failure(&arrived, id, (&host, &path), answer);
    match arrived.worker.upstreams.request(upstream, request, patience).await {
        Ok(response) => answer(response, wanted, &arrived, guard).map_err(failed),
        Err(UpstreamError::Timeout) => Err(failed(Answer::upstream_timeout())),
        Err(error @ (UpstreamError::Connect(_) | UpstreamError::Request(_))) => {
            let reason = std::error::Error::source(&error);
            warn!(%error, reason, request = %id, %upstream, "upstream gave no answer");
            Err(failed(Answer::upstream_unreachable()))
        }
    }
}

fn answer(
    mut response: Response<Answering>,
    wanted: Option<Wanted>,
    arrived: &Arc<Arrived>,
    guard: RequestGuard,
) -> Result<Response<Answered>, Answer> {
    let is_switch = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    let protocol = response.headers_mut().remove(header::UPGRADE);
    headers::strip_response(response.headers_mut());
    match (is_switch, wanted, protocol) {
        (false, ..) => Ok(response
            .map(|body| Answered::Upstream(Passing::answer(body, headers::strip_trailers, Some(guard))))),
        (true, Some(wanted), Some(protocol)) => {
            let upstream = hyper::upgrade::on(&mut response);
            upgrade::announce(response.headers_mut(), protocol);
            wanted.join(upstream, Arc::clone(arrived), guard);
            Ok(response.map(|body| {
                body.run_on();
                full(Bytes::new())
            }))
        }
        // An upstream that switches unasked has lost the thread.
        (true, ..) => Err(Answer::upstream_unreachable()),
    }
}

fn onward_uri(path: &NormalisedPath) -> Result<Uri, Answer> {
    let refuse = |error: http::Error| Answer::bad_request("BAD_PATH", error);
    let target = PathAndQuery::try_from(path.path_and_query()).map_err(|error| refuse(error.into()))?;
    Ok(Uri::from(target))
}

/// HTTP/2 clients may send a cookie in pieces (RFC 9113 section 8.2.3); HTTP/1.1 knows one header.
fn join_cookies(headers: &mut HeaderMap) {
    let pieces: Vec<&[u8]> = headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if pieces.len() > 1 {
        let joined = pieces.join(&b"; "[..]);
        if let Ok(value) = HeaderValue::from_bytes(&joined) {
            headers.insert(header::COOKIE, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_of_a_cookie_become_one() {
        let mut headers = HeaderMap::new();
        headers.append(header::COOKIE, HeaderValue::from_static("a=1"));
        headers.append(header::COOKIE, HeaderValue::from_static("b=2"));
        join_cookies(&mut headers);
        assert_eq!(headers.get_all(header::COOKIE).iter().collect::<Vec<_>>(), ["a=1; b=2"]);
    }
}
