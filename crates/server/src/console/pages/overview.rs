//! GET `/console/`: how the fleet is, and what needs somebody.

use axum::extract::State;
use axum::response::Response;
use countersign_authority::audit::ChainScope;
use countersign_authority::cas::{CaFacts, IssuerRole, IssuerState, KeyAtHand};
use countersign_authority::devices::DeviceRow;
use countersign_authority::glance::{Glance, SPAN};
use countersign_authority::refusal_counts::{HOURS, RefusalCounts, hour_began};
use countersign_authority::{Operate, View};
use countersign_core::device::DeviceStatus;
use countersign_core::time::Timestamp;
use maud::{Markup, html};

use crate::console::chart::{Bar, Pair, Part, bars, beside, parts, spark};
use crate::console::icons::Icon;
use crate::console::layout::{live, page as framed};
use crate::console::parts::{ago, day, empty, head, moment, pill, until};
use crate::console::visit::Visit;
use crate::console::words::{count, number_of, quarantine_reason, refusal};
use crate::failure::{Failure, Outcome};
use crate::state::ControlPlane;

/// How many devices that wait are named here.
const NAMED: usize = 5;

/// How many codes are named here.
const CODES: usize = 8;

/// A CA that ends within this needs somebody.
const CA_SOON: u64 = 60 * 86_400;

/// The overview.
pub(in crate::console) async fn page(State(state): State<ControlPlane>, visit: Visit) -> Outcome<Response> {
    let by = visit.may::<View>()?;
    let glance = &*visit.glance;
    let waiting = waiting(&state, &visit).await?;
    let scope =
        visit.tenant.as_ref().map_or(ChainScope::All, |tenant| ChainScope::Tenant(tenant.slug.clone()));
    let refusals = state.authority.refusal_counts(&by, scope).await?;
    // What a door lets in is nobody's tenant alone.
    let admitted = match visit.tenant {
        None if visit.is_unbound() => Some(state.authority.admitted_by_hour(&by).await?),
        None | Some(_) => None,
    };
    let doors = refused(&refusals, admitted, visit.now);
    let subject = visit.tenant.as_ref().map_or("All tenants", |tenant| tenant.name.as_str());
    let body = html! {
        (head("Overview", subject, html! {}))
        @if glance.devices.iter().all(|(_, devices)| *devices == 0) {
            (live("fleet", "devices", &nobody(&visit)))
            div class="columns" {
                (live("refusals", "refusals", &doors))
                (live("cas", "cas", &cas(&state.authority.cas(), visit.now)))
            }
        } @else {
            (live("fleet", "devices certificates", &fleet(glance)))
            div class="columns" {
                div {
                    (live("decisions", "devices", &decisions(&visit, &waiting)))
                    (live("refusals", "refusals", &doors))
                }
                div {
                    (live("ending", "certificates", &ending(glance)))
                    (live("cas", "cas", &cas(&state.authority.cas(), visit.now)))
                }
            }
        }
    };
    Ok(framed(&visit, "Overview", &body))
}

async fn waiting(state: &ControlPlane, visit: &Visit) -> Outcome<Vec<DeviceRow>> {
    let by = visit.may::<View>()?;
    let mut rows =
        state.authority.quarantined_devices(&by).await.map_err(|error| Failure::internal(&error))?;
    rows.retain(|row| visit.tenant_id().is_none_or(|tenant| row.tenant == tenant));
    Ok(rows)
}

/// What to do first.
fn nobody(visit: &Visit) -> Markup {
    let action = html! {
        @if visit.can::<Operate>() {
            a class="button primary" href="/console/keys/new" { "Make an enrolment key" }
        }
    };
    html! {
        section class="panel" {
            (empty(
                Icon::Devices,
                "No device yet",
                "Make an enrolment key and run the command that comes with it on a device. It appears here as \
                 soon as it has enrolled.",
                action,
            ))
        }
    }
}

fn fleet(glance: &Glance) -> Markup {
    let part = |name, status: DeviceStatus, tone| Part {
        name,
        value: glance.of(status),
        tone,
        href: format!("/console/devices?status={status}"),
    };
    let shown = [
        part("Online", DeviceStatus::Online, "good"),
        part("Offline", DeviceStatus::Offline, "still"),
        part("Pending", DeviceStatus::Pending, "info"),
        part("Maintenance", DeviceStatus::Maintenance, "warn"),
        part("Quarantined", DeviceStatus::Quarantined, "bad"),
    ];
    let retired = glance.of(DeviceStatus::Decommissioned);
    html! {
        section class="panel" aria-labelledby="fleet-title" {
            div class="panel-head" {
                h2 id="fleet-title" { (count(glance.in_service(), "device", "devices")) " in service" }
                @if retired > 0 {
                    a class="soft" href="/console/devices?status=decommissioned" {
                        (number_of(retired)) " decommissioned"
                    }
                }
            }
            (parts("Devices by status", &shown))
        }
    }
}

