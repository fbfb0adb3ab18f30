//! The listener for Prometheus and for who looks after the process: GET `/metrics`, `/health` and `/health/ready`
//! without a token, and nothing else.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use countersign_api::ErrorBody;
use countersign_api::wire::admin::Health;
use countersign_server::{METRICS_TYPE, Measured as _};
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::MissedTickBehavior;

use super::measure::Measure;

/// How often it is tried to listen while the address is another's: a predecessor lets go of it when it ends.
const AGAIN: Duration = Duration::from_secs(1);

/// How many may ask at once.
const AT_ONCE: usize = 8;

const JSON: &str = "application/json";

/// How long the head of a request may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Serves for ever.
pub(crate) async fn listen(address: SocketAddr, measure: Arc<Measure>) {
    let listener = bound(address).await;
    tracing::info!(%address, "metrics served");
    let room = Arc::new(Semaphore::new(AT_ONCE));
    loop {
        let Ok(place) = Arc::clone(&room).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _peer)) => {
                let measure = Arc::clone(&measure);
                tokio::spawn(async move {
                    serve(stream, measure).await;
                    drop(place);
                });
            }
            Err(error) => tracing::warn!(%error, "connection for metrics not accepted"),
        }
    }
}

async fn bound(address: SocketAddr) -> TcpListener {
    let mut tick = tokio::time::interval(AGAIN);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut is_told = false;
    loop {
        tick.tick().await;
        match TcpListener::bind(address).await {
            Ok(listener) => return listener,
            Err(error) if !is_told => {
                tracing::warn!(%address, %error, "cannot listen for metrics, trying again");
                is_told = true;
            }
            Err(_same) => {}
        }
    }
}

async fn serve(stream: TcpStream, measure: Arc<Measure>) {
    let service = service_fn(move |request| {
        let measure = Arc::clone(&measure);
        async move { Ok::<_, Infallible>(answer(&request, &measure).await) }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(PATIENCE).keep_alive(false);
    if let Err(error) = builder.serve_connection(TokioIo::new(stream), service).await {
        tracing::debug!(%error, "connection for metrics ended early");
    }
}

async fn answer(request: &Request<Incoming>, measure: &Measure) -> Response<Full<Bytes>> {
    let (status, body, kind) = match (request.method(), request.uri().path()) {
        (&Method::GET, "/metrics") => (StatusCode::OK, measure.text().await, METRICS_TYPE),
        (&Method::GET, "/health") => healthy(),
        (&Method::GET, "/health/ready") => match measure.check_ready().await {
            Ok(()) => healthy(),
            Err(why) => {
                let said = json!(ErrorBody::new("NOT_READY", why));
                (StatusCode::SERVICE_UNAVAILABLE, said.to_string(), JSON)
            }
        },
        _elsewhere => {
            let text = "only GET /metrics, /health and /health/ready are here\n";
            (StatusCode::NOT_FOUND, text.to_owned(), "text/plain")
        }
    };
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

fn healthy() -> (StatusCode, String, &'static str) {
    (StatusCode::OK, json!(Health::healthy(Vec::new())).to_string(), JSON)
}
