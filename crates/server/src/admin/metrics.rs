//! GET `/metrics`.

use axum::extract::State;
use axum::response::IntoResponse;
use countersign_api::ErrorBody;
use countersign_authority::View;
use http::header;

use crate::failure::{Failure, Outcome};
use crate::request::Allowed;
use crate::scopes::MetricsRead;
use crate::state::ControlPlane;

/// The type of the text: OpenMetrics, which Prometheus reads.
pub const METRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The numbers of this process and of the installation, for Prometheus. Not for whoever is bound to a tenant.
#[utoipa::path(get, path = "/metrics", tag = "metrics", operation_id = "getMetrics",
    responses(
        (status = 200, body = String, content_type = "application/openmetrics-text"),
        (status = 404, body = ErrorBody, description = "`NOT_FOUND`: this process measures nothing"),
    ), security(("session" = []), ("apiToken" = ["metrics:read"])))]
pub(crate) async fn read(
    State(state): State<ControlPlane>,
    Allowed(by, _): Allowed<View, MetricsRead>,
) -> Outcome<impl IntoResponse> {
    by.covers_all()?;
    let measured = state.measured().ok_or_else(|| Failure::not_found("metrics"))?;
    Ok(([(header::CONTENT_TYPE, METRICS_TYPE)], measured.text().await))
}
