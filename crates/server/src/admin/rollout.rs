//! The rollout of `enforce`: GET `/rollout`, GET `/rollout/blocked`, POST `/rollout/back`.

use std::collections::HashMap;

use axum::Json;
use axum::extract::State;
use countersign_api::ErrorBody;
use countersign_api::wire::fleet::{
    BlockedDeviceBody, BlockedList, RolledBack, RolloutReport, TenantRolloutBody, WouldBeBlocked,
};
use countersign_authority::rollout::{BlockedFilter, DAY, Rollout};
use countersign_authority::{Own, View};
use countersign_core::ids::TenantId;

use crate::admin::lists::{self, cursor, page_size};
use crate::admin::quarantine::wire_applied;
use crate::failure::{Failure, Outcome};
use crate::request::{Allowed, QueryFields};
use crate::scopes::{DevicesRead, SettingsWrite};
use crate::state::ControlPlane;

/// How far each tenant is from `enforce`, and how many devices it would refuse.
#[utoipa::path(get, path = "/api/v1/rollout", tag = "settings", operation_id = "getRollout",
    responses((status = 200, body = RolloutReport)), security(("session" = []), ("apiToken" = ["devices:read"])))]
pub(crate) async fn get(
    State(state): State<ControlPlane>,
    Allowed(by, _): Allowed<View, DevicesRead>,
) -> Outcome<Json<RolloutReport>> {
    let rollout = state.authority.rollout(&by).await.map_err(|error| Failure::internal(&error))?;
    Ok(Json(wire_rollout(&rollout)))
}

fn wire_rollout(rollout: &Rollout) -> RolloutReport {
    let mut blocked: HashMap<TenantId, WouldBeBlocked> = HashMap::new();
    for one in &rollout.would_refuse {
        let of_tenant = blocked.entry(one.tenant).or_default();
        if one.since_second > 0 {
            of_tenant.last24h.insert(one.code.clone(), one.since_second);
        }
        of_tenant.last7d.insert(one.code.clone(), one.since_first);
    }
    let tenant = |row: &countersign_authority::rollout::TenantRollout| TenantRolloutBody {
        would_be_blocked: blocked.remove(&row.tenant).unwrap_or_default(),
        id: row.tenant,
        tenant: row.slug.clone(),
        enforcement: row.enforcement,
        devices: row.devices,
        ready: row.ready,
        without_certificate: row.without_certificate,
        expiring: row.expiring,
    };
    RolloutReport { at: rollout.at, tenants: rollout.tenants.iter().map(tenant).collect() }
}

/// One page of the devices that `enforce`, or rules that are observed, would have refused, each with its
/// latest refusal; with `code=RULE_BLOCKED`, each with the latest rule.
#[utoipa::path(get, path = "/api/v1/rollout/blocked", tag = "settings", operation_id = "listWouldBeBlocked",
    params(
        ("tenant" = Option<String>, Query, description = "slug or id"),
        ("code" = Option<String>, Query, description = "the only code, such as `MTLS_REQUIRED`", max_length = 64),
        ("days" = Option<u32>, Query, minimum = 1, maximum = 7, description = "how far back; 7 when absent"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 500, description = "100 when absent"),
        ("cursor" = Option<String>, Query, description = "nextCursor of the page before"),
    ),
    responses(
        (status = 200, body = BlockedList),
        (status = 404, body = ErrorBody, description = "There is no such tenant"),
    ), security(("session" = []), ("apiToken" = ["devices:read"])))]
pub(crate) async fn blocked(
    State(state): State<ControlPlane>,
    Allowed(by, _): Allowed<View, DevicesRead>,
    QueryFields(mut fields): QueryFields,
) -> Outcome<Json<BlockedList>> {
    let tenant = lists::tenant(&mut fields);
    let days = fields.read("days", |text| match text.parse() {
        Ok(days @ 1..=7_u32) => Ok(days),
        Ok(_) | Err(_) => Err("must be a whole number from 1 to 7"),
    });
    let mut filter = BlockedFilter {
        tenant: None,
        code: fields.text("code", 64),
        since: state.authority.now() - DAY * days.unwrap_or(7),
        limit: page_size(&mut fields),
        after: cursor(&mut fields),
    };
    filter.tenant = lists::read_whole(fields, &state, &by, tenant).await?.map(|tenant| tenant.id);
    let page = state.authority.blocked_devices(&by, filter).await?;
    let device = |device: countersign_authority::rollout::BlockedDevice| BlockedDeviceBody {
        id: device.id,
        tenant: device.tenant,
        name: device.name,
        hostname: device.hostname,
        code: device.code,
        rule: device.rule,
        last_at: device.at,
    };
    Ok(Json(BlockedList {
        devices: page.devices.into_iter().map(device).collect(),
        next_cursor: page.next.map(|cursor| cursor.to_string()),
    }))
}

/// Takes every tenant back to `off`, at once.
#[utoipa::path(post, path = "/api/v1/rollout/back", tag = "settings", operation_id = "rollBack",
    responses((status = 200, body = RolledBack)), security(("session" = []), ("apiToken" = ["settings:write"])))]
pub(crate) async fn back(
    State(state): State<ControlPlane>,
    Allowed(by, _): Allowed<Own, SettingsWrite>,
) -> Outcome<Json<RolledBack>> {
    let (changed, applied) = state.authority.roll_back(&by).await?;
    Ok(Json(RolledBack { success: true, changed, applied_edges: wire_applied(applied) }))
}
