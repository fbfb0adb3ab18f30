//! The routers as services: the admin listener's own server, and what a door calls.

use std::convert::Infallible;
use std::error::Error;
use std::io;
use std::net::SocketAddr;

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use http_body_util::combinators::UnsyncBoxBody;
use tokio::net::TcpListener;
use tower::util::BoxCloneSyncService;
use tower::{ServiceBuilder, ServiceExt as _};

/// A body as doors and the control plane exchange it.
pub type ExchangedBody = UnsyncBoxBody<Bytes, Box<dyn Error + Send + Sync>>;

/// The control plane as a door calls it.
pub type DoorService = BoxCloneSyncService<Request<ExchangedBody>, Response<ExchangedBody>, Infallible>;

/// Turns a router into what a door calls.
#[must_use]
pub fn door_service(router: Router) -> DoorService {
    let service = ServiceBuilder::new()
        .map_request(|request: Request<ExchangedBody>| request.map(Body::new))
        .map_response(|response: Response<Body>| response.map(|body| body.map_err(Into::into).boxed_unsync()))
        .service(router);
    BoxCloneSyncService::new(service.map_err(|never| match never {}))
}

/// Serves the admin router on `listener` until `stop` is done, then finishes what is under way.
///
/// # Errors
/// When the listener fails.
pub async fn serve_admin(
    listener: TcpListener,
    router: Router,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, service).with_graceful_shutdown(stop).await
}
