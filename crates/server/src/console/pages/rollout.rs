//! GET `/console/rollout`: whether it is safe to demand certificates now, and who would be blocked.

use std::collections::HashMap;

use axum::extract::State;
use axum::response::Response;
use countersign_authority::rollout::{BlockedFilter, BlockedPage, DAY, Rollout, TenantRollout};
use countersign_authority::settings::{Precondition, SettingsChange, SettingsTag};
use countersign_authority::tenants::TenantRow;
use countersign_authority::{Administer, View};
use countersign_core::ids::TenantId;
use countersign_core::settings::{Days, Enforcement, ExpiredCertPolicy, OverlapHours, Permission};
use http::StatusCode;
use maud::{Markup, html};

use crate::admin::lists::cursor;
use crate::console::flash::{Flash, Tone};
use crate::console::form::Form;
use crate::console::icons::Icon;
use crate::console::layout::{live, page as framed};
use crate::console::parts::{ago, empty, head, pager, pill};
use crate::console::visit::Visit;
use crate::console::words::{count, number_of, refusal};
use crate::failure::{Failure, Outcome};
use crate::request::{QueryFields, Segment};
use crate::state::ControlPlane;

/// How many devices are on a page.
const ON_A_PAGE: u32 = 50;

/// How far each tenant is, and who would be blocked.
pub(in crate::console) async fn page(
    State(state): State<ControlPlane>,
    visit: Visit,
    QueryFields(mut fields): QueryFields,
) -> Outcome<Response> {
    let by = visit.may::<View>()?;
    let is_first = !fields.has("cursor");
    let filter = BlockedFilter {
        tenant: visit.tenant_id(),
        code: fields.text("code", 64),
        since: visit.now - DAY * 7,
        limit: ON_A_PAGE,
        after: cursor(&mut fields),
    };
    fields.finish()?;
    let rollout = state.authority.rollout(&by).await.map_err(|error| Failure::internal(&error))?;
    let blocked = state.authority.blocked_devices(&by, filter).await?;
    let line = "Who has a certificate and uses it, and who would be refused under enforce.";
    let body = html! {
        (head("Rollout", line, html! {}))
        (live("tenants", "devices certificates administration", &tenants(&visit, &rollout)))
        (live("blocked", "devices refusals", &who(&visit, &blocked, is_first)))
    };
    Ok(framed(&visit, "Rollout", &body))
}

