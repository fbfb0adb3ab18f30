//! GET `/devices`, GET and PATCH `/devices/:id`, GET `/devices/:id/certificates`.

use axum::Json;
use axum::extract::{Path, Query, State};
use countersign_api::ErrorBody;
use countersign_api::wire::admin::{CertificateList, CertificateSummary, Decided, DeviceBody, DeviceList};
use countersign_authority::devices::{CertificateRow, DeviceFilter, DeviceRow};
use countersign_authority::quarantine::Maintenance;
use countersign_authority::{Operate, View};
use serde::Deserialize;

use crate::admin::certificates::wire_certificate;
use crate::admin::quarantine::decided;
use crate::failure::{Failure, Outcome};
use crate::request::{Allowed, JsonFields, named};
use crate::state::ControlPlane;

/// Which devices to list.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct DeviceQuery {
    q: Option<String>,
    status: Option<String>,
    tenant: Option<String>,
    limit: Option<String>,
    cursor: Option<String>,
}

/// One page of devices.
#[utoipa::path(get, path = "/api/v1/devices", tag = "devices",
    params(
        ("q" = Option<String>, Query, description = "part of a name or host name"),
        ("status" = Option<String>, Query, description = "one of the six statuses"),
        ("tenant" = Option<String>, Query, description = "slug or id"),
        ("limit" = Option<u32>, Query, description = "1 to 500; 100 when absent"),
        ("cursor" = Option<String>, Query, description = "nextCursor of the page before"),
    ),
    responses(
        (status = 200, body = DeviceList), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 404, body = ErrorBody),
    ), security(("session" = [])))]
pub(crate) async fn list(
    State(state): State<ControlPlane>,
    Allowed(by): Allowed<View>,
    Query(query): Query<DeviceQuery>,
) -> Outcome<Json<DeviceList>> {
    let tenant = match query.tenant.as_deref() {
        Some(tenant) => Some(state.authority.find_tenant(&by, tenant).await?.id),
        None => None,
    };
    let status = query.status.as_deref().map(str::parse).transpose();
    let cursor = query.cursor.as_deref().map(str::parse).transpose();
    let filter = DeviceFilter {
        text: query.q,
        status: status.map_err(|error| Failure::invalid_field("status", format!("{error}")))?,
        tenant,
        limit: page_size(query.limit.as_deref())?,
        after: cursor.map_err(|_invalid| Failure::invalid_field("cursor", "is not one of ours"))?,
    };
    let page = state.authority.list_devices(&by, filter).await?;
    Ok(Json(DeviceList {
        devices: wire_devices(&state, page.devices).await?,
        next_cursor: page.next.map(|cursor| cursor.to_string()),
    }))
}

/// One device.
#[utoipa::path(get, path = "/api/v1/devices/{id}", tag = "devices",
    params(("id" = String, Path, description = "device id")),
    responses(
        (status = 200, body = DeviceBody), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody),
    ), security(("session" = [])))]
pub(crate) async fn get(
    State(state): State<ControlPlane>,
    Allowed(by): Allowed<View>,
    Path(id): Path<String>,
) -> Outcome<Json<DeviceBody>> {
    let device = state.authority.device(&by, named(&id, "device")?).await?;
    let mut devices = wire_devices(&state, vec![device]).await?;
    devices.pop().map(Json).ok_or_else(|| Failure::not_found("device"))
}

/// Sets a device aside or takes it back: `{"maintenance": true | false}`.
#[utoipa::path(patch, path = "/api/v1/devices/{id}", tag = "devices",
    params(("id" = String, Path, description = "device id")), request_body = Object,
    responses(
        (status = 200, body = Decided), (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 404, body = ErrorBody), (status = 409, body = ErrorBody),
        (status = 413, body = ErrorBody),
    ), security(("session" = [])))]
pub(crate) async fn patch(
    State(state): State<ControlPlane>,
    Allowed(by): Allowed<Operate>,
    Path(id): Path<String>,
    JsonFields(mut fields): JsonFields,
) -> Outcome<Json<Decided>> {
    let maintenance = match fields.boolean("maintenance") {
        Some(true) => Maintenance::Enter,
        Some(false) => Maintenance::Leave,
        None => {
            fields.problem("maintenance", "must be true or false");
            Maintenance::Leave
        }
    };
    fields.refuse_unknown();
    fields.finish()?;
    decided(state.authority.set_maintenance(&by, named(&id, "device")?, maintenance).await?)
}

/// The certificates of a device, newest first.
#[utoipa::path(get, path = "/api/v1/devices/{id}/certificates", tag = "devices",
    params(("id" = String, Path, description = "device id")),
    responses(
        (status = 200, body = CertificateList), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody),
    ), security(("session" = [])))]
pub(crate) async fn certificates(
    State(state): State<ControlPlane>,
    Allowed(by): Allowed<View>,
    Path(id): Path<String>,
) -> Outcome<Json<CertificateList>> {
    let rows = state.authority.device_certificates(&by, named(&id, "device")?).await?;
    Ok(Json(CertificateList { certificates: rows.iter().map(wire_certificate).collect(), next_cursor: None }))
}

/// The size of a page.
pub(crate) fn page_size(limit: Option<&str>) -> Outcome<u32> {
    match limit.map(str::parse::<u32>) {
        None => Ok(100),
        Some(Ok(limit @ 1..=500)) => Ok(limit),
        Some(_) => Err(Failure::invalid_field("limit", "must be a whole number from 1 to 500")),
    }
}

async fn wire_devices(state: &ControlPlane, rows: Vec<DeviceRow>) -> Outcome<Vec<DeviceBody>> {
    let mut shown =
        state.authority.shown_certificates(&rows).await.map_err(|error| Failure::internal(&error))?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let certificate = shown.remove(&row.id);
            wire_device(row, certificate)
        })
        .collect())
}

fn wire_device(row: DeviceRow, certificate: Option<CertificateRow>) -> DeviceBody {
    DeviceBody {
        id: row.id,
        agent_id: row.agent,
        name: row.name,
        tenant: row.tenant_slug,
        site: row.site_slug,
        hostname: row.hostname,
        os_type: row.os_type,
        status: row.status,
        last_seen_at: row.last_seen_at,
        quarantined_at: row.quarantined_at,
        quarantined_reason: row.quarantined_reason.map(|reason| reason.to_string()),
        certificate: certificate.map(|certificate| CertificateSummary {
            id: certificate.id,
            serial_number: certificate.reference.serial,
            issued_at: certificate.lifetime.issued_at,
            expires_at: certificate.lifetime.expires_at,
            state: certificate.state,
        }),
    }
}
