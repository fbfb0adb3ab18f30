//! GET `/console/quarantine`: the devices that wait for a decision, with what there is to decide by.

use std::collections::HashMap;

use axum::extract::State;
use axum::response::Response;
use countersign_authority::devices::{CertificateRow, DeviceRow};
use countersign_authority::{Operate, View};
use countersign_core::ids::{DeviceId, SpkiSha256};
use maud::{Markup, html};

use crate::console::icons::Icon;
use crate::console::layout::{live, page};
use crate::console::parts::{ago, ago_or, empty, every_device, head, pill, short};
use crate::console::visit::Visit;
use crate::console::words::{count, quarantine_reason};
use crate::failure::{Failure, Outcome};
use crate::state::ControlPlane;

/// How many are on the page; the rest follows as these are decided about.
const ON_A_PAGE: usize = 100;

/// The queue.
pub(in crate::console) async fn queue(State(state): State<ControlPlane>, visit: Visit) -> Outcome<Response> {
    let by = visit.may::<View>()?;
    let internal = |error| Failure::internal(&error);
    let mut rows = state.authority.quarantined_devices(&by).await.map_err(internal)?;
    rows.retain(|row| visit.tenant_id().is_none_or(|tenant| row.tenant == tenant));
    let further = rows.len().saturating_sub(ON_A_PAGE);
    rows.truncate(ON_A_PAGE);
    let shown = state.authority.shown_certificates(&rows).await.map_err(internal)?;
    let line = "Refused at every door until somebody approves or denies them.";
    let body = html! {
        (head("Quarantine", line, html! {}))
        (live("queue", "devices", &html! {
            @if rows.is_empty() {
                div class="panel" {
                    (empty(
                        Icon::Quarantine,
                        "Nothing waits",
                        "Devices whose certificate expired under the policy “quarantine”, that lost their last \
                         certificate, or that need approval appear here.",
                        html! {},
                    ))
                }
            } @else {
                (table(&visit, &rows, &shown))
            }
            @if further > 0 {
                p class="soft" { (count(further as u64, "more device waits", "more devices wait")) ", older than these." }
            }
        }))
    };
    Ok(page(&visit, "Quarantine", &body))
}

fn table(visit: &Visit, rows: &[DeviceRow], shown: &HashMap<DeviceId, CertificateRow>) -> Markup {
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
                        th scope="col" { "Why, and since when" }
                        th scope="col" { "Last seen" }
                        th scope="col" { "Key" }
                        @if can_decide { th scope="col" { span class="spoken" { "Decide" } } }
                    }
                }
                tbody {
                    @for device in rows { (row(visit, device, shown.get(&device.id), can_decide)) }
                }
            }
            @if can_decide {
                div class="selected" {
                    span class="soft" data-counts="id" { "With the selected:" }
                    button name="act" value="approve" { "Approve…" }
                    button name="act" value="deny" { "Deny…" }
                }
            }
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
                p class="soft" {
                    @if visit.shows_tenants() { (device.tenant_slug) " · " }
                    (device.hostname) " · " (device.os_type)
                }
            }
            td data-label="Why" {
                @if let Some(reason) = &device.quarantined_reason { (quarantine_reason(reason)) }
                @if let Some(at) = device.quarantined_at { p class="soft" { (ago(visit.now, at)) } }
            }
            td data-label="Last seen" {
                (ago_or(visit.now, device.last_seen_at, "never"))
                @if let Some(address) = &device.last_ip { p class="soft" { code { (address) } } }
            }
            td data-label="Key" { (key(device, shown)) }
            @if can_decide {
                td class="decide" {
                    a class="button" href={ "/console/decide?act=approve&id=" (device.id) } {
                        "Approve" span class="spoken" { " " (device.name) }
                    }
                    a class="button" href={ "/console/decide?act=deny&id=" (device.id) } {
                        "Deny" span class="spoken" { " " (device.name) }
                    }
                }
            }
        }
    }
}

/// Which key an approval would be good for, and whether it is the one that the device had before.
pub(super) fn key(device: &DeviceRow, shown: Option<&CertificateRow>) -> Markup {
    let waiting = device.pending_key.as_deref().map(SpkiSha256::of);
    let before = shown.map(|certificate| certificate.spki);
    let (word, key) = match (waiting, before) {
        (Some(waiting), Some(before)) if waiting != before => (pill("warn", "another key"), Some(waiting)),
        (Some(waiting), None) => (pill("info", "first key"), Some(waiting)),
        (_, Some(before)) => (pill("good", "unchanged"), Some(before)),
        (None, None) => (pill("still", "none"), None),
    };
    html! {
        (word)
        @if let Some(key) = key { p class="soft" { (short(&key.to_string())) } }
    }
}
