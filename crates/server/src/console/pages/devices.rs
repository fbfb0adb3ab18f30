//! GET `/console/devices`: every device, found by search and status, a page at a time.

use std::collections::HashMap;

use axum::extract::State;
use axum::response::Response;
use countersign_authority::devices::{CertificateRow, DeviceFilter, DeviceRow};
use countersign_authority::{Operate, View};
use countersign_core::device::DeviceStatus;
use countersign_core::ids::DeviceId;
use countersign_core::time::Timestamp;
use maud::{Markup, html};

use crate::admin::lists::cursor;
use crate::console::icons::Icon;
use crate::console::layout::{live, page};
use crate::console::parts::{ago_or, empty, every_device, head, pager, path_of, pill, status, until};
use crate::console::visit::Visit;
use crate::console::words::count;
use crate::failure::{Failure, Outcome};
use crate::fields::Fields;
use crate::request::QueryFields;
use crate::state::ControlPlane;

/// How many devices are on a page.
const ON_A_PAGE: u32 = 50;

/// What is looked for.
struct Wanted {
    text: Option<String>,
    status: Option<DeviceStatus>,
    site: Option<String>,
    is_first: bool,
}

/// The list.
pub(in crate::console) async fn list(
    State(state): State<ControlPlane>,
    visit: Visit,
    QueryFields(fields): QueryFields,
) -> Outcome<Response> {
    let by = visit.may::<View>()?;
    let (wanted, filter) = read(fields, &visit)?;
    let found = state.authority.list_devices(&by, filter).await?;
    let shown = state.authority.shown_certificates(&found.devices).await;
    let shown = shown.map_err(|error| Failure::internal(&error))?;
    let next = found.next.map(|next| wanted.path(Some(&next.to_string())));
    let first = (!wanted.is_first).then(|| wanted.path(None));
    let body = html! {
        (head("Devices", count(visit.glance.in_service(), "device in service", "devices in service"), actions(&visit)))
        (search(&wanted))
        (live("devices", "devices certificates", &html! {
            @if found.devices.is_empty() {
                (nothing(&visit, &wanted))
            } @else {
                (table(&visit, &found.devices, &shown))
            }
            (pager(first.as_deref(), next.as_deref()))
        }))
    };
    Ok(page(&visit, "Devices", &body))
}

fn read(mut fields: Fields, visit: &Visit) -> Outcome<(Wanted, DeviceFilter)> {
    let wanted = Wanted {
        text: fields.text("q", 255),
        status: fields.parsed("status"),
        site: fields.text("site", 64),
        is_first: !fields.has("cursor"),
    };
    let mut filter = DeviceFilter {
        text: wanted.text.clone(),
        status: wanted.status,
        tenant: visit.tenant_id(),
        site: None,
        limit: ON_A_PAGE,
        after: cursor(&mut fields),
    };
    fields.finish()?;
    if let Some(site) = &wanted.site {
        filter.site = Some(site.parse().map_err(|_unreadable| Failure::not_found("site"))?);
    }
    Ok((wanted, filter))
}

impl Wanted {
    /// The path of the list with what is looked for, from a place on.
    fn path(&self, cursor: Option<&str>) -> String {
        let status = self.status.map(DeviceStatus::as_str);
        let wanted = [
            ("q", self.text.as_deref()),
            ("status", status),
            ("site", self.site.as_deref()),
            ("cursor", cursor),
        ];
        path_of("/console/devices", &wanted)
    }

    const fn is_everything(&self) -> bool {
        self.text.is_none() && self.status.is_none() && self.site.is_none()
    }
}

fn actions(visit: &Visit) -> Markup {
    html! {
        @if visit.can::<Operate>() { a class="button primary" href="/console/keys/new" { "Enrol a device" } }
    }
}

fn search(wanted: &Wanted) -> Markup {
    html! {
        form class="search" method="get" action="/console/devices" role="search" {
            @if let Some(site) = &wanted.site { input type="hidden" name="site" value=(site); }
            div class="grow" {
                label class="spoken" for="q" { "Name or host name" }
                input id="q" name="q" type="search" value=[wanted.text.as_deref()] maxlength="255"
                    placeholder="Search by name or host name";
            }
            div {
                label class="spoken" for="status" { "Status" }
                select id="status" name="status" data-submits {
                    option value="" { "Every status" }
                    @for status in DeviceStatus::ALL {
                        option value=(status.as_str()) selected[wanted.status == Some(status)] { (status) }
                    }
                }
            }
            button { "Search" }
            @if !wanted.is_everything() { a class="button quiet" href="/console/devices" { "Clear" } }
        }
    }
}

