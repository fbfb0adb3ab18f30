//! The rotation of a CA: GET and POST `/cas/:name/rotation`, and a POST for each further step.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use countersign_api::ErrorBody;
use countersign_api::wire::rotation::{
    ActivateRotationRequest, AdoptionBody, CaDeviceBody, CanaryRequest, InUseBody, PrepareRotationRequest,
    RenewalCallBody, RetireRotationRequest, RollBackRotationRequest, RotationBody, RotationChanged,
    RotationStatusBody,
};
use countersign_authority::publish::Applied;
use countersign_authority::rotation::adoption::{DependentDevice, Gate, RotationStatus};
use countersign_authority::rotation::refused::InUse;
use countersign_authority::rotation::{Canary, RenewalCall, Stragglers};
use countersign_authority::{Authorized, Own, View};
use countersign_core::ids::CaName;
use http::StatusCode;

use crate::admin::lists::{cursor, page_size};
use crate::admin::quarantine::wire_applied;
use crate::failure::{Failure, Outcome};
use crate::fields::Fields;
use crate::request::{Allowed, JsonFields, QueryFields, Segment, named};
use crate::scopes::{CasRead, CasWrite};
use crate::state::ControlPlane;

const DAY: u64 = 86_400;

/// How far a rotation is, what is missing for its next step, and one page of the devices with a live
/// certificate of the CA in the path. Not for whoever is bound to a tenant.
#[utoipa::path(get, path = "/api/v1/cas/{id}/rotation", tag = "cas", operation_id = "getCaRotation",
    params(
        ("id" = String, Path, description = "the CA's name; either of the two"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 500, description = "100 when absent"),
        ("cursor" = Option<String>, Query, description = "nextCursor of the page before"),
    ),
    responses(
        (status = 200, body = RotationStatusBody),
        (status = 404, body = ErrorBody, description = "There is no such CA, or no rotation of it was begun"),
    ), security(("session" = []), ("apiToken" = ["cas:read"])))]
pub(crate) async fn status(
    State(state): State<ControlPlane>,
    Allowed(by, _): Allowed<View, CasRead>,
    Segment(name): Segment,
    QueryFields(mut fields): QueryFields,
) -> Outcome<Json<RotationStatusBody>> {
    let (limit, after) = (page_size(&mut fields), cursor(&mut fields));
    fields.refuse_unknown();
    fields.finish()?;
    let name: CaName = named(&name, "CA")?;
    let status = state.authority.rotation_status(&by, &name).await?;
    let page = state.authority.devices_of_ca(&by, &name, (after, limit)).await?;
    Ok(Json(RotationStatusBody {
        rotation: wire_rotation(status),
        devices: page.devices.into_iter().map(wire_device).collect(),
        next_cursor: page.next.map(|cursor| cursor.to_string()),
    }))
}

/// Begins a rotation: makes a CA like this one with a fresh key, which every edge trusts from then on, or
/// takes the prepared CA that `to` names. Not for whoever is bound to a tenant.
#[utoipa::path(post, path = "/api/v1/cas/{id}/rotation", tag = "cas", operation_id = "prepareCaRotation",
    params(("id" = String, Path, description = "the CA's name")), request_body = PrepareRotationRequest,
    responses(
        (status = 201, body = RotationChanged),
        (status = 404, body = ErrorBody, description = "There is no such CA, or none that `to` names"),
        (status = 409, body = ErrorBody,
            description = "`ROTATION_STATE`: it cannot be rotated, or not to that CA, or is already; `CA_UNAVAILABLE`: the CA above cannot sign"),
    ), security(("session" = []), ("apiToken" = ["cas:write"])))]
pub(crate) async fn prepare(
    State(state): State<ControlPlane>,
    Allowed(by, _): Allowed<Own, CasWrite>,
    Segment(name): Segment,
    JsonFields(mut fields): JsonFields,
) -> Outcome<Response> {
    let to = fields.text("to", 63);
    fields.refuse_unknown();
    fields.finish()?;
    let to: Option<CaName> = to.map(|to| named(&to, "CA")).transpose()?;
    let name = named(&name, "CA")?;
    let (name, applied) = state.authority.prepare_rotation(&by, &name, to.as_ref()).await?;
    Ok((StatusCode::CREATED, changed(&state, &by, &name, applied).await?).into_response())
}

/// Lets some devices get certificates of the new CA before all do: exactly one of `tenant`, `devices` and
/// `percent`. Not for whoever is bound to a tenant.
#[utoipa::path(post, path = "/api/v1/cas/{id}/rotation/canary", tag = "cas", operation_id = "chooseCaCanary",
    params(("id" = String, Path, description = "the CA's name; either of the two")),
    request_body = CanaryRequest,
    responses(
        (status = 200, body = RotationChanged),
        (status = 404, body = ErrorBody,
            description = "There is no such CA or tenant, or no rotation of it was begun"),
        (status = 409, body = ErrorBody,
            description = "`ROTATION_STATE`: not at this step; `ADOPTION_INCOMPLETE`: not every edge trusts the new CA"),
    ), security(("session" = []), ("apiToken" = ["cas:write"])))]
