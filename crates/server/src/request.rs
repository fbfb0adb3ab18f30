//! Reading requests: bodies, callers, and the layer that gives every answer its request id.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::extract::{ConnectInfo, FromRequest, FromRequestParts, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use countersign_api::{Arrival, ErrorBody};
use countersign_authority::authorized::{Authorized, Caller, Permission};
use countersign_authority::refusals::{Outcome as Refused, RefusalReport};
use countersign_core::ids::RequestId;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use serde_json::Value;

use crate::failure::{FailedWith, Failure};
use crate::fields::Fields;
use crate::state::ControlPlane;

/// The largest body taken: 1 MiB.
pub(crate) const BODY_LIMIT: usize = 1 << 20;

/// The bearer token of a request.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Where a request comes from, as far as this process knows by itself.
pub(crate) fn address_of(extensions: &http::Extensions) -> IpAddr {
    let by_door = extensions.get::<Arrival>().map(|arrival| arrival.address);
    let by_socket = || extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0);
    by_door
        .or_else(by_socket)
        .map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |address| address.ip().to_canonical())
}

/// The address of whoever sent this request.
pub(crate) struct From(pub(crate) IpAddr);

impl<S: Sync> FromRequestParts<S> for From {
    type Rejection = Failure;
    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Failure> {
        Ok(Self(address_of(&parts.extensions)))
    }
}

/// A JSON object in the body; an empty body is an empty object.
pub(crate) struct JsonFields(pub(crate) Fields);

impl<S: Send + Sync> FromRequest<S> for JsonFields {
    type Rejection = Failure;
    async fn from_request(request: Request, _state: &S) -> Result<Self, Failure> {
        let bytes = axum::body::to_bytes(request.into_body(), BODY_LIMIT).await.map_err(|error| {
            tracing::debug!(%error, "body not read");
            Failure::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "BODY_TOO_LARGE",
                "The body is larger than 1 MiB or ended early",
            )
        })?;
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Ok(Self(Fields::new(serde_json::Map::new())));
        }
        match serde_json::from_slice(&bytes) {
            Ok(Value::Object(values)) => Ok(Self(Fields::new(values))),
            Ok(_) => {
                Err(Failure::new(StatusCode::BAD_REQUEST, "INVALID_JSON", "The body must be a JSON object"))
            }
            Err(error) => Err(Failure::new(
                StatusCode::BAD_REQUEST,
                "INVALID_JSON",
                format!("The body is not JSON: {error}"),
            )),
        }
    }
}

/// A signed-in person.
pub(crate) struct SignedIn {
    pub(crate) caller: Caller,
    pub(crate) token: String,
}

impl FromRequestParts<ControlPlane> for SignedIn {
    type Rejection = Failure;
    async fn from_request_parts(parts: &mut Parts, state: &ControlPlane) -> Result<Self, Failure> {
        let token = bearer(&parts.headers).ok_or_else(Failure::unauthorized)?;
        match state.authority.caller(token).await {
            Ok(Some(caller)) => Ok(Self { caller, token: token.to_owned() }),
            Ok(None) => Err(Failure::unauthorized()),
            Err(error) => Err(Failure::internal(&error)),
        }
    }
}

/// A signed-in person who may act at the level `P`.
pub(crate) struct Allowed<P>(pub(crate) Authorized<P>);

impl<P: Permission + Send> FromRequestParts<ControlPlane> for Allowed<P> {
    type Rejection = Failure;
    async fn from_request_parts(parts: &mut Parts, state: &ControlPlane) -> Result<Self, Failure> {
        let signed_in = SignedIn::from_request_parts(parts, state).await?;
        Ok(Self(signed_in.caller.authorize::<P>()?))
    }
}

/// A part of the path that names something; what cannot be a name names nothing.
pub(crate) fn named<T: std::str::FromStr>(text: &str, what: &str) -> Result<T, Failure> {
    text.parse().map_err(|_invalid| Failure::not_found(what))
}

/// Gives every answer its request id, writes error bodies, and reports what was refused.
pub(crate) async fn finish(State(state): State<ControlPlane>, request: Request, next: Next) -> Response {
    let arrival = request.extensions().get::<Arrival>();
    let id = arrival.map_or_else(RequestId::random, |arrival| arrival.request_id);
    let address = address_of(request.extensions());
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let mut response = next.run(request).await;
    let status = response.status();
    let body = match response.extensions_mut().remove::<FailedWith>() {
        Some(FailedWith(body)) => Some(body),
        None => unexplained(status, &method),
    };
    if let Some(mut body) = body {
        body.request_id = Some(id);
        if is_refusal(status) {
            let facts = BTreeMap::from([
                ("method".to_owned(), method.to_string()),
                ("path".to_owned(), path.chars().take(200).collect()),
                ("status".to_owned(), status.as_u16().to_string()),
            ]);
            state.report(RefusalReport {
                request: id,
                at: state.authority.now(),
                code: body.code.clone(),
                outcome: Refused::Refused,
                tenant: None,
                address,
                facts,
            });
        }
        let headers = std::mem::take(response.headers_mut());
        response = (status, axum::Json(body)).into_response();
        for (name, value) in &headers {
            if name != header::CONTENT_TYPE && name != header::CONTENT_LENGTH {
                response.headers_mut().insert(name.clone(), value.clone());
            }
        }
    }
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&id.to_string()) {
        headers.insert("x-request-id", value);
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

const fn is_refusal(status: StatusCode) -> bool {
    matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS)
}

/// A body for the failures that the router itself answers.
fn unexplained(status: StatusCode, method: &Method) -> Option<ErrorBody> {
    match status {
        StatusCode::NOT_FOUND => Some(ErrorBody::new("NOT_FOUND", "There is no such route")),
        StatusCode::METHOD_NOT_ALLOWED => {
            Some(ErrorBody::new("METHOD_NOT_ALLOWED", format!("This route does not take {method}")))
        }
        _ => None,
    }
}