fn decisions(visit: &Visit, waiting: &[DeviceRow]) -> Markup {
    html! {
        section class="panel" aria-labelledby="decisions-title" {
            div class="panel-head" {
                h2 id="decisions-title" { "Needs a decision" }
                @if !waiting.is_empty() { a href="/console/quarantine" { "The whole queue" } }
            }
            @if waiting.is_empty() {
                p class="calm" { "Nothing waits. Devices that are refused until somebody decides appear here." }
            }
            ul class="rows" {
                @for device in waiting.iter().take(NAMED) {
                    li {
                        div {
                            a href={ "/console/devices/" (device.id) } { strong { (device.name) } }
                            @if visit.shows_tenants() { span class="soft" { " " (device.tenant_slug) } }
                            p class="soft" {
                                @if let Some(reason) = &device.quarantined_reason { (quarantine_reason(reason)) }
                                @if let Some(at) = device.quarantined_at { ", " (ago(visit.now, at)) }
                            }
                        }
                        @if visit.can::<Operate>() {
                            div class="actions" {
                                a class="button" href={ "/console/decide?act=approve&id=" (device.id) } { "Approve" span class="spoken" { " " (device.name) } }
                                a class="button" href={ "/console/decide?act=deny&id=" (device.id) } { "Deny" span class="spoken" { " " (device.name) } }
                            }
                        }
                    }
                }
            }
            @if waiting.len() > NAMED {
                p { a href="/console/quarantine" { "and " (waiting.len() - NAMED) " more" } }
            }
        }
    }
}

fn ending(glance: &Glance) -> Markup {
    let bar = |(number, value): (usize, &u64)| {
        let begins = glance.at + SPAN * u32::try_from(number).unwrap_or(0);
        let tone = if number == 0 { "warn" } else { "" };
        Bar { label: day(begins).chars().skip(5).collect(), value: *value, tone }
    };
    let shown: Vec<Bar> = glance.ending.iter().enumerate().map(bar).collect();
    let soon = glance.ending.first().copied().unwrap_or(0);
    html! {
        section class="panel" aria-labelledby="ending-title" {
            div class="panel-head" {
                h2 id="ending-title" { "Certificates that end, by week" }
                span class="soft" { (number_of(soon)) " within 7 days" }
            }
            (bars("Certificates that end in each of the next thirteen weeks", ("Week from", "Certificates"), &shown))
        }
    }
}

/// What doors let in and what was refused, by hour, and why.
fn refused(refusals: &RefusalCounts, admitted: Option<[u64; HOURS]>, now: Timestamp) -> Markup {
    let mut hours = [0; HOURS];
    for one in &refusals.codes {
        for (sum, times) in hours.iter_mut().zip(one.hours) {
            *sum += times;
        }
    }
    let label = |hour| moment(hour_began(now, hour)).chars().skip(11).take(5).collect();
    let pairs: Vec<Pair> = admitted
        .into_iter()
        .flat_map(|admitted| admitted.into_iter().zip(hours).enumerate())
        .map(|(hour, values)| Pair { label: label(hour), values: values.into() })
        .collect();
    html! {
        section class="panel" aria-labelledby="refusals-title" {
            div class="panel-head" {
                h2 id="refusals-title" { "Admitted and refused in the last 24 hours" }
                @if refusals.is_cut { span class="soft" { "the newest of more" } }
                a href="/console/audit?event=access.refused" { "In the audit" }
            }
            @if !pairs.is_empty() {
                (beside("Handshakes that doors admitted, and refusals, by hour",
                    ("Hour from, UTC", ["Admitted", "Refused"]), &pairs))
            }
            @if refusals.codes.is_empty() {
                p class="calm" { "Nobody was refused." }
            } @else {
                table class="plain" {
                    thead {
                        tr {
                            th scope="col" { "Code" }
                            th scope="col" { "By hour" }
                            th scope="col" class="number" { "Times" }
                        }
                    }
                    tbody {
                        @for one in refusals.codes.iter().take(CODES) {
                            tr {
                                td { code { (one.code) } p class="soft" { (refusal(&one.code)) } }
                                td { (spark("Refusals by hour, the oldest first", &one.hours)) }
                                td class="number" { (number_of(one.sum())) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn cas(cas: &[CaFacts], now: Timestamp) -> Markup {
    let shown: Vec<&CaFacts> = cas.iter().filter(|ca| ca.state != IssuerState::Retired).collect();
    html! {
        section class="panel" aria-labelledby="cas-title" {
            div class="panel-head" {
                h2 id="cas-title" { "Certificate authorities" }
                a href="/console/cas" { "The tree" }
            }
            ul class="rows" {
                @for ca in shown {
                    li {
                        div {
                            strong { (ca.name) }
                            span class="soft" { " signs " (signs(ca.role)) }
                            p class="soft" {
                                @if let Some(at) = ca.expires_at { "ends " (until(now, at)) }
                                @if ca.key.at_hand == KeyAtHand::No { ", its key is " (ca.key.custody) }
                            }
                        }
                        (health(ca, now))
                    }
                }
            }
        }
    }
}

/// What a CA signs.
const fn signs(role: IssuerRole) -> &'static str {
    match role {
        IssuerRole::Root => "CAs",
        IssuerRole::Device => "devices",
        IssuerRole::Service => "services",
        IssuerRole::Intermediate => "services and CAs",
    }
}

fn health(ca: &CaFacts, now: Timestamp) -> Markup {
    let left = ca.expires_at.map(|at| at.since(now).as_secs());
    match left {
        None | Some(0) => pill("bad", "ended"),
        Some(left) if left < CA_SOON => pill("warn", "ends soon"),
        Some(_) => match ca.key.at_hand {
            KeyAtHand::Yes => pill("good", "signs"),
            KeyAtHand::No => pill("still", "offline"),
        },
    }
}
