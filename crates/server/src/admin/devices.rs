//! GET `/devices`, GET and PATCH `/devices/:id`, GET `/devices/:id/certificates`.

use axum::Json;
use axum::extract::State;
use countersign_api::ErrorBody;
use countersign_api::wire::admin::{
    CertificateList, CertificateSummary, Decided, DeviceBody, DeviceList, DevicePatch,
};
use countersign_api::wire::agent_settings::TrustBundleBody;
use countersign_api::wire::schema;
use countersign_authority::device_changes::DeviceChange;
use countersign_authority::devices::{CertificateRow, DeviceFilter, DeviceRow};
use countersign_authority::quarantine::Maintenance;
use countersign_authority::{Operate, View};

use crate::admin::certificates::wire_certificate;
use crate::admin::lists::{self, cursor, page_size};
use crate::admin::quarantine::decided;
use crate::failure::{Failure, Outcome};
use crate::request::{Allowed, JsonFields, QueryFields, Segment, named};
use crate::scopes::{CertificatesRead, DevicesRead, DevicesWrite};
use crate::state::ControlPlane;

/// One page of devices.
#[utoipa::path(get, path = "/api/v1/devices", tag = "devices", operation_id = "listDevices",
    params(
        ("q" = Option<String>, Query, description = "part of a name or host name"),
        ("status" = Option<schema::DeviceStatus>, Query),
        ("tenant" = Option<String>, Query, description = "slug or id"),
        ("site" = Option<String>, Query, description = "slug or id"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 500, description = "100 when absent"),
        ("cursor" = Option<String>, Query, description = "nextCursor of the page before"),
    ),
    responses(
        (status = 200, body = DeviceList),
        (status = 404, body = ErrorBody, description = "There is no such tenant"),
    ), security(("session" = []), ("apiToken" = ["devices:read"])))]
pub(crate) async fn list(
    State(state): State<ControlPlane>,
    Allowed(by, _): Allowed<View, DevicesRead>,
    QueryFields(mut fields): QueryFields,
) -> Outcome<Json<DeviceList>> {
    let tenant = lists::tenant(&mut fields);
    let mut filter = DeviceFilter {
        text: fields.text("q", 255),
        status: fields.parsed("status"),
        tenant: None,
        site: fields.parsed("site"),
        limit: page_size(&mut fields),
        after: cursor(&mut fields),
    };
    filter.tenant = lists::read_whole(fields, &state, &by, tenant).await?.map(|tenant| tenant.id);
    let page = state.authority.list_devices(&by, filter).await?;
    Ok(Json(DeviceList {
        devices: wire_devices(&state, page.devices).await?,
        next_cursor: page.next.map(|cursor| cursor.to_string()),
    }))
}

/// One device.
#[utoipa::path(get, path = "/api/v1/devices/{id}", tag = "devices", operation_id = "getDevice",
    params(("id" = uuid::Uuid, Path, description = "device id")),
    responses((status = 200, body = DeviceBody)), security(("session" = []), ("apiToken" = ["devices:read"])))]
pub(crate) async fn get(
    State(state): State<ControlPlane>,
    Allowed(by, _): Allowed<View, DevicesRead>,
    Segment(id): Segment,
) -> Outcome<Json<DeviceBody>> {
    let device = state.authority.device(&by, named(&id, "device")?).await?;
    let mut devices = wire_devices(&state, vec![device]).await?;
    devices.pop().map(Json).ok_or_else(|| Failure::not_found("device"))
}

/// Moves a device to another site of its tenant, sets it aside, or takes it back.
#[utoipa::path(patch, path = "/api/v1/devices/{id}", tag = "devices", operation_id = "patchDevice",
    params(("id" = uuid::Uuid, Path, description = "device id")), request_body = DevicePatch,
    responses(
        (status = 200, body = Decided),
        (status = 409, body = ErrorBody, description = "`DEVICE_STATE`: the status does not allow it"),
    ), security(("session" = []), ("apiToken" = ["devices:write"])))]
pub(crate) async fn patch(
    State(state): State<ControlPlane>,
    Allowed(by, _): Allowed<Operate, DevicesWrite>,
    Segment(id): Segment,
    JsonFields(mut fields): JsonFields,
) -> Outcome<Json<Decided>> {
    if !fields.has("site") && !fields.has("maintenance") {
        fields.problem("maintenance", "or site must be there");
    }
    let change = DeviceChange {
        site: fields.parsed("site"),
        maintenance: fields.boolean("maintenance").map(|is_set_aside| match is_set_aside {
            true => Maintenance::Enter,
            false => Maintenance::Leave,
        }),
    };
    fields.refuse_unknown();
    fields.finish()?;
    decided(state.authority.change_device(&by, named(&id, "device")?, change).await?)
}

/// The certificates of a device, newest first.
#[utoipa::path(get, path = "/api/v1/devices/{id}/certificates", tag = "devices",
    operation_id = "listDeviceCertificates",
    params(("id" = uuid::Uuid, Path, description = "device id")),
    responses((status = 200, body = CertificateList)), security(("session" = []), ("apiToken" = ["certificates:read"])))]
pub(crate) async fn certificates(
    State(state): State<ControlPlane>,
    Allowed(by, _): Allowed<View, CertificatesRead>,
    Segment(id): Segment,
) -> Outcome<Json<CertificateList>> {
    let rows = state.authority.device_certificates(&by, named(&id, "device")?).await?;
    Ok(Json(CertificateList { certificates: rows.iter().map(wire_certificate).collect(), next_cursor: None }))
}

async fn wire_devices(state: &ControlPlane, rows: Vec<DeviceRow>) -> Outcome<Vec<DeviceBody>> {
    let mut shown =
        state.authority.shown_certificates(&rows).await.map_err(|error| Failure::internal(&error))?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let certificate = shown.remove(&row.id);
            let trust_bundle = row.reported.trust_bundle.map(|bundle| TrustBundleBody {
                sha256: bundle.sha256,
                current: state.authority.is_current_bundle(&bundle),
                reported_at: bundle.at,
            });
            DeviceBody { trust_bundle, ..wire_device(row, certificate) }
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
        trust_bundle: None,
    }
}
