//! Reading requests: bodies, queries, paths and callers. Every reader fails with a [`Failure`], so
//! that whatever cannot be read is answered in the one shape.

use std::convert::Infallible;
use std::marker::PhantomData;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, FromRequest, FromRequestParts, Path, Query, Request};
use countersign_api::Arrival;
use countersign_authority::authorized::{Authorized, Caller, Permission};
use http::request::Parts;
use http::{HeaderMap, StatusCode, header};
use http_body_util::LengthLimitError;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::failure::{Failure, Outcome};
use crate::fields::Fields;
use crate::scopes::Scoped;
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
pub(crate) struct ClientAddress(pub(crate) IpAddr);

impl<S: Sync> FromRequestParts<S> for ClientAddress {
    type Rejection = Failure;
    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Failure> {
        Ok(Self(address_of(&parts.extensions)))
    }
}

/// A body that nobody has read yet: nothing of a stranger's is read before it is known who asks.
pub(crate) struct Unread(Body);

impl<S: Sync> FromRequest<S> for Unread {
    type Rejection = Infallible;
    async fn from_request(request: Request, _state: &S) -> Result<Self, Infallible> {
        Ok(Self(request.into_body()))
    }
}

impl Unread {
    /// That of a request whose body is taken out.
    pub(crate) const fn of(body: Body) -> Self {
        Self(body)
    }

    /// The body as it is.
    ///
    /// # Errors
    /// 413 over `limit` bytes; 400 for what is not whole.
    pub(crate) async fn bytes(self, limit: usize) -> Outcome<Bytes> {
        axum::body::to_bytes(self.0, limit).await.map_err(unread)
    }

    /// The body of a request that a program of ours wrote.
    ///
    /// # Errors
    /// 413 over 1 MiB; 400 for what is not whole or not what is expected. What it says is not repeated: it may
    /// be a secret.
    pub(crate) async fn typed<T: DeserializeOwned>(self) -> Outcome<T> {
        let bytes = self.bytes(BODY_LIMIT).await?;
        serde_json::from_slice(&bytes).map_err(|error| {
            let at = error.column();
            invalid_json(format!("The body is not what is expected here, at character {at}"))
        })
    }

    /// The fields of the JSON object in the body; an empty body is an empty object.
    ///
    /// # Errors
    /// 413 over 1 MiB; 400 for what is not whole or not a JSON object.
    pub(crate) async fn fields(self) -> Outcome<Fields> {
        let bytes = self.bytes(BODY_LIMIT).await?;
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Ok(Fields::new(serde_json::Map::new()));
        }
        match serde_json::from_slice(&bytes) {
            Ok(Value::Object(values)) => Ok(Fields::new(values)),
            Ok(_) => Err(invalid_json("The body must be a JSON object")),
            Err(error) => Err(invalid_json(format!("The body is not JSON: {error}"))),
        }
    }
}

fn unread(error: axum::Error) -> Failure {
    if error.into_inner().is::<LengthLimitError>() {
        Failure::new(StatusCode::PAYLOAD_TOO_LARGE, "BODY_TOO_LARGE", "The body is larger than 1 MiB")
    } else {
        Failure::new(StatusCode::BAD_REQUEST, "BODY_INCOMPLETE", "The body ended early")
    }
}

fn invalid_json(sentence: impl Into<String>) -> Failure {
    Failure::new(StatusCode::BAD_REQUEST, "INVALID_JSON", sentence)
}

/// The fields of the body, where nothing else has to be asked first.
pub(crate) struct JsonFields(pub(crate) Fields);

impl<S: Send + Sync> FromRequest<S> for JsonFields {
    type Rejection = Failure;
    async fn from_request(request: Request, _state: &S) -> Result<Self, Failure> {
        Unread(request.into_body()).fields().await.map(Self)
    }
}

/// The fields of the query; one without a value counts as absent.
pub(crate) struct QueryFields(pub(crate) Fields);

impl<S: Sync> FromRequestParts<S> for QueryFields {
    type Rejection = Failure;
    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Failure> {
        let pairs = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri).map_err(|error| {
            Failure::new(StatusCode::BAD_REQUEST, "INVALID_REQUEST", format!("The query: {error}"))
        })?;
        let mut fields = Fields::new(serde_json::Map::new());
        for (name, value) in pairs.0 {
            fields.add(name, value);
        }
        Ok(Self(fields))
    }
}

/// The one variable segment of the path.
pub(crate) struct Segment(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for Segment {
    type Rejection = Failure;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        // What is not UTF-8 names nothing.
        let path = Path::<String>::from_request_parts(parts, state).await;
        path.map(|Path(segment)| Self(segment)).map_err(|_unreadable| Failure::not_found("object"))
    }
}

/// The variable segments of a path with several.
pub(crate) struct Segments<const N: usize>(pub(crate) [String; N]);

impl<S: Send + Sync, const N: usize> FromRequestParts<S> for Segments<N> {
    type Rejection = Failure;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let path = Path::<Vec<String>>::from_request_parts(parts, state).await;
        let segments = path.ok().and_then(|Path(segments)| segments.try_into().ok());
        segments.map(Self).ok_or_else(|| Failure::not_found("object"))
    }
}

/// A signed-in person, or a program with an API token.
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

/// Somebody who may act at the level `P`: a signed-in person, or a program whose API token has the scope
/// `S`.
pub(crate) struct Allowed<P, S>(pub(crate) Authorized<P>, pub(crate) PhantomData<S>);

impl<P: Permission + Send, S: Scoped> FromRequestParts<ControlPlane> for Allowed<P, S> {
    type Rejection = Failure;
    async fn from_request_parts(parts: &mut Parts, state: &ControlPlane) -> Result<Self, Failure> {
        let signed_in = SignedIn::from_request_parts(parts, state).await?;
        Ok(Self(signed_in.caller.authorize_within::<P>(S::SCOPE)?, PhantomData))
    }
}

/// A signed-in person who may act at the level `P`; no API token will do.
pub(crate) struct InSession<P>(pub(crate) Authorized<P>);

impl<P: Permission + Send> FromRequestParts<ControlPlane> for InSession<P> {
    type Rejection = Failure;
    async fn from_request_parts(parts: &mut Parts, state: &ControlPlane) -> Result<Self, Failure> {
        let signed_in = SignedIn::from_request_parts(parts, state).await?;
        let user = signed_in.caller.user();
        let refused =
            |forbidden| Failure::from(forbidden).fact("user", &user.id).fact("role", &user.role.as_str());
        signed_in.caller.authorize::<P>().map(Self).map_err(refused)
    }
}

/// A part of the path that names something; what cannot be a name names nothing.
pub(crate) fn named<T: std::str::FromStr>(text: &str, what: &str) -> Result<T, Failure> {
    text.parse().map_err(|_invalid| Failure::not_found(what))
}
