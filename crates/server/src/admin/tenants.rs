//! GET and POST `/tenants`, POST `/tenants/:id/suspend|resume`.

use axum::Json;
use axum::extract::State;
use countersign_api::ErrorBody;
use countersign_api::wire::admin::{CreateTenantRequest, Decided, TenantBody, TenantList};
use countersign_authority::tenants::TenantRow;
use countersign_authority::{Own, View};
use countersign_core::ids::Tenant;
use countersign_core::snapshot::TenantService;
use http::StatusCode;

use crate::admin::quarantine::decided;
use crate::failure::{Failure, Outcome};
use crate::request::{Allowed, JsonFields, Segment};
use crate::scopes::{TenantsRead, TenantsWrite};
use crate::state::ControlPlane;

/// The tenants that the caller may see.
#[utoipa::path(get, path = "/api/v1/tenants", tag = "tenants", operation_id = "listTenants",
    responses((status = 200, body = TenantList)),
    security(("session" = []), ("apiToken" = ["tenants:read"])))]
pub(crate) async fn list(
    State(state): State<ControlPlane>,
    Allowed(by, _): Allowed<View, TenantsRead>,
) -> Outcome<Json<TenantList>> {
    let tenants = state.authority.list_tenants(&by).await.map_err(|error| Failure::internal(&error))?;
    Ok(Json(TenantList { tenants: tenants.into_iter().map(wire_tenant).collect() }))
}

/// Makes a tenant.
#[utoipa::path(post, path = "/api/v1/tenants", tag = "tenants", operation_id = "createTenant",
    request_body = CreateTenantRequest,
    responses(
        (status = 201, body = TenantBody),
        (status = 409, body = ErrorBody, description = "`TENANT_TAKEN`"),
    ), security(("session" = []), ("apiToken" = ["tenants:write"])))]
pub(crate) async fn create(
    State(state): State<ControlPlane>,
    Allowed(by, _): Allowed<Own, TenantsWrite>,
    JsonFields(mut fields): JsonFields,
) -> Outcome<(StatusCode, Json<TenantBody>)> {
    let slug = fields.parsed::<Tenant>("slug");
    let name = fields.required_text("name", 255);
    fields.refuse_unknown();
    fields.finish()?;
    let slug = slug.ok_or_else(|| Failure::invalid_field("slug", "is required"))?;
    let tenant = state.authority.create_tenant(&by, slug, name).await?;
    Ok((StatusCode::CREATED, Json(wire_tenant(tenant))))
}

/// Stops serving the tenant's devices: nothing of theirs is let in, live connections are cut.
#[utoipa::path(post, path = "/api/v1/tenants/{id}/suspend", tag = "tenants", operation_id = "suspendTenant",
    params(("id" = String, Path, description = "tenant slug or id")),
    responses(
        (status = 200, body = Decided),
        (status = 409, body = ErrorBody, description = "`TENANT_STATE`: it is suspended already"),
    ), security(("session" = []), ("apiToken" = ["tenants:write"])))]
pub(crate) async fn suspend(
    State(state): State<ControlPlane>,
    Allowed(by, _): Allowed<Own, TenantsWrite>,
    Segment(id): Segment,
) -> Outcome<Json<Decided>> {
    decided(state.authority.set_tenant_service(&by, &id, TenantService::Suspended).await?)
}

/// Serves the tenant's devices again.
#[utoipa::path(post, path = "/api/v1/tenants/{id}/resume", tag = "tenants", operation_id = "resumeTenant",
    params(("id" = String, Path, description = "tenant slug or id")),
    responses(
        (status = 200, body = Decided),
        (status = 409, body = ErrorBody, description = "`TENANT_STATE`: it is not suspended"),
    ), security(("session" = []), ("apiToken" = ["tenants:write"])))]
pub(crate) async fn resume(
    State(state): State<ControlPlane>,
    Allowed(by, _): Allowed<Own, TenantsWrite>,
    Segment(id): Segment,
) -> Outcome<Json<Decided>> {
    decided(state.authority.set_tenant_service(&by, &id, TenantService::Running).await?)
}

fn wire_tenant(tenant: TenantRow) -> TenantBody {
    TenantBody { id: tenant.id, slug: tenant.slug, name: tenant.name, suspended_at: tenant.suspended_at }
}
