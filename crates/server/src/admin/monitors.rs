//! Certificates that are watched: GET `/monitors`, POST `/monitors/:name/accept`.

use axum::Json;
use axum::extract::State;
use countersign_api::ErrorBody;
use countersign_api::wire::monitors::{
    AcceptMonitorRequest, MonitorBody, MonitorsBody, WatchedCertificateBody,
};
use countersign_authority::monitors::{MonitorError, MonitorStatus, WatchPlace};
use countersign_authority::{Administer, View};
use countersign_core::ids::SpkiSha256;
use http::StatusCode;

use crate::failure::{Failure, Outcome};
use crate::request::{Allowed, JsonFields, Segment, named};
use crate::scopes::{CertificatesRead, CertificatesWrite};
use crate::state::ControlPlane;

/// How every certificate is doing that the authority which answers is configured to watch. Not for whoever
/// is bound to a tenant.
#[utoipa::path(get, path = "/api/v1/monitors", tag = "monitors", operation_id = "listMonitors",
    responses((status = 200, body = MonitorsBody)),
    security(("session" = []), ("apiToken" = ["certificates:read"])))]
pub(crate) async fn list(
    State(state): State<ControlPlane>,
    Allowed(by, _): Allowed<View, CertificatesRead>,
) -> Outcome<Json<MonitorsBody>> {
    let monitors = state.authority.monitors(&by).await?;
    Ok(Json(MonitorsBody { monitors: monitors.into_iter().map(wire_monitor).collect() }))
}

/// Accepts the key that a watched certificate has now: it is the pin from then on, in the place of the
/// configured one, until another is configured. Not for whoever is bound to a tenant.
#[utoipa::path(post, path = "/api/v1/monitors/{id}/accept", tag = "monitors",
    operation_id = "acceptMonitor",
    params(("id" = String, Path, description = "the monitor's name")), request_body = AcceptMonitorRequest,
    responses(
        (status = 200, body = MonitorBody),
        (status = 404, body = ErrorBody, description = "Nothing of this name is watched here"),
        (status = 409, body = ErrorBody,
            description = "`MONITOR_STATE`: no certificate was seen yet, its key is the pin already, or it is another one than `spkiSha256`"),
    ), security(("session" = []), ("apiToken" = ["certificates:write"])))]
pub(crate) async fn accept(
    State(state): State<ControlPlane>,
    Allowed(by, _): Allowed<Administer, CertificatesWrite>,
    Segment(name): Segment,
    JsonFields(mut fields): JsonFields,
) -> Outcome<Json<MonitorBody>> {
    let looked_at = fields.parsed::<SpkiSha256>("spkiSha256");
    fields.refuse_unknown();
    fields.finish()?;
    by.covers_all()?;
    let accepted = state.authority.accept_monitor(&by, &named(&name, "monitor")?, looked_at).await?;
    Ok(Json(wire_monitor(accepted)))
}

impl From<MonitorError> for Failure {
    fn from(error: MonitorError) -> Self {
        let said = match error {
            MonitorError::Forbidden(forbidden) => return forbidden.into(),
            MonitorError::Unknown(_) => return Self::not_found("monitor"),
            MonitorError::Store(error) => return Self::internal(&error),
            MonitorError::Unseen(name) => format!("No certificate of {name} was seen yet"),
            MonitorError::Another { name, seen } => format!("The key of {name} is {seen} by now"),
            MonitorError::Pinned(name) => format!("The key of {name} is the pinned one already"),
        };
        Self::new(StatusCode::CONFLICT, "MONITOR_STATE", said)
    }
}

fn wire_monitor(status: MonitorStatus) -> MonitorBody {
    let address = status.watch.place.address();
    let (server_name, file) = match status.watch.place {
        WatchPlace::Server { server_name, .. } => (Some(server_name), None),
        WatchPlace::File(path) => (None, Some(path.display().to_string())),
    };
    MonitorBody {
        name: status.watch.name,
        address,
        server_name,
        file,
        interval_minutes: status.watch.interval.as_secs() / 60,
        status: status.state.as_str().to_owned(),
        since: status.since,
        problem: status.problem,
        pin: status.pin,
        accepted_at: status.accepted_at,
        looked_at: status.looked_at,
        certificate: status.seen.map(|seen| WatchedCertificateBody {
            subject: seen.subject,
            issuer: seen.issuer,
            serial_number: seen.mark.serial,
            spki_sha256: seen.mark.spki,
            not_before: seen.not_before,
            not_after: seen.not_after,
            first_seen_at: seen.first_seen_at,
            last_seen_at: seen.last_seen_at,
        }),
    }
}
