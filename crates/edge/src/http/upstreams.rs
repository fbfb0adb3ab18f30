//! Connections to upstreams, kept open between requests.
//!
//! Each worker has its own, so that no request waits for another thread. A connection is lent to one
//! request with its [`Line`] and comes back when the answer's body has passed.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use http::uri::Authority;
use http::{Request, Response, Uri};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::client::legacy::connect::HttpConnector;
use parking_lot::Mutex;
use thiserror::Error;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tower::ServiceExt as _;
use tracing::debug;

use super::body::{Body, BodyError};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a connection is kept that nobody uses.
const KEPT_IDLE: Duration = Duration::from_secs(30);

/// The connections of one worker to upstreams.
#[derive(Debug)]
pub(crate) struct Upstreams {
    connector: HttpConnector,
    idle: Mutex<HashMap<Authority, Vec<Idle>>>,
}

#[derive(Debug)]
struct Idle {
    sender: SendRequest<Body>,
    since: Instant,
}

/// Why an upstream gave no answer.
#[derive(Debug, Error)]
pub(crate) enum UpstreamError {
    /// There is no connection to it.
    #[error("connect to the upstream")]
    Connect(#[source] BodyError),
    /// The connection broke, or what came back is not HTTP.
    #[error("ask the upstream")]
    Request(#[source] hyper::Error),
}

/// A connection while it is lent; it goes back when this is dropped, if it is still good.
#[derive(Debug)]
pub(crate) struct Line {
    upstreams: Weak<Upstreams>,
    authority: Authority,
    sender: Option<SendRequest<Body>>,
}

impl Upstreams {
    /// None yet. To be made on the worker's runtime, on which it lets go of what stays unused.
    pub(crate) fn new() -> Arc<Self> {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        connector.set_nodelay(true);
        let upstreams = Arc::new(Self { connector, idle: Mutex::default() });
        tokio::spawn(let_go(Arc::downgrade(&upstreams)));
        upstreams
    }

    /// Sends a request in origin form to the upstream. One that a kept connection did not take, because
    /// the upstream had closed it, goes over another.
    ///
    /// # Errors
    /// When the upstream cannot be reached, or breaks off a request that it may have begun to serve.
    pub(crate) async fn request(
        self: &Arc<Self>,
        authority: &Authority,
        mut request: Request<Body>,
    ) -> Result<(Response<Incoming>, Line), UpstreamError> {
        while let Some(mut sender) = self.take(authority) {
            match sender.try_send_request(request).await {
                Ok(response) => return Ok((response, self.lend(authority, sender))),
                Err(mut error) => match error.take_message() {
                    Some(untouched) => request = untouched,
                    None => return Err(UpstreamError::Request(error.into_error())),
                },
            }
        }
        let mut sender = self.connect(authority).await?;
        let response = sender.send_request(request).await.map_err(UpstreamError::Request)?;
        Ok((response, self.lend(authority, sender)))
    }

    /// The connection that was used last: the others may end. One over which a request's body is still
    /// on its way, though its answer has passed, is left alone.
    fn take(&self, authority: &Authority) -> Option<SendRequest<Body>> {
        let mut idle = self.idle.lock();
        let kept = idle.get_mut(authority)?;
        for at in (0..kept.len()).rev() {
            if kept.get(at).is_some_and(|one| one.sender.is_ready()) {
                return Some(kept.swap_remove(at).sender);
            }
            if kept.get(at).is_some_and(|one| one.sender.is_closed()) {
                kept.swap_remove(at);
            }
        }
        None
    }

    async fn connect(&self, authority: &Authority) -> Result<SendRequest<Body>, UpstreamError> {
        let mut parts = http::uri::Parts::default();
        parts.scheme = Some(http::uri::Scheme::HTTP);
        parts.authority = Some(authority.clone());
        parts.path_and_query = Some(http::uri::PathAndQuery::from_static("/"));
        let uri = Uri::from_parts(parts).map_err(|error| UpstreamError::Connect(error.into()))?;
        let stream = self
            .connector
            .clone()
            .oneshot(uri)
            .await
            .map_err(|error| UpstreamError::Connect(error.into()))?;
        let (sender, connection) = http1::handshake(stream).await.map_err(UpstreamError::Request)?;
        tokio::spawn(async move {
            if let Err(error) = connection.with_upgrades().await {
                debug!(%error, "connection to an upstream ended early");
            }
        });
        Ok(sender)
    }

    fn lend(self: &Arc<Self>, authority: &Authority, sender: SendRequest<Body>) -> Line {
        Line { upstreams: Arc::downgrade(self), authority: authority.clone(), sender: Some(sender) }
    }

    fn keep(&self, authority: &Authority, sender: SendRequest<Body>) {
        let one = Idle { sender, since: Instant::now() };
        let mut idle = self.idle.lock();
        match idle.get_mut(authority) {
            Some(kept) => kept.push(one),
            None => {
                idle.insert(authority.clone(), vec![one]);
            }
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let (Some(sender), Some(upstreams)) = (self.sender.take(), self.upstreams.upgrade()) else { return };
        if !sender.is_closed() {
            upstreams.keep(&self.authority, sender);
        }
    }
}

/// Closes what nobody has used for a while, as long as there is a worker.
async fn let_go(upstreams: Weak<Upstreams>) {
    let mut ticks = interval(KEPT_IDLE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(upstreams) = upstreams.upgrade() else { return };
        let mut idle = upstreams.idle.lock();
        for kept in idle.values_mut() {
            kept.retain(|one| !one.sender.is_closed() && one.since.elapsed() < KEPT_IDLE);
        }
        idle.retain(|_authority, kept| !kept.is_empty());
    }
}