pub(crate) async fn canary(
    State(state): State<ControlPlane>,
    Allowed(by, _): Allowed<Own, CasWrite>,
    Segment(name): Segment,
    JsonFields(mut fields): JsonFields,
) -> Outcome<Json<RotationChanged>> {
    let renewal = renewal(&mut fields);
    let wanted = wanted_canary(&mut fields);
    fields.refuse_unknown();
    fields.finish()?;
    let canary = match wanted {
        Some(Wanted::Canary(canary)) => canary,
        Some(Wanted::Tenant(tenant)) => Canary::Tenant(state.authority.find_tenant(&by, &tenant).await?.slug),
        None => return Err(Failure::invalid_field("tenant", ONE_OF)),
    };
    let name = named(&name, "CA")?;
    let applied = state.authority.choose_canary(&by, &name, canary, renewal).await?;
    changed(&state, &by, &name, applied).await
}

const ONE_OF: &str = "name exactly one of tenant, devices and percent";

enum Wanted {
    Tenant(String),
    Canary(Canary),
}

fn wanted_canary(fields: &mut Fields) -> Option<Wanted> {
    let named = ["tenant", "devices", "percent"].into_iter().filter(|way| fields.has(way)).count();
    if named != 1 {
        fields.problem("tenant", ONE_OF);
        for way in ["tenant", "devices", "percent"] {
            let _ignored = fields.take(way);
        }
        return None;
    }
    if let Some(tenant) = fields.text("tenant", 64) {
        return Some(Wanted::Tenant(tenant));
    }
    let devices = fields.number("devices", 1..=i64::from(Canary::MOST_DEVICES));
    let percent = fields.number("percent", 1..=99);
    let devices = devices.and_then(|count| Canary::devices(u32::try_from(count).ok()?).ok());
    let percent = percent.and_then(|percent| Canary::percent(u8::try_from(percent).ok()?).ok());
    devices.or(percent).map(Wanted::Canary)
}

/// Lets the new CA sign for all, once what was measured allows it. Not for whoever is bound to a tenant.
#[utoipa::path(post, path = "/api/v1/cas/{id}/rotation/activate", tag = "cas",
    operation_id = "activateCaRotation",
    params(("id" = String, Path, description = "the CA's name; either of the two")),
    request_body = ActivateRotationRequest,
    responses(
        (status = 200, body = RotationChanged),
        (status = 404, body = ErrorBody, description = "There is no such CA, or no rotation of it was begun"),
        (status = 409, body = ErrorBody,
            description = "`ROTATION_STATE`: not at this step; `ADOPTION_INCOMPLETE`: the sentence says who does not follow; `CA_UNAVAILABLE`"),
    ), security(("session" = []), ("apiToken" = ["cas:write"])))]
pub(crate) async fn activate(
    State(state): State<ControlPlane>,
    Allowed(by, _): Allowed<Own, CasWrite>,
    Segment(name): Segment,
    JsonFields(mut fields): JsonFields,
) -> Outcome<Json<RotationChanged>> {
    let mut gate = Gate::default();
    if let Some(percent) = fields.number("adoptionPercent", 0..=100) {
        gate.percent = u8::try_from(percent).unwrap_or(gate.percent);
    }
    if let Some(days) = fields.number("seenWithinDays", 1..=3650) {
        gate.seen_within = Duration::from_secs(u64::try_from(days).unwrap_or_default() * DAY);
    }
    gate.stragglers = stragglers(&mut fields, "dangerSkipAdoption");
    let renewal = renewal(&mut fields);
    fields.refuse_unknown();
    fields.finish()?;
    let name = named(&name, "CA")?;
    let applied = state.authority.activate_rotation(&by, &name, gate, renewal).await?;
    changed(&state, &by, &name, applied).await
}

/// Trusts the old CA no more, once nothing depends on it. Not for whoever is bound to a tenant.
#[utoipa::path(post, path = "/api/v1/cas/{id}/rotation/retire", tag = "cas", operation_id = "retireRotatedCa",
    params(("id" = String, Path, description = "the CA's name; either of the two")),
    request_body = RetireRotationRequest,
    responses(
        (status = 200, body = RotationChanged),
        (status = 404, body = ErrorBody, description = "There is no such CA, or no rotation of it was begun"),
        (status = 409, body = ErrorBody,
            description = "`ROTATION_STATE`: not at this step; `CA_IN_USE`: the sentence says by whom"),
    ), security(("session" = []), ("apiToken" = ["cas:write"])))]
