//! Who comes with an edge's certificate: the edge itself, or a device whose request it hands on.

use std::sync::Arc;

use axum::extract::{FromRequestParts, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use countersign_api::edge::envelope::{ENVELOPE, Envelope};
use countersign_api::{Arrival, ObservedRule};
use countersign_authority::edges::add::EdgeRow;
use countersign_core::ids::{CertificateRef, Tenant};
use countersign_tls::Peer;
use http::request::Parts;
use http::{HeaderValue, StatusCode};

use crate::failure::{Failure, Outcome};
use crate::state::ControlPlane;

/// An edge that has proved who it is.
#[derive(Clone, Debug)]
pub(crate) struct ByEdge {
    pub(crate) edge: Arc<EdgeRow>,
    /// The certificate that it came with.
    pub(crate) certificate: CertificateRef,
}

/// The edge that handed a request on.
#[derive(Clone, Debug)]
pub(crate) struct Through(pub(crate) Arc<EdgeRow>);

/// Why a request that came with an edge's certificate goes no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Barred {
    /// The edge, or its certificate, is revoked or not on record.
    Revoked,
    /// What it says of the request cannot be read.
    Envelope,
    /// Only the routes of edges are open to it.
    Elsewhere,
}

impl Barred {
    fn failure(self) -> Failure {
        let (status, code, sentence) = match self {
            Self::Revoked => (StatusCode::FORBIDDEN, "EDGE_REVOKED", "This edge's certificate opens nothing"),
            Self::Envelope => {
                (StatusCode::BAD_REQUEST, "BAD_ENVELOPE", "What the edge says of the request cannot be read")
            }
            Self::Elsewhere => (
                StatusCode::FORBIDDEN,
                "EDGE_CERTIFICATE",
                "An edge's certificate opens the routes of edges alone",
            ),
        };
        Failure::new(status, code, sentence)
    }
}

/// The outermost layer behind a door: finds out who really asks. The header by which an edge says so is
/// taken out of every request, and read only where an edge has proved itself on the connection.
pub(crate) async fn identify(
    State(state): State<ControlPlane>,
    mut request: Request,
    next: Next,
) -> Response {
    let envelope = request.headers_mut().remove(ENVELOPE);
    let arrival = request.extensions().get::<Arrival>().cloned();
    if let Some(arrival) = arrival {
        match by_edge(&state, &arrival.peer).await {
            Ok(None) => {}
            Ok(Some(by)) => hand_on(&state, &mut request, by, envelope.as_ref()),
            Err(barred) => {
                request.extensions_mut().insert(barred);
            }
        }
    }
    next.run(request).await
}

/// The layer inside of that: what goes no further is answered here, so that it is written down as any
/// refusal.
pub(crate) async fn refuse(request: Request, next: Next) -> Response {
    match request.extensions().get::<Barred>() {
        Some(barred) => barred.failure().into_response(),
        None => next.run(request).await,
    }
}

async fn by_edge(state: &ControlPlane, peer: &Peer) -> Result<Option<ByEdge>, Barred> {
    let authority = &state.authority;
    let claim = state.edge_judge().claim(peer, || authority.edge_issuers(), authority.now());
    let Some(claim) = claim.filter(|claim| claim.identity.trust_domain() == authority.trust_domain()) else {
        return Ok(None);
    };
    let known = authority.known_edge(&claim.reference).await.map_err(|error| {
        tracing::error!(%error, "edge not looked up");
        Barred::Revoked
    })?;
    let edge = known.filter(|edge| edge.name == *claim.identity.name()).ok_or(Barred::Revoked)?;
    Ok(Some(ByEdge { edge, certificate: claim.reference.clone() }))
}

fn hand_on(state: &ControlPlane, request: &mut Request, by: ByEdge, envelope: Option<&HeaderValue>) {
    let Some(envelope) = envelope else {
        let is_own = request.uri().path().starts_with("/api/v1/edges/self/");
        if is_own {
            request.extensions_mut().insert(by);
        } else {
            request.extensions_mut().insert(Barred::Elsewhere);
        }
        return;
    };
    let Ok(Envelope { leaf, address, request_id, observed_rule }) = Envelope::from_header(envelope) else {
        request.extensions_mut().insert(Barred::Envelope);
        return;
    };
    let chain = leaf.into_iter().map(Arc::from).collect();
    let peer = state.hearsay().peer(chain, &state.authority.snapshot(), state.authority.now());
    request.extensions_mut().insert(Arrival { peer, address, request_id });
    // What our own door observed of the edge is not about the device.
    request.extensions_mut().remove::<ObservedRule>();
    if let Some(rule) = observed_rule.filter(|rule| state.authority.has_rule(rule)) {
        request.extensions_mut().insert(ObservedRule(rule));
    }
    request.extensions_mut().insert(Through(by.edge));
}

/// Whether the edge that a request came through, if one, may speak for devices of this tenant.
///
/// # Errors
/// 403 when it may not.
pub(crate) fn within_scope(through: Option<&Through>, tenant: &Tenant) -> Outcome<()> {
    through.map_or(Ok(()), |edge| serves(&edge.0, tenant))
}

/// Whether an edge may speak for devices of this tenant.
///
/// # Errors
/// 403 when it may not.
pub(super) fn serves(edge: &EdgeRow, tenant: &Tenant) -> Outcome<()> {
    if edge.serves(tenant) {
        return Ok(());
    }
    let sentence = "This edge does not serve devices of this tenant";
    let failure = Failure::new(StatusCode::FORBIDDEN, "EDGE_SCOPE", sentence);
    Err(failure.fact("edge", &edge.name).fact("tenant", tenant))
}

impl<S: Sync> FromRequestParts<S> for ByEdge {
    type Rejection = Failure;
    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Failure> {
        if parts.extensions.get::<Arrival>().is_none() {
            return Err(Failure::not_found("route"));
        }
        parts.extensions.get::<Self>().cloned().ok_or_else(Failure::unauthorized)
    }
}
