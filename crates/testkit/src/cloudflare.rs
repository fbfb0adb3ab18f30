//! Cloudflare's API as far as certificates and rules of a zone go: its fields, its statuses, its limits,
//! and its bad days. It verifies signing requests and signs with a CA of its own, so what it gives out is
//! real.

mod answers;
mod state;

use std::convert::Infallible;
use std::sync::{Arc, MutexGuard, PoisonError};

use bytes::Bytes;
use countersign_core::time::Clock;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::ca::TestCa;
use answers::Answered;
use state::State;

pub use state::{Asked, KnownCertificate, Trouble};

/// The token that it takes.
pub const CLOUDFLARE_TOKEN: &str = "cf-token-Sn3lZJTBX6kkg7OdcBUAxOO963GEIyGQ";

/// Its zone.
pub const CLOUDFLARE_ZONE: &str = "023e105f4ecef8ad9ca31a8372d0c353";

/// The account that the zone is of.
pub const CLOUDFLARE_ACCOUNT: &str = "01a7362d577a6c3019a474fd6f485823";

/// A running API. It ends when dropped.
#[derive(Debug)]
pub struct FakeCloudflare {
    state: Arc<std::sync::Mutex<State>>,
    url: String,
    server: JoinHandle<()>,
}

impl Drop for FakeCloudflare {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl FakeCloudflare {
    /// Starts one on a free port; certificates begin, and calls are counted, by `clock`.
    pub async fn start(clock: Arc<dyn Clock>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("it has a port");
        let state = Arc::new(std::sync::Mutex::new(State::new(clock)));
        let server = tokio::spawn(serve(listener, Arc::clone(&state)));
        Self { state, url: format!("http://{address}/client/v4"), server }
    }

    /// The API's base.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// From now on, `None`: all is well again.
    pub fn has(&self, trouble: Option<Trouble>) {
        self.state().trouble = trouble;
    }

    /// How many certificates the zone may have; 100 at first.
    pub fn set_quota(&self, quota: usize) {
        self.state().quota = quota;
    }

    /// How many calls it takes in five minutes before it blocks for five; 1,200 at first.
    pub fn set_budget(&self, budget: usize) {
        self.state().budget = budget;
    }

    /// Lets every revocation that is under way come through.
    pub fn finish_revocations(&self) {
        self.state().finish_revocations();
    }

    /// Brings every certificate back, as somebody at the dashboard may.
    pub fn reactivate_all(&self) {
        self.state().reactivate_all();
    }

    /// Forgets every certificate.
    pub fn forget_certificates(&self) {
        self.state().certificates.clear();
    }

    /// Every certificate, oldest first.
    #[must_use]
    pub fn certificates(&self) -> Vec<KnownCertificate> {
        self.state().certificates.clone()
    }

    /// What was asked, oldest first.
    #[must_use]
    pub fn asked(&self) -> Vec<Asked> {
        self.state().asked.clone()
    }

    /// How often something was asked: a method and a piece of the path.
    #[must_use]
    pub fn count(&self, method: &str, piece: &str) -> usize {
        let is_it = |asked: &&Asked| asked.method == method && asked.path.contains(piece);
        self.state().asked.iter().filter(is_it).count()
    }

    /// The CA that it signs with.
    #[must_use]
    pub fn ca(&self) -> TestCa {
        self.state().ca.clone()
    }

    /// The custom rules of the zone.
    #[must_use]
    pub fn rules(&self) -> Vec<Value> {
        self.state().rules.clone().unwrap_or_default()
    }

    /// Gives the zone custom rules.
    pub fn set_rules(&self, rules: Vec<Value>) {
        self.state().rules = Some(rules);
    }

    /// The CA certificates of the account, and their host names.
    #[must_use]
    pub fn uploaded(&self) -> Vec<(Value, Vec<String>)> {
        let state = self.state();
        let hostnames = |ca: &Value| {
            let id = ca.get("id").and_then(Value::as_str).unwrap_or_default();
            state.hostnames.get(id).cloned().unwrap_or_default()
        };
        state.uploaded.iter().map(|ca| (ca.clone(), hostnames(ca))).collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn serve(listener: TcpListener, state: Arc<std::sync::Mutex<State>>) {
    while let Ok((stream, _peer)) = listener.accept().await {
        let state = Arc::clone(&state);
        tokio::spawn(async move {
            let service = service_fn(move |request| answer(Arc::clone(&state), request));
            let connection = hyper::server::conn::http1::Builder::new()
                .keep_alive(false)
                .serve_connection(TokioIo::new(stream), service);
            // A client that goes away, and an answer that is kept back, end it early.
            let _ended = connection.await;
        });
    }
}

/// An answer that does not come: hyper closes the connection.
#[derive(Debug)]
struct NoAnswer;

impl std::fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("no answer")
    }
}

impl std::error::Error for NoAnswer {}

async fn answer(
    state: Arc<std::sync::Mutex<State>>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, NoAnswer> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let answered = {
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        state.answer(&parts, &body)
    };
    match answered {
        Answered::Json { status, retry_after, body } => {
            let mut response = Response::builder().status(status).header("content-type", "application/json");
            if let Some(seconds) = retry_after {
                response = response.header("retry-after", seconds);
            }
            Ok(response.body(Full::from(body)).expect("a response"))
        }
        Answered::Lost => Err(NoAnswer),
        Answered::Silent => match std::future::pending::<Infallible>().await {},
    }
}
