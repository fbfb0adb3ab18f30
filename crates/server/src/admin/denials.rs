//! What denied devices left behind: GET `/denied-keys`, DELETE `/denied-keys/:spkiSha256`, DELETE
//! `/denied-traits`.

use axum::Json;
use axum::extract::State;
use countersign_api::ErrorBody;
use countersign_api::wire::agent::Success;
use countersign_api::wire::fleet::{DeniedKey, DeniedKeyLifted, DeniedKeyList, DeniedTrait};
use countersign_api::wire::schema;
use countersign_authority::denials::{DeniedKeyFilter, DeniedTraitRow, ListedDeniedKey, TraitKind};
use countersign_authority::{Administer, View};

use crate::admin::lists::{self, cursor, page_size};
use crate::admin::quarantine::wire_applied;
use crate::failure::{Failure, Outcome};
use crate::request::{Allowed, QueryFields, Segment, named};
use crate::scopes::{DevicesRead, DevicesWrite};
use crate::state::ControlPlane;

/// One page of the denied keys, latest first; with the first page the denied host names and hardware
/// serials.
#[utoipa::path(get, path = "/api/v1/denied-keys", tag = "quarantine", operation_id = "listDeniedKeys",
    params(
        ("tenant" = Option<String>, Query, description = "slug or id"),
        ("deviceId" = Option<uuid::Uuid>, Query, description = "of the device that was denied"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 500, description = "100 when absent"),
        ("cursor" = Option<String>, Query, description = "nextCursor of the page before"),
    ),
    responses(
        (status = 200, body = DeniedKeyList),
        (status = 404, body = ErrorBody, description = "There is no such tenant"),
    ), security(("session" = []), ("apiToken" = ["devices:read"])))]
pub(crate) async fn list(
    State(state): State<ControlPlane>,
    Allowed(by, _): Allowed<View, DevicesRead>,
    QueryFields(mut fields): QueryFields,
) -> Outcome<Json<DeniedKeyList>> {
    let tenant = lists::tenant(&mut fields);
    let mut filter = DeniedKeyFilter {
        tenant: None,
        device: fields.parsed("deviceId"),
        limit: page_size(&mut fields),
        after: cursor(&mut fields),
    };
    filter.tenant = lists::read_whole(fields, &state, &by, tenant).await?.map(|tenant| tenant.id);
    let traits = if filter.after.is_none() && filter.device.is_none() {
        state.authority.denied_traits(&by, filter.tenant).await?
    } else {
        Vec::new()
    };
    let page = state.authority.denied_keys(&by, filter).await?;
    Ok(Json(DeniedKeyList {
        denied_keys: page.keys.into_iter().map(wire_key).collect(),
        denied_traits: traits.into_iter().map(wire_trait).collect(),
        next_cursor: page.next.map(|cursor| cursor.to_string()),
    }))
}

/// Denies a key no more. The device stays decommissioned, and a revoked certificate's key stays refused.
#[utoipa::path(delete, path = "/api/v1/denied-keys/{id}", tag = "quarantine", operation_id = "deleteDeniedKey",
    params(("id" = schema::Sha256, Path, description = "SHA-256 of the key's SubjectPublicKeyInfo, hex")),
    responses((status = 200, body = DeniedKeyLifted)), security(("session" = []), ("apiToken" = ["devices:write"])))]
pub(crate) async fn lift_key(
    State(state): State<ControlPlane>,
    Allowed(by, _): Allowed<Administer, DevicesWrite>,
    Segment(id): Segment,
) -> Outcome<Json<DeniedKeyLifted>> {
    let lifted = state.authority.lift_denied_key(&by, named(&id, "denied key")?).await?;
    Ok(Json(DeniedKeyLifted {
        success: true,
        still_refused: lifted.is_revoked,
        applied_edges: wire_applied(lifted.applied),
    }))
}

/// Holds a host name or a hardware serial against new devices of its tenant no more.
#[utoipa::path(delete, path = "/api/v1/denied-traits", tag = "quarantine", operation_id = "deleteDeniedTrait",
    params(
        ("tenant" = String, Query, description = "slug or id"),
        ("kind" = schema::TraitKind, Query),
        ("value" = String, Query, description = "in any case", max_length = 255),
    ),
    responses(
        (status = 200, body = Success),
        (status = 404, body = ErrorBody, description = "There is no such tenant, or no such trait denied"),
    ), security(("session" = []), ("apiToken" = ["devices:write"])))]
pub(crate) async fn lift_trait(
    State(state): State<ControlPlane>,
    Allowed(by, _): Allowed<Administer, DevicesWrite>,
    QueryFields(mut fields): QueryFields,
) -> Outcome<Json<Success>> {
    let tenant = fields.required_text("tenant", 64);
    let kind = fields.read("kind", |text| {
        text.parse::<TraitKind>().map_err(|_unknown| "must be hostname or hardware_serial")
    });
    if kind.is_none() {
        fields.problem("kind", "must be hostname or hardware_serial");
    }
    let value = fields.required_text("value", 255);
    fields.refuse_unknown();
    fields.finish()?;
    let kind = kind.ok_or_else(|| Failure::not_found("denied trait"))?;
    let tenant = state.authority.find_tenant(&by, &tenant).await?;
    state.authority.lift_denied_trait(&by, tenant, kind, value).await?;
    Ok(Json(Success { success: true }))
}

fn wire_key(key: ListedDeniedKey) -> DeniedKey {
    DeniedKey {
        spki_sha256: key.spki,
        tenant: key.tenant,
        device_id: key.device,
        device_name: key.device_name,
        denied_at: key.at,
    }
}

fn wire_trait(row: DeniedTraitRow) -> DeniedTrait {
    DeniedTrait { tenant: row.tenant, kind: row.kind.as_str().to_owned(), value: row.value }
}
