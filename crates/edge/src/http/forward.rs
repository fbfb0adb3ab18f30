//! On to the upstream: only with an [`Admitted`].

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use countersign_api::{Arrival, ObservedRule};
use countersign_core::ids::RequestId;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri, Version, header};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::time::timeout;
use tower::ServiceExt as _;
use tracing::{error, warn};

use super::answering::Answering;
use super::body::{Answered, Body, Outgoing, Passing, full};
use super::connection::Arrived;
use super::group::UpstreamProtocol;
use super::host::RequestedHost;
use super::members::Group;
use super::pace::{Sluggish, Tempo};
use super::refusal::{self, Answer};
use super::room::Share;
use super::service::Serving;
use super::told::Told;
use super::upgrade::{self, Wanted};
use super::upstreams::UpstreamError;
use crate::admit::Admitted;
use crate::door::LocalControlPlane;
use crate::headers;
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
    pub(crate) serving: &'a Serving,
}

/// Sends a request to the control plane, which runs on a runtime of its own. It runs to its end even
/// when the client leaves: what it has begun to change is not left half done. A request that finds no
/// room there is answered 503.
pub(crate) async fn to_control_plane(
    onward: Onward<'_>,
    local: &LocalControlPlane,
) -> Result<Response<Answered>, Answer> {
    let Onward { admitted, arrived, mut request, id, host, path, guard, patience, wanted, .. } = onward;
    let lasting = &onward.serving.gate.lasting;
    let version = request.version();
    let told = Told::over(&arrived, &host)?;
    let headers = request.headers_mut();
    headers::set_forwarded(headers, &told.provenance);
    headers.insert(header::HOST, told.host_value.clone());
    send_on(request.uri_mut(), &path)?;
    let observed = request.extensions_mut().remove::<ObservedRule>();
    *request.extensions_mut() = http::Extensions::new();
    if let Some(rule) = observed {
        request.extensions_mut().insert(rule);
    }
    let arrival = Arrival { peer: admitted.peer().clone(), address: arrived.address, request_id: id };
    request.extensions_mut().insert(arrival);
    let offered = wanted.map(|wanted| {
        let (offer, door_end) = wanted.offer();
        request.extensions_mut().insert(offer);
        (wanted, door_end)
    });
    let failed = |answer| lasting.tell_of_failure(&arrived, id, (&host, &path), answer);
    let (request, sluggish) = read_ahead(onward.serving, request, patience).await.map_err(failed)?;
    let place = lasting.room.take(arrived.share.get_or_init(Share::default)).await;
    let place = place.ok_or_else(|| failed(Answer::overloaded(COME_AGAIN)))?;
    let answer = local.runtime.spawn(place.during(local.service.clone().oneshot(request)));
    let mut response = match timeout(patience, answer).await {
        Err(_elapsed) => return Err(failed(Answer::upstream_timeout())),
        Ok(Err(error)) => {
            error!(%error, request = %id, "control plane failed on a request");
            return Err(failed(Answer::internal()));
        }
        Ok(Ok(Ok(_response))) if sluggish.is_so() => return Err(failed(Answer::body_too_slow())),
        Ok(Ok(Ok(response))) => response,
    };
    let protocol = response.headers_mut().remove(header::UPGRADE);
    headers::strip_response(response.headers_mut());
    refusal::secure(response.headers_mut());
    let guard = match (response.status(), protocol, offered) {
        (StatusCode::SWITCHING_PROTOCOLS, Some(protocol), Some((wanted, door_end))) => {
            let granted = wanted.granted_by_http1(&mut response, protocol);
            granted.map_err(|_not| failed(Answer::internal()))?;
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

/// A request for the control plane with what was read of its body so far, all of it as a rule, and whether
/// the rest comes too slowly.
async fn read_ahead(
    serving: &Serving,
    request: Request<Incoming>,
    patience: Duration,
) -> Result<(Request<Body>, Sluggish), Answer> {
    if http_body::Body::is_end_stream(request.body()) {
        let nothing = |body| Passing::request(body, headers::strip_trailers).boxed_unsync();
        return Ok((request.map(nothing), Sluggish::default()));
    }
    let tempo = tempo(&request, serving);
    let sluggish = tempo.as_ref().map(|tempo| tempo.watch()).unwrap_or_default();
    let (head, body) = request.into_parts();
    let body = Passing::request(body, headers::strip_trailers).at(tempo);
    match timeout(patience, serving.gate.lasting.shelf.read_ahead(body)).await {
        Ok(body) if !sluggish.is_so() => Ok((Request::from_parts(head, body.boxed_unsync()), sluggish)),
        Ok(_) | Err(_) => Err(Answer::body_too_slow()),
    }
}

/// Sends a request to an HTTP server of the group, with what the handshake showed.
pub(crate) async fn to_http(onward: Onward<'_>, group: &Group) -> Result<Response<Answered>, Answer> {
    let Onward { admitted, arrived, mut request, id, marked, host, path, guard, patience, wanted, serving } =
        onward;
    let tempo = tempo(&request, serving);
    let told = Told::over(&arrived, &host)?;
    let headers = request.headers_mut();
    // Grows once for what is added here.
    headers.reserve(HEADERS_ADDED);
    headers.remove(header::EXPECT);
    headers::set_forwarded(headers, &told.provenance);
    headers::set_identity(headers, marked, told.client(&admitted), &group.identity);
    if group.identity.has_others() {
        told.others(&group.identity, &admitted).set(headers);
    }
    refusal::mark(headers, marked);
    *request.extensions_mut() = http::Extensions::new();
    send_on(request.uri_mut(), &path)?;
    let wanted = match group.protocol {
        UpstreamProtocol::Http1 => as_http1(&mut request, wanted, &told),
        UpstreamProtocol::Http2 => as_http2(&mut request, wanted, (&host, group))?,
    };
    let sluggish = tempo.as_ref().map(|tempo| tempo.watch()).unwrap_or_default();
    let body = |body| Passing::request(Outgoing::Client(body), headers::strip_trailers).at(tempo);
    let request = request.map(body);
    let failed = |answer| serving.gate.lasting.tell_of_failure(&arrived, id, (&host, &path), answer);
    let patience = group.timeouts.head.unwrap_or(patience);
    match serving.upstreams.request(group, request, patience).await {
        Ok(response) => answer((response, group.protocol), wanted, &arrived, guard).map_err(failed),
        Err(_) if sluggish.is_so() => Err(failed(Answer::body_too_slow())),
        Err(UpstreamError::Timeout) => Err(failed(Answer::upstream_timeout())),
        Err(UpstreamError::NoneWell) => Err(failed(Answer::upstreams_unwell(COME_AGAIN))),
        Err(error @ (UpstreamError::Connect(_) | UpstreamError::Request(_) | UpstreamError::Idle)) => {
            let reason = std::error::Error::source(&error);
            let upstream = group.members().first().map(|member| &member.address);
            warn!(%error, reason, request = %id, upstream = upstream.map(tracing::field::display), "upstream gave no answer");
            Err(failed(Answer::upstream_unreachable()))
        }
    }
}

/// What measures the body of a request as its client sent it, if it has any.
fn tempo(request: &Request<Incoming>, serving: &Serving) -> Option<Box<Tempo>> {
    let is_whole = http_body::Body::is_end_stream(request.body());
    if is_whole { None } else { Tempo::of(request, serving.gate.body_pace) }
}

fn as_http1(request: &mut Request<Incoming>, wanted: Option<Wanted>, told: &Told) -> Option<Wanted> {
    let headers = request.headers_mut();
    join_cookies(headers);
    headers.insert(header::HOST, told.host_value.clone());
    if let Some(wanted) = &wanted {
        wanted.announce(headers);
    }
    *request.version_mut() = Version::HTTP_11;
    wanted
}

/// HTTP/2 names the host beside the path, and knows no other protocol to go on with than WebSocket.
pub(crate) fn as_http2(
    request: &mut Request<Incoming>,
    wanted: Option<Wanted>,
    (host, group): (&RequestedHost, &Group),
) -> Result<Option<Wanted>, Answer> {
    let refuse = |error: http::Error| Answer::bad_request("BAD_HOST", error);
    let mut parts = std::mem::take(request.uri_mut()).into_parts();
    parts.scheme = Some(if group.tls.is_some() { Scheme::HTTPS } else { Scheme::HTTP });
    let authority = Authority::try_from(&*host.authority).map_err(|error| refuse(error.into()))?;
    parts.authority = Some(authority);
    *request.uri_mut() = Uri::from_parts(parts).map_err(|error| refuse(error.into()))?;
    *request.version_mut() = Version::HTTP_2;
    request.headers_mut().remove(header::HOST);
    let wanted = wanted.filter(Wanted::is_websocket);
    if let Some(wanted) = &wanted {
        wanted.ask_http2(request);
    }
    Ok(wanted)
}

fn answer(
    (mut response, protocol): (Response<Answering>, UpstreamProtocol),
    wanted: Option<Wanted>,
    arrived: &Arc<Arrived>,
    guard: RequestGuard,
) -> Result<Response<Answered>, Answer> {
    let status = response.status();
    let is_switch = match protocol {
        UpstreamProtocol::Http1 => status == StatusCode::SWITCHING_PROTOCOLS,
        UpstreamProtocol::Http2 => wanted.is_some() && status.is_success(),
    };
    let named = response.headers_mut().remove(header::UPGRADE);
    headers::strip_response(response.headers_mut());
    if !is_switch {
        return Ok(response
            .map(|body| Answered::Upstream(Passing::answer(body, headers::strip_trailers, Some(guard)))));
    }
    // An upstream that switches unasked, or to what nobody asked for, has lost the thread.
    let wanted = wanted.ok_or_else(Answer::upstream_unreachable)?;
    let upstream = hyper::upgrade::on(&mut response);
    match protocol {
        UpstreamProtocol::Http1 => {
            let granted = named.map(|named| wanted.granted_by_http1(&mut response, named));
            granted.and_then(Result::ok).ok_or_else(Answer::upstream_unreachable)?;
        }
        UpstreamProtocol::Http2 => wanted.granted_by_http2(&mut response),
    }
    let (head, body) = response.into_parts();
    wanted.join((upstream, body.run_on()), Arc::clone(arrived), guard);
    Ok(Response::from_parts(head, full(Bytes::new())))
}

/// Lets a request ask for its path in the one spelling, and for nothing besides. Most do already.
pub(crate) fn send_on(uri: &mut Uri, path: &NormalisedPath) -> Result<(), Answer> {
    let is_so = uri.authority().is_none()
        && uri.path_and_query().is_some_and(|asked| asked.as_str() == path.path_and_query());
    if !is_so {
        *uri = onward_uri(path)?;
    }
    Ok(())
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
