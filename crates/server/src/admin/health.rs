//! GET `/health` and GET `/health/ready`.

use axum::Json;
use axum::extract::State;
use countersign_api::ErrorBody;
use countersign_api::wire::admin::Health;

use crate::failure::{Failure, Outcome};
use crate::state::ControlPlane;

/// The process answers.
#[utoipa::path(get, path = "/health", tag = "health", operation_id = "getHealth", responses((status = 200,
    body = Health)))]
pub(crate) async fn health() -> Json<Health> {
    Json(Health::healthy(Vec::new()))
}

/// The process and its store answer. Says, too, what somebody must see to before long.
#[utoipa::path(get, path = "/health/ready", tag = "health", operation_id = "getReadiness",
    responses(
        (status = 200, body = Health),
        (status = 503, body = ErrorBody, description = "`NOT_READY`"),
    ))]
pub(crate) async fn ready(State(state): State<ControlPlane>) -> Outcome<Json<Health>> {
    state.authority.check_ready().await.map_err(|error| Failure::not_ready(&error))?;
    let due = state.authority.crls_due().await.map_err(|error| Failure::not_ready(&error))?;
    Ok(Json(Health::healthy(due.iter().map(ToString::to_string).collect())))
}