fn tenants(visit: &Visit, rollout: &Rollout) -> Markup {
    let mut would_block: HashMap<TenantId, (u64, u64)> = HashMap::new();
    for one in &rollout.would_refuse {
        let sums = would_block.entry(one.tenant).or_default();
        *sums = (sums.0 + one.since_first, sums.1 + one.since_second);
    }
    let is_chosen = |row: &&TenantRollout| visit.tenant_id().is_none_or(|tenant| row.tenant == tenant);
    let chosen = rollout.tenants.iter().filter(is_chosen);
    html! {
        div class="panel flush" {
            table class="list stacks" {
                thead {
                    tr {
                        th scope="col" { "Tenant" }
                        th scope="col" { "Enforcement" }
                        th scope="col" class="number" { "Devices" }
                        th scope="col" class="number" { "Ready" }
                        th scope="col" class="number" { "Without certificate" }
                        th scope="col" class="number" { "Blocked in 7 days" }
                        th scope="col" { "Safe to enforce?" }
                        th scope="col" { span class="spoken" { "Settings" } }
                    }
                }
                tbody {
                    @for row in chosen {
                        @let blocked = would_block.get(&row.tenant).copied().unwrap_or_default();
                        tr {
                            td class="main" { (row.slug) }
                            td data-label="Enforcement" { (enforcement(row.enforcement)) }
                            td data-label="Devices" class="number" { (number_of(row.devices)) }
                            td data-label="Ready" class="number" { (number_of(row.ready)) }
                            td data-label="Without certificate" class="number" { (number_of(row.without_certificate)) }
                            td data-label="Blocked in 7 days" class="number" { (number_of(blocked.0)) }
                            td data-label="Safe to enforce?" { (verdict(row, blocked.1)) }
                            td class="decide" {
                                a class="button" href={ "/console/settings/" (row.slug) } {
                                    @if visit.can::<Administer>() { "Change…" } @else { "Settings" }
                                    span class="spoken" { " of " (row.slug) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn enforcement(enforcement: Enforcement) -> Markup {
    match enforcement {
        Enforcement::Off => pill("still", "off"),
        Enforcement::Observe => pill("info", "observe"),
        Enforcement::Enforce => pill("good", "enforce"),
    }
}

/// What enforcing would do to a tenant today.
fn verdict(row: &TenantRollout, blocked_today: u64) -> Markup {
    let behind = row.devices.saturating_sub(row.ready);
    match row.enforcement {
        Enforcement::Enforce => html! { span class="soft" { "in force" } },
        _ if row.devices == 0 => html! { span class="soft" { "no device yet" } },
        Enforcement::Off => {
            html! { (pill("still", "not known")) p class="soft" { "Observe first: off records nothing." } }
        }
        Enforcement::Observe if blocked_today > 0 => {
            html! { (pill("bad", "no")) p class="soft" { (count(blocked_today, "device", "devices")) " would be refused today." } }
        }
        Enforcement::Observe if behind > 0 => {
            html! { (pill("warn", "not yet")) p class="soft" { (count(behind, "device was", "devices were")) " not seen with its certificate." } }
        }
        Enforcement::Observe => html! { (pill("good", "yes")) },
    }
}

fn who(visit: &Visit, page: &BlockedPage, is_first: bool) -> Markup {
    let next = page.next.map(|next| format!("/console/rollout?cursor={next}"));
    let first = (!is_first).then_some("/console/rollout");
    html! {
        section class="panel flush" aria-labelledby="blocked-title" {
            div class="panel-head inset" { h2 id="blocked-title" { "Devices that would be refused, of the last 7 days" } }
            @if page.devices.is_empty() {
                (empty(Icon::Rollout, "Nobody", "Under observe, whoever would be refused is listed here by name.", html! {}))
            } @else {
                table class="list stacks" {
                    thead {
                        tr {
                            th scope="col" { "Device" }
                            th scope="col" { "Why" }
                            th scope="col" { "When last" }
                        }
                    }
                    tbody {
                        @for device in &page.devices {
                            tr {
                                td class="main" {
                                    a href={ "/console/devices/" (device.id) } { (device.name) }
                                    p class="soft" {
                                        @if visit.shows_tenants() { (device.tenant) " · " }
                                        (device.hostname)
                                    }
                                }
                                td data-label="Why" {
                                    code { (device.code) }
                                    p class="soft" {
                                        @match &device.rule {
                                            Some(rule) => { "Rule " (rule) },
                                            None => (refusal(&device.code)),
                                        }
                                    }
                                }
                                td data-label="When last" { (ago(visit.now, device.at)) }
                            }
                        }
                    }
                }
            }
        }
        (pager(first, next.as_deref()))
    }
}

/// A tenant's certificate settings.
pub(in crate::console) async fn settings(
    State(state): State<ControlPlane>,
    visit: Visit,
    Segment(tenant): Segment,
) -> Outcome<Response> {
    let by = visit.may::<View>()?;
    let tenant = state.authority.find_tenant(&by, &tenant).await?;
    Ok(form(&visit, &tenant))
}

fn form(visit: &Visit, tenant: &TenantRow) -> Response {
    let settings = &tenant.settings;
    let is_fixed = !visit.can::<Administer>();
    let tag = SettingsTag::of(settings);
    let body = html! {
        (head(format!("Settings of {}", tenant.slug), &tenant.name, html! {}))
        form class="panel narrow" method="post" action={ "/console/settings/" (tenant.slug) } {
            (visit.csrf())
            input type="hidden" name="seen" value=(tag.as_str());
            fieldset disabled[is_fixed] {
                legend { "Enforcement" }
                @for (value, name, what) in modes() {
                    div class="field check" {
                        input id=(value) type="radio" name="enforcement" value=(value) checked[settings.enforcement == value];
                        label for=(value) { (name) }
                        p class="hint" { (what) }
                    }
                }
            }
            (lives(tenant, is_fixed))
            fieldset disabled[is_fixed] {
                legend { "What weakens it" }
                (weakness("allowServerGeneratedKeys", "The server may make a device’s key", settings.allow_server_generated_keys,
                    "For devices that cannot make one. The key travels once."))
                (weakness("allowBearerOnlyRenewal", "Renewal by bearer token alone", settings.allow_bearer_only_renewal,
                    "Whoever has the token gets a certificate. Each use is audited as weak."))
            }
            div class="actions" {
                @if !is_fixed { button class="primary" { "Save" } }
                a class="button quiet" href="/console/rollout" { "Back" }
            }
        }
    };
    framed(visit, "Settings", &body)
}

const fn modes() -> [(Enforcement, &'static str, &'static str); 3] {
    [
        (Enforcement::Off, "Off", "A certificate is not needed, and nothing is recorded."),
        (Enforcement::Observe, "Observe", "Not needed; who would be refused is recorded, by name."),
        (
            Enforcement::Enforce,
            "Enforce",
            "No certificate, no service: 403 MTLS_REQUIRED, from the moment of saving on.",
        ),
    ]
}

fn lives(tenant: &TenantRow, is_fixed: bool) -> Markup {
    let settings = &tenant.settings;
    let recovery = settings.recovery_window_days.map(|days| days.count().to_string()).unwrap_or_default();
    html! {
        fieldset disabled[is_fixed] {
            legend { "Certificates" }
            div class="fields" {
                div class="field" {
                    label for="lifetime" { "Lifetime in days" }
                    input id="lifetime" name="certLifetimeDays" type="number" min="1" max="365" required
                        value=(settings.cert_lifetime_days.count());
                    p class="hint" { "Renewed at two thirds of it." }
                }
                div class="field" {
                    label for="overlap" { "Overlap in hours" }
                    input id="overlap" name="renewalOverlapHours" type="number" min="0" max="720" required
                        value=(settings.renewal_overlap_hours.count());
                    p class="hint" { "How long open sessions of a replaced one last." }
                }
                div class="field" {
                    label for="recovery" { "Recovery in days" }
                    input id="recovery" name="recoveryWindowDays" type="number" min="1" max="365" value=(recovery)
                        placeholder="as the lifetime";
                    p class="hint" { "How long an expired one still proves its key." }
                }
            }
            div class="field" {
                label for="policy" { "When one has expired" }
                select id="policy" name="expiredCertPolicy" {
                    @for (policy, name) in [
                        (ExpiredCertPolicy::AutoReissue, "a new one, against proof of its key"),
                        (ExpiredCertPolicy::Quarantine, "quarantine, until somebody decides"),
                    ] {
                        option value=(policy) selected[settings.expired_cert_policy == policy] { (name) }
                    }
                }
            }
        }
    }
}

fn weakness(name: &str, label: &str, permission: Permission, hint: &str) -> Markup {
    html! {
        div class="field check" {
            input id=(name) name=(name) type="checkbox" checked[permission == Permission::Allowed];
            label for=(name) { (label) }
            p class="hint" { (hint) }
        }
    }
}

/// Changes a tenant's settings, if they are still those that were seen.
pub(in crate::console) async fn change_settings(
    State(state): State<ControlPlane>,
    visit: Visit,
    Segment(tenant): Segment,
    form: Form,
) -> Outcome<Response> {
    let by = visit.may::<Administer>()?;
    state.authority.find_tenant(&by, &tenant).await?;
    let change = read(&form)?;
    let seen = SettingsTag::seen(form.first("seen").unwrap_or_default());
    let changed =
        state.authority.change_settings(&by, &tenant, change, Precondition::Unchanged(vec![seen])).await;
    let flash = match changed {
        Ok(_) => Flash::new(Tone::Good, format!("The settings of {tenant} are in force.")),
        Err(error) => {
            let failure = Failure::from(error);
            if failure.status != StatusCode::PRECONDITION_FAILED {
                return Err(failure);
            }
            Flash::new(
                Tone::Bad,
                "Somebody else changed these settings meanwhile; nothing was saved. Look at them again.",
            )
        }
    };
    let tenant: String = form_urlencoded::byte_serialize(tenant.as_bytes()).collect();
    Ok(flash.then(&format!("/console/settings/{tenant}")))
}

fn read(form: &Form) -> Outcome<SettingsChange> {
    let boxes = ["allowServerGeneratedKeys", "allowBearerOnlyRenewal"];
    let mut fields = form.fields(&["seen", boxes[0], boxes[1]]);
    let days = |text: &str| {
        text.parse().ok().and_then(|days| Days::new(days).ok()).ok_or("must be a whole number from 1 to 365")
    };
    let hours = |text: &str| {
        text.parse()
            .ok()
            .and_then(|hours| OverlapHours::new(hours).ok())
            .ok_or("must be a whole number from 0 to 720")
    };
    let change = SettingsChange {
        cert_lifetime_days: fields.read("certLifetimeDays", days),
        expired_cert_policy: fields.parsed("expiredCertPolicy"),
        enforcement: fields.parsed("enforcement"),
        allow_server_generated_keys: Some(Permission::from(form.is_ticked(boxes[0]))),
        allow_bearer_only_renewal: Some(Permission::from(form.is_ticked(boxes[1]))),
        renewal_overlap_hours: fields.read("renewalOverlapHours", hours),
        recovery_window_days: Some(fields.read("recoveryWindowDays", days)),
    };
    fields.refuse_unknown();
    fields.finish()?;
    Ok(change)
}