pub(crate) async fn retire(
    State(state): State<ControlPlane>,
    Allowed(by, _): Allowed<Own, CasWrite>,
    Segment(name): Segment,
    JsonFields(mut fields): JsonFields,
) -> Outcome<Json<RotationChanged>> {
    let stragglers = stragglers(&mut fields, "dangerStrandDependents");
    fields.refuse_unknown();
    fields.finish()?;
    let name = named(&name, "CA")?;
    let applied = state.authority.retire_rotated(&by, &name, stragglers).await?;
    changed(&state, &by, &name, applied).await
}

/// Takes the last step back. Not for whoever is bound to a tenant.
#[utoipa::path(post, path = "/api/v1/cas/{id}/rotation/rollback", tag = "cas",
    operation_id = "rollBackCaRotation",
    params(("id" = String, Path, description = "the CA's name; either of the two")),
    request_body = RollBackRotationRequest,
    responses(
        (status = 200, body = RotationChanged),
        (status = 404, body = ErrorBody, description = "There is no such CA, or no rotation of it was begun"),
        (status = 409, body = ErrorBody,
            description = "`ROTATION_STATE`: it is over; `CA_IN_USE`: the new CA cannot be withdrawn; `CA_UNAVAILABLE`"),
    ), security(("session" = []), ("apiToken" = ["cas:write"])))]
pub(crate) async fn roll_back(
    State(state): State<ControlPlane>,
    Allowed(by, _): Allowed<Own, CasWrite>,
    Segment(name): Segment,
    JsonFields(mut fields): JsonFields,
) -> Outcome<Json<RotationChanged>> {
    let renewal = renewal(&mut fields);
    fields.refuse_unknown();
    fields.finish()?;
    let name = named(&name, "CA")?;
    let applied = state.authority.roll_back_rotation(&by, &name, renewal).await?;
    changed(&state, &by, &name, applied).await
}

fn renewal(fields: &mut Fields) -> Option<Duration> {
    let longest = i64::try_from(RenewalCall::LONGEST.as_secs()).unwrap_or(i64::MAX);
    let seconds = fields.number("renewWithinSeconds", 0..=longest)?;
    Some(Duration::from_secs(u64::try_from(seconds).unwrap_or_default()))
}

fn stragglers(fields: &mut Fields, name: &str) -> Stragglers {
    if fields.boolean(name) == Some(true) { Stragglers::DangerStranded } else { Stragglers::Kept }
}

/// What a step answers.
async fn changed(
    state: &ControlPlane,
    by: &Authorized<Own>,
    name: &CaName,
    applied: Applied,
) -> Outcome<Json<RotationChanged>> {
    let status = state.authority.rotation_status(by, name).await?;
    Ok(Json(RotationChanged { rotation: wire_rotation(status), applied_edges: wire_applied(applied) }))
}

fn wire_rotation(status: RotationStatus) -> RotationBody {
    let devices = status.adoption.devices;
    RotationBody {
        old: status.old,
        new: status.new,
        step: status.step.as_str().to_owned(),
        canary: status.canary.map(|canary| canary.to_string()),
        prepared_at: status.prepared_at,
        activated_at: status.activated_at,
        ended_at: status.ended_at,
        renewal: status.renewal.map(|call| RenewalCallBody { from: call.from, until: call.from + call.over }),
        adoption: AdoptionBody {
            edges: wire_applied(status.adoption.edges),
            epoch: status.adoption.epoch,
            measure: devices.measure.as_str().to_owned(),
            devices_adopted: devices.adopted,
            devices_total: devices.total,
            seen_within_days: devices.seen_within.as_secs() / DAY,
        },
        missing: status.missing,
        at_old: wire_in_use(status.old_in_use),
        at_new: wire_in_use(status.new_in_use),
    }
}

fn wire_in_use(in_use: Option<InUse>) -> InUseBody {
    let Some(in_use) = in_use else { return InUseBody::default() };
    InUseBody {
        active: in_use.certificates.active,
        pending: in_use.certificates.pending,
        superseded: in_use.certificates.superseded,
        services: in_use.certificates.services,
        service_names: in_use.services,
        being_signed: in_use.certificates.unrecorded,
        doors: in_use.doors,
        cas: in_use.cas,
    }
}

fn wire_device(device: DependentDevice) -> CaDeviceBody {
    CaDeviceBody {
        id: device.id,
        tenant: device.tenant,
        name: device.name,
        status: device.status.as_str().to_owned(),
        last_seen_at: device.last_seen_at,
        certificate_state: device.state.as_str().to_owned(),
        expires_at: device.expires_at,
    }
}
