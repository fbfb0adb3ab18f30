//! POST `/api/audit` and GET `/api/audit/recent` (seed 003): what others say was done with data. Behind a
//! door the device's certificate says who reports, on the admin listener the session.

use std::marker::PhantomData;
use std::time::Duration;

use axum::Json;
use axum::extract::{FromRequestParts, State};
use countersign_api::Arrival;
use countersign_api::wire::reported::{AccessReportRequest, AccessReportResponse, ReportedAccess};
use countersign_authority::View;
use countersign_authority::audit::AuditRecord;
use countersign_authority::reported::{AccessReport, Reporter};
use countersign_core::access::{Access, Holder, Place, Refusal, decide};
use countersign_core::settings::Enforcement;
use countersign_core::time::Timestamp;
use http::request::Parts;

use crate::failure::{Failure, Outcome};
use crate::request::{Allowed, QueryFields, Unread};
use crate::scopes::{AuditRead, AuditWrite, Scoped};
use crate::state::ControlPlane;

/// The longest `additionalData`, as JSON.
const ADDITIONAL_LIMIT: usize = 8 << 10;

/// The longest time that is looked back: a year.
const HOURS_LIMIT: u64 = 8_784;

/// Who reports, as the connection or the session proved it; an API token needs the scope `S`.
pub(crate) struct ProvedReporter<S>(Reporter, PhantomData<S>);

impl<S: Scoped> FromRequestParts<ControlPlane> for ProvedReporter<S> {
    type Rejection = Failure;

    /// Fails closed: at a door without a certificate in good standing nobody is heard.
    async fn from_request_parts(parts: &mut Parts, state: &ControlPlane) -> Result<Self, Failure> {
        let Some(arrival) = parts.extensions.get::<Arrival>().cloned() else {
            let Allowed(by, _) = Allowed::<View, S>::from_request_parts(parts, state).await?;
            return Ok(Self(state.authority.reporter_by_session(&by).await?, PhantomData));
        };
        let shown = arrival.peer.shown(&state.authority.snapshot(), Holder::Own, state.authority.now());
        if let Access::Refused(refusal) = decide(Place::Upstream, shown, Enforcement::Enforce) {
            return Err(refusal.into());
        }
        let claim = arrival.peer.claim().ok_or(Refusal::MtlsRequired)?;
        let reporter = state.authority.reporter_by_certificate(claim).await;
        let reporter = reporter.map_err(|error| Failure::internal(&error))?;
        reporter.map(|reporter| Self(reporter, PhantomData)).ok_or_else(|| Refusal::Untrusted.into())
    }
}

/// Records what the caller says was done with data, as their word.
#[utoipa::path(post, path = "/api/audit", tag = "audit", operation_id = "reportAccess",
    request_body = AccessReportRequest,
    responses((status = 200, body = AccessReportResponse)),
    security(("session" = []), ("apiToken" = ["audit:write"]), ("deviceCertificate" = [])))]
pub(crate) async fn report(
    State(state): State<ControlPlane>,
    ProvedReporter(reporter, _): ProvedReporter<AuditWrite>,
    body: Unread,
) -> Outcome<Json<AccessReportResponse>> {
    let mut fields = body.fields().await?;
    let timestamp = fields.read("timestamp", Timestamp::parse);
    if timestamp.is_none() && !fields.has_problem("timestamp") {
        fields.problem("timestamp", "is required");
    }
    let certificate_used = fields.boolean("certificateUsed");
    if certificate_used.is_none() && !fields.has_problem("certificateUsed") {
        fields.problem("certificateUsed", "is required");
    }
    let additional = fields.take("additionalData");
    let is_object = additional.as_ref().is_none_or(serde_json::Value::is_object);
    let additional = additional.map(|value| value.to_string());
    if !is_object || additional.as_ref().is_some_and(|text| text.len() > ADDITIONAL_LIMIT) {
        fields.problem("additionalData", format!("must be an object of at most {ADDITIONAL_LIMIT} bytes"));
    }
    let report = AccessReport {
        timestamp: timestamp.unwrap_or(Timestamp::from_secs(0)),
        action: fields.required_text("action", 200),
        data_type: fields.required_text("dataType", 200),
        user: fields.required_text("userId", 200),
        certificate_used: certificate_used.unwrap_or_default(),
        additional,
    };
    fields.refuse_unknown();
    fields.finish()?;
    let recorded = state.authority.report_access(reporter, report).await;
    recorded.map_err(|error| Failure::internal(&error))?;
    let message = "Recorded as reported".to_owned();
    Ok(Json(AccessReportResponse { success: true, message }))
}

/// What was reported in the last hours, newest first, at most 1000: a device sees its own reports, a
/// person those of their tenant.
#[utoipa::path(get, path = "/api/audit/recent", tag = "audit", operation_id = "listReportedAccesses",
    params(
        ("hours" = Option<u64>, Query, minimum = 1, maximum = 8784, description = "24 when absent"),
        ("user_id" = Option<String>, Query, description = "only this `userId`"),
    ),
    responses((status = 200, body = [ReportedAccess])),
    security(("session" = []), ("apiToken" = ["audit:read"]), ("deviceCertificate" = [])))]
pub(crate) async fn recent(
    State(state): State<ControlPlane>,
    ProvedReporter(reporter, _): ProvedReporter<AuditRead>,
    QueryFields(mut fields): QueryFields,
) -> Outcome<Json<Vec<ReportedAccess>>> {
    let hours = fields.read("hours", |text| match text.parse() {
        Ok(hours @ 1..=HOURS_LIMIT) => Ok(hours),
        Ok(_) | Err(_) => Err(format!("must be a whole number from 1 to {HOURS_LIMIT}")),
    });
    let user = fields.text("user_id", 200);
    fields.refuse_unknown();
    fields.finish()?;
    let age = Duration::from_secs(hours.unwrap_or(24) * 3600);
    let reported = state.authority.reported_accesses(&reporter, age).await;
    let reported = reported.map_err(|error| Failure::internal(&error))?.into_iter().map(wire_report);
    let wanted = |report: &ReportedAccess| user.as_ref().is_none_or(|user| *user == report.user_id);
    Ok(Json(reported.filter(wanted).collect()))
}

fn wire_report(mut record: AuditRecord) -> ReportedAccess {
    let mut said = |name: &str| record.details.remove(name);
    let additional_data = said("additionalData").and_then(|text| serde_json::from_str(&text).ok());
    let certificate_used = said("certificateUsed").is_some_and(|text| text == "true");
    let [reported_by, timestamp, action, data_type, user_id] =
        ["reportedBy", "reportedAt", "action", "dataType", "userId"]
            .map(|name| said(name).unwrap_or_default());
    ReportedAccess {
        recorded_at: record.at,
        reported_by,
        timestamp,
        action,
        data_type,
        user_id,
        certificate_used,
        additional_data,
    }
}
