//! GET and POST `/sites`, GET, PATCH and DELETE `/sites/:id`.

use axum::Json;
use axum::extract::State;
use countersign_api::ErrorBody;
use countersign_api::wire::sites::{CreateSiteRequest, SiteBody, SiteList, SitePatch};
use countersign_authority::sites::{ListedSite, WantedSite};
use countersign_authority::{Administer, View};
use http::StatusCode;

use crate::failure::{Failure, Outcome};
use crate::request::{Allowed, JsonFields, QueryFields, Segment, named};
use crate::scopes::{SitesRead, SitesWrite};
use crate::state::ControlPlane;

/// The sites of a tenant, or all that the caller sees.
#[utoipa::path(get, path = "/api/v1/sites", tag = "sites", operation_id = "listSites",
    params(("tenant" = Option<String>, Query, description = "slug or id; every tenant when absent")),
    responses(
        (status = 200, body = SiteList),
        (status = 404, body = ErrorBody, description = "There is no such tenant"),
    ), security(("session" = []), ("apiToken" = ["sites:read"])))]
pub(crate) async fn list(
    State(state): State<ControlPlane>,
    Allowed(by, _): Allowed<View, SitesRead>,
    QueryFields(mut fields): QueryFields,
) -> Outcome<Json<SiteList>> {
    let tenant = fields.text("tenant", 64);
    fields.refuse_unknown();
    fields.finish()?;
    let sites = state.authority.list_sites(&by, tenant.as_deref()).await?;
    Ok(Json(SiteList { sites: sites.into_iter().map(wire_site).collect() }))
}

/// Makes a site.
#[utoipa::path(post, path = "/api/v1/sites", tag = "sites", operation_id = "createSite",
    request_body = CreateSiteRequest,
    responses(
        (status = 201, body = SiteBody),
        (status = 404, body = ErrorBody, description = "There is no such tenant"),
        (status = 409, body = ErrorBody, description = "`SITE_TAKEN`"),
    ), security(("session" = []), ("apiToken" = ["sites:write"])))]
pub(crate) async fn create(
    State(state): State<ControlPlane>,
    Allowed(by, _): Allowed<Administer, SitesWrite>,
    JsonFields(mut fields): JsonFields,
) -> Outcome<(StatusCode, Json<SiteBody>)> {
    let tenant = fields.text("tenant", 64);
    let slug = fields.required_parsed("slug");
    let name = fields.required_text("name", 255);
    fields.refuse_unknown();
    fields.finish()?;
    let slug = slug.ok_or_else(|| Failure::invalid_field("slug", "is required"))?;
    let site = state.authority.create_site(&by, WantedSite { tenant, slug, name }).await?;
    Ok((StatusCode::CREATED, Json(wire_site(site))))
}

/// One site.
#[utoipa::path(get, path = "/api/v1/sites/{id}", tag = "sites", operation_id = "getSite",
    params(("id" = uuid::Uuid, Path, description = "site id")),
    responses((status = 200, body = SiteBody)),
    security(("session" = []), ("apiToken" = ["sites:read"])))]
pub(crate) async fn get(
    State(state): State<ControlPlane>,
    Allowed(by, _): Allowed<View, SitesRead>,
    Segment(id): Segment,
) -> Outcome<Json<SiteBody>> {
    Ok(Json(wire_site(state.authority.site(&by, named(&id, "site")?).await?)))
}

/// Gives a site another name for people; its short name stays.
#[utoipa::path(patch, path = "/api/v1/sites/{id}", tag = "sites", operation_id = "patchSite",
    params(("id" = uuid::Uuid, Path, description = "site id")), request_body = SitePatch,
    responses((status = 200, body = SiteBody)),
    security(("session" = []), ("apiToken" = ["sites:write"])))]
pub(crate) async fn patch(
    State(state): State<ControlPlane>,
    Allowed(by, _): Allowed<Administer, SitesWrite>,
    Segment(id): Segment,
    JsonFields(mut fields): JsonFields,
) -> Outcome<Json<SiteBody>> {
    let name = fields.required_text("name", 255);
    fields.refuse_unknown();
    fields.finish()?;
    Ok(Json(wire_site(state.authority.rename_site(&by, named(&id, "site")?, name).await?)))
}

/// Deletes a site that no device and no enrolment key uses any more.
#[utoipa::path(delete, path = "/api/v1/sites/{id}", tag = "sites", operation_id = "deleteSite",
    params(("id" = uuid::Uuid, Path, description = "site id")),
    responses(
        (status = 204),
        (status = 409, body = ErrorBody, description = "`SITE_IN_USE`: `state` says by `devices`, by \
            `enrollment_keys`, or that it is the `default` one"),
    ), security(("session" = []), ("apiToken" = ["sites:write"])))]
pub(crate) async fn delete(
    State(state): State<ControlPlane>,
    Allowed(by, _): Allowed<Administer, SitesWrite>,
    Segment(id): Segment,
) -> Outcome<StatusCode> {
    state.authority.delete_site(&by, named(&id, "site")?).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn wire_site(listed: ListedSite) -> SiteBody {
    let site = listed.site;
    SiteBody { id: site.id, tenant: listed.tenant_slug, slug: site.slug, name: site.name }
}