fn nothing(visit: &Visit, wanted: &Wanted) -> Markup {
    let action = html! { a class="button" href="/console/devices" { "Show every device" } };
    html! {
        div class="panel" {
            @if wanted.is_everything() {
                (empty(
                    Icon::Devices,
                    "No device yet",
                    "A device appears here as soon as it has enrolled.",
                    actions(visit),
                ))
            } @else {
                (empty(Icon::Search, "Nothing found", "No device is like that.", action))
            }
        }
    }
}

fn table(visit: &Visit, devices: &[DeviceRow], shown: &HashMap<DeviceId, CertificateRow>) -> Markup {
    let can_decide = visit.can::<Operate>();
    html! {
        form class="panel flush" method="get" action="/console/decide" {
            table class="list stacks" {
                thead {
                    tr {
                        @if can_decide {
                            (every_device())
                        }
                        th scope="col" { "Device" }
                        th scope="col" { "Status" }
                        @if visit.shows_tenants() { th scope="col" { "Tenant" } }
                        th scope="col" { "Site" }
                        th scope="col" { "System" }
                        th scope="col" { "Certificate" }
                        th scope="col" { "Last seen" }
                    }
                }
                tbody {
                    @for device in devices { (row(visit, device, shown.get(&device.id), can_decide)) }
                }
            }
            @if can_decide { (decisions()) }
        }
    }
}

fn row(visit: &Visit, device: &DeviceRow, shown: Option<&CertificateRow>, can_decide: bool) -> Markup {
    html! {
        tr {
            @if can_decide {
                td class="tick" {
                    input type="checkbox" name="id" value=(device.id) aria-label={ "Select " (device.name) };
                }
            }
            td class="main" {
                a href={ "/console/devices/" (device.id) } { (device.name) }
                @if device.hostname != device.name.as_str() { p class="soft" { (device.hostname) } }
            }
            td data-label="Status" { (status(device.status)) }
            @if visit.shows_tenants() { td data-label="Tenant" { (device.tenant_slug) } }
            td data-label="Site" { (device.site_slug) }
            td data-label="System" { (device.os_type) }
            td data-label="Certificate" { (certificate(shown, visit.now)) }
            td data-label="Last seen" { (ago_or(visit.now, device.last_seen_at, "never")) }
        }
    }
}

/// How a device's certificate is, in a word and a time.
pub(super) fn certificate(shown: Option<&CertificateRow>, now: Timestamp) -> Markup {
    use countersign_core::certificate::CertificateState as S;
    let Some(row) = shown else { return html! { span class="soft" { "none" } } };
    let ends = until(now, row.lifetime.expires_at);
    match row.state {
        S::Active | S::PendingActivation if row.lifetime.is_expired(now) => {
            html! { (pill("warn", "expired")) " " span class="soft" { (ends) } }
        }
        S::Active if row.lifetime.renewal_due(now) => {
            html! { (pill("warn", "renewal due")) " " span class="soft" { "ends " (ends) } }
        }
        S::Active => html! { "ends " (ends) },
        S::PendingActivation => html! { (pill("info", "not used yet")) },
        S::Superseded => html! { (pill("still", "superseded")) },
        S::Revoked => html! { (pill("bad", "revoked")) },
        S::Expired => html! { (pill("warn", "expired")) " " span class="soft" { (ends) } },
    }
}

/// What can be done with those that are ticked. What it would mean is told before it is done.
fn decisions() -> Markup {
    html! {
        div class="selected" {
            span class="soft" data-counts="id" { "With the selected:" }
            button name="act" value="approve" { "Approve…" }
            button name="act" value="quarantine" { "Quarantine…" }
            button name="act" value="revoke" { "Revoke certificates…" }
            button name="act" value="decommission" { "Decommission…" }
        }
    }
}
