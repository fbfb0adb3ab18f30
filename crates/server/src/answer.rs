//! The outermost layer: every answer gets its request id, every failure its body, and what was
//! refused is reported.

use std::collections::BTreeMap;
use std::net::IpAddr;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use countersign_api::{Arrival, ErrorBody};
use countersign_authority::refusals::{Outcome, RefusalReport};
use countersign_core::ids::RequestId;
use countersign_tls::Peer;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};

use crate::console::Rendered;
use crate::failure::FailedWith;
use crate::request::address_of;
use crate::state::ControlPlane;

/// What the layer keeps of a request while it is handled.
struct Asked {
    id: RequestId,
    method: Method,
    uri: Uri,
    address: IpAddr,
    /// What the handshake showed, if a door handed the request over.
    peer: Option<Peer>,
}

impl Asked {
    fn new(request: &Request) -> Self {
        let arrival = request.extensions().get::<Arrival>();
        Self {
            id: arrival.map_or_else(RequestId::random, |arrival| arrival.request_id),
            method: request.method().clone(),
            uri: request.uri().clone(),
            address: address_of(request.extensions()),
            peer: arrival.map(|arrival| arrival.peer.clone()),
        }
    }

    fn path(&self) -> String {
        self.uri.path().chars().take(200).collect()
    }

    fn report(&self, status: StatusCode, failed: &FailedWith, state: &ControlPlane) -> RefusalReport {
        let mut facts = BTreeMap::from([
            ("method".to_owned(), self.method.to_string()),
            ("path".to_owned(), self.path()),
            ("status".to_owned(), status.as_u16().to_string()),
        ]);
        facts.extend(said(failed));
        if let Some(peer) = &self.peer {
            facts.extend(shown(peer, state).map(|(name, value)| (name.to_owned(), value)));
        }
        let tenant = self.peer.as_ref().and_then(Peer::claim).map(|claim| claim.identity.tenant().clone());
        RefusalReport {
            request: self.id,
            at: state.authority.now(),
            code: failed.body.code.clone(),
            outcome: outcome_of(status),
            tenant: tenant.or_else(|| facts.remove("tenant")?.parse().ok()),
            address: self.address,
            facts,
        }
    }
}

/// What a peer showed in the handshake, for whoever asks why it was refused.
fn shown(peer: &Peer, state: &ControlPlane) -> impl Iterator<Item = (&'static str, String)> {
    let (claim, now) = (peer.claim(), state.authority.now());
    let certificate = match (claim, peer.untrusted()) {
        (Some(_), _) => "a device's",
        (None, Some(_)) => "not trusted",
        (None, None) => "none",
    };
    let standing = claim.map(|claim| format!("{:?}", state.authority.snapshot().standing(claim, now)));
    [
        ("certificate", Some(certificate.to_owned())),
        ("untrusted", peer.untrusted().map(|reason| reason.code().to_owned())),
        ("identity", claim.map(|claim| claim.identity.uri())),
        ("serial", claim.map(|claim| claim.reference.serial.to_string())),
        ("notAfter", claim.map(|claim| claim.not_after.to_string())),
        ("standing", standing),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name, value?)))
}

/// Completes every answer.
pub(crate) async fn complete(
    State(state): State<ControlPlane>,
    mut request: Request,
    next: Next,
) -> Response {
    let asked = Asked::new(&request);
    request.extensions_mut().insert(asked.id);
    let mut response = next.run(request).await;
    let status = response.status();
    if status.is_client_error() || status.is_server_error() {
        let failed = response.extensions_mut().remove::<FailedWith>();
        let mut failed = failed.unwrap_or_else(|| unexplained(status, &asked.method));
        if let Some(error) = &failed.cause {
            let (request, method, path) = (asked.id, &asked.method, asked.path());
            tracing::error!(error, %request, %method, path, "request failed");
        }
        state.report(asked.report(status, &failed, &state));
        failed.body.request_id = Some(asked.id);
        // A page tells it already.
        if response.extensions_mut().remove::<Rendered>().is_none() {
            response = with_body(response.headers(), status, failed.body);
        }
    }
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(&asked.id.to_string()) {
        headers.insert("x-request-id", id);
    }
    // Kept by nobody, unless whoever answers says for how long.
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// A failure's answer, with what its handler or the router said in headers.
fn with_body(said: &HeaderMap, status: StatusCode, body: ErrorBody) -> Response {
    let mut response = (status, axum::Json(body)).into_response();
    if status == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    for name in [header::RETRY_AFTER, header::ALLOW, header::UPGRADE, header::SEC_WEBSOCKET_VERSION] {
        if let Some(value) = said.get(&name) {
            response.headers_mut().insert(name, value.clone());
        }
    }
    response
}

/// Whether somebody was refused, or something could not be done.
const fn outcome_of(status: StatusCode) -> Outcome {
    match status {
        StatusCode::UNAUTHORIZED
        | StatusCode::FORBIDDEN
        | StatusCode::TOO_MANY_REQUESTS
        | StatusCode::MISDIRECTED_REQUEST => Outcome::Refused,
        _ => Outcome::Failed,
    }
}

/// What the answer itself says, and what it kept to itself, for whoever asks why.
fn said(failed: &FailedWith) -> impl Iterator<Item = (String, String)> {
    let FailedWith { body, cause, facts } = failed;
    let fields: Vec<String> = body.fields.iter().map(|(name, problem)| format!("{name} {problem}")).collect();
    let texts = [
        ("reason", body.reason.clone()),
        ("state", body.state.clone()),
        ("fields", (!fields.is_empty()).then(|| fields.join("; "))),
        ("cause", cause.clone()),
    ];
    let texts = texts.into_iter().filter_map(|(name, text)| Some((name.to_owned(), text?)));
    texts.chain(facts.clone())
}

/// A body for what the router itself answers.
fn unexplained(status: StatusCode, method: &Method) -> FailedWith {
    let body = match status {
        StatusCode::NOT_FOUND => ErrorBody::new("NOT_FOUND", "There is no such route"),
        StatusCode::METHOD_NOT_ALLOWED => {
            ErrorBody::new("METHOD_NOT_ALLOWED", format!("This route does not take {method}"))
        }
        _ if status.is_client_error() => ErrorBody::new("INVALID_REQUEST", "The request cannot be read"),
        _ => ErrorBody::new("INTERNAL", "Something went wrong on our side"),
    };
    FailedWith { body, cause: None, facts: BTreeMap::new() }
}
