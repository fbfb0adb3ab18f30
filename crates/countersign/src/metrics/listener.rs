//! The listener for Prometheus: GET `/metrics` without a token, and nothing else.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use countersign_server::{METRICS_TYPE, Measured};
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::MissedTickBehavior;

/// How often it is tried to listen while the address is another's: a predecessor lets go of it when it ends.
const AGAIN: Duration = Duration::from_secs(1);

/// How many may ask at once.
const AT_ONCE: usize = 8;

/// How long the head of a request may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Serves for ever.
pub(crate) async fn listen(address: SocketAddr, measured: Arc<dyn Measured>) {
    let listener = bound(address).await;
    tracing::info!(%address, "metrics served");
    let room = Arc::new(Semaphore::new(AT_ONCE));
    loop {
        let Ok(place) = Arc::clone(&room).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _peer)) => {
                let measured = Arc::clone(&measured);
                tokio::spawn(async move {
                    serve(stream, measured).await;
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

async fn serve(stream: TcpStream, measured: Arc<dyn Measured>) {
    let service = service_fn(move |request| {
        let measured = Arc::clone(&measured);
        async move { Ok::<_, Infallible>(answer(&request, &*measured).await) }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(PATIENCE).keep_alive(false);
    if let Err(error) = builder.serve_connection(TokioIo::new(stream), service).await {
        tracing::debug!(%error, "connection for metrics ended early");
    }
}

async fn answer(request: &Request<Incoming>, measured: &dyn Measured) -> Response<Full<Bytes>> {
    let is_right = request.method() == Method::GET && request.uri().path() == "/metrics";
    let (status, body, kind) = if is_right {
        (StatusCode::OK, measured.text().await, METRICS_TYPE)
    } else {
        (StatusCode::NOT_FOUND, "only GET /metrics is here\n".to_owned(), "text/plain")
    };
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
