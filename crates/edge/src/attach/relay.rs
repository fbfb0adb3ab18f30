//! Hands on to the authority what devices ask the control plane.

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use countersign_api::edge::envelope::{ENVELOPE, Envelope};
use countersign_api::{Arrival, ErrorBody, ObservedRule, OfferedUpgrade};
use countersign_tls::{ClientTls, HttpsConnector, Peer};
use http::uri::Authority;
use http::{HeaderValue, Request, Response, StatusCode, Uri, Version, header};
use http_body_util::{BodyExt as _, Full};
use hyper::upgrade::OnUpgrade;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::copy_bidirectional_with_sizes;
use tower::util::BoxCloneSyncService;
use tracing::{debug, warn};

use crate::http::body::{Body, BodyError, LocalService};

const BUFFER: usize = 4 * 1024;

/// When a device may come again that found no authority.
const COME_AGAIN: HeaderValue = HeaderValue::from_static("10");

/// The largest leaf that is handed on: a larger one is no device's.
const LEAF_LIMIT: usize = 8 * 1024;

type Authorities = Client<HttpsConnector, Body>;

/// Stands in for the control plane at an edge that runs elsewhere.
#[derive(Clone)]
pub struct Relay {
    authority: Authority,
    client: Arc<arc_swap::ArcSwap<Authorities>>,
}

impl fmt::Debug for Relay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Relay").field("authority", &self.authority).finish_non_exhaustive()
    }
}

impl Relay {
    /// Hands on to the authority at `host:port`, showing what `tls` says.
    #[must_use]
    pub fn new(authority: Authority, tls: &ClientTls) -> Self {
        Self { authority, client: Arc::new(arc_swap::ArcSwap::from_pointee(client(tls))) }
    }

    /// Shows another certificate from now on.
    pub fn show(&self, tls: &ClientTls) {
        self.client.store(Arc::new(client(tls)));
    }

    /// As the doors call it.
    #[must_use]
    pub fn service(&self) -> LocalService {
        let relay = self.clone();
        BoxCloneSyncService::new(tower::service_fn(move |request| {
            let relay = relay.clone();
            async move { Ok::<_, Infallible>(relay.hand_on(request).await) }
        }))
    }

    async fn hand_on(&self, mut request: Request<Body>) -> Response<Body> {
        let offered = request.extensions_mut().remove::<OfferedUpgrade>();
        let prepared = self.prepare(&mut request, offered.as_ref());
        if prepared.is_none() {
            return refusal("INTERNAL", StatusCode::INTERNAL_SERVER_ERROR, "The request cannot be handed on");
        }
        let client = self.client.load_full();
        match client.request(request).await {
            Ok(mut response) => {
                if let (StatusCode::SWITCHING_PROTOCOLS, Some(offered)) = (response.status(), offered) {
                    join(hyper::upgrade::on(&mut response), &offered);
                }
                response.map(|body| body.map_err(BodyError::from).boxed_unsync())
            }
            Err(error) => {
                let reason = std::error::Error::source(&error).map(ToString::to_string);
                warn!(%error, reason, "authority not reached for a device");
                refusal(
                    "AUTHORITY_UNREACHABLE",
                    StatusCode::SERVICE_UNAVAILABLE,
                    "This edge cannot reach its authority; retry later",
                )
            }
        }
    }

    /// Makes it a request to the authority, with what the door knows of it.
    fn prepare(&self, request: &mut Request<Body>, offered: Option<&OfferedUpgrade>) -> Option<()> {
        let arrival = request.extensions_mut().remove::<Arrival>()?;
        let envelope = Envelope {
            leaf: leaf(&arrival.peer),
            address: arrival.address,
            request_id: arrival.request_id,
            observed_rule: request.extensions_mut().remove::<ObservedRule>().map(|ObservedRule(name)| name),
        };
        let target = request.uri().path_and_query()?.clone();
        let uri = Uri::builder().scheme("https").authority(self.authority.clone()).path_and_query(target);
        *request.uri_mut() = uri.build().ok()?;
        *request.version_mut() = Version::HTTP_11;
        *request.extensions_mut() = http::Extensions::new();
        let headers = request.headers_mut();
        headers.remove(header::HOST);
        headers.insert(ENVELOPE, envelope.to_header().ok()?);
        if let Some(offered) = offered {
            headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
            headers.insert(header::UPGRADE, HeaderValue::from_str(offered.protocol()).ok()?);
        }
        Some(())
    }
}

fn client(tls: &ClientTls) -> Authorities {
    Client::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).build(tls.connector())
}

/// The leaf that was shown. Nothing else of the chain counts.
fn leaf(peer: &Peer) -> Option<Vec<u8>> {
    let leaf = peer.chain_der().first()?;
    Some(if leaf.len() > LEAF_LIMIT { Vec::new() } else { leaf.to_vec() })
}

/// Lets the device and the authority talk until either, or the door, ends it.
fn join(upgraded: OnUpgrade, offered: &OfferedUpgrade) {
    let Some(mut connection) = offered.accept() else { return };
    tokio::spawn(async move {
        let joined = async {
            let mut authority = TokioIo::new(upgraded.await.map_err(std::io::Error::other)?);
            copy_bidirectional_with_sizes(&mut connection.stream, &mut authority, BUFFER, BUFFER).await
        };
        // The door's notice needs no ear: what is to be said last, the authority says.
        if let Err(error) = joined.await {
            debug!(%error, "upgraded connection to the authority ended");
        }
        drop(connection);
    });
}

fn refusal(code: &str, status: StatusCode, sentence: &str) -> Response<Body> {
    let body = serde_json::to_vec(&ErrorBody::new(code, sentence)).unwrap_or_default();
    let body = Full::new(Bytes::from(body)).map_err(|never| match never {}).boxed_unsync();
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::RETRY_AFTER, COME_AGAIN);
    response
}
