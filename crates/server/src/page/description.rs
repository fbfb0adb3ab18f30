//! GET `/api/v1/openapi.json`.

use axum::Json;
use utoipa::openapi::OpenApi;

use crate::routers::openapi;

/// This document.
#[utoipa::path(get, path = "/api/v1/openapi.json", tag = "pages", operation_id = "getOpenApi",
    responses((status = 200, content_type = "application/json", body = Object)))]
pub(crate) async fn description() -> Json<OpenApi> {
    Json(openapi())
}
