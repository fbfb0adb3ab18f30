//! GET `/console/devices/{id}`: everything about one device, and what can be done with it.

use axum::extract::State;
use axum::response::Response;
use countersign_authority::audit::{AuditFilter, AuditRecord};
use countersign_authority::commands::CommandRow;
use countersign_authority::devices::{CertificateRow, DeviceRow};
use countersign_authority::provisioning_tokens::ProvisioningTokenRow;
use countersign_authority::{Operate, View};
use countersign_core::certificate::CertificateState;
use countersign_core::command::{CommandKind, CommandState};
use countersign_core::device::{DeviceEvent, DeviceStatus};
use countersign_core::ids::DeviceId;
use countersign_core::time::Timestamp;
use maud::{Markup, html};

use super::provisioning;
use crate::console::flash::{Flash, Tone};
use crate::console::form::Form;
use crate::console::layout::{live, page as framed};
use crate::console::parts::{
    ago, ago_or, certificate_state, exactly, fact, head, pill, short, status, until,
};
use crate::console::visit::Visit;
use crate::console::words::{self, quarantine_reason};
use crate::failure::{Failure, Outcome};
use crate::request::{Segment, named};
use crate::state::ControlPlane;

/// How many certificates, commands and entries of the audit are shown.
const CERTIFICATES: usize = 12;
const COMMANDS: u32 = 8;
const ENTRIES: u32 = 12;

/// What is known of a device.
struct Known {
    device: DeviceRow,
    certificates: Vec<CertificateRow>,
    commands: Vec<CommandRow>,
    token: Option<ProvisioningTokenRow>,
    audit: Vec<AuditRecord>,
    /// Since when its WebSocket is open here.
    is_connected: bool,
}

/// The device.
pub(in crate::console) async fn page(
    State(state): State<ControlPlane>,
    visit: Visit,
    Segment(id): Segment,
) -> Outcome<Response> {
    let known = known(&state, &visit, named(&id, "device")?).await?;
    let device = &known.device;
    let line = html! { (status(device.status)) " " (words::status(device.status)) "." };
    let body = html! {
        (head(html! { (device.name) }, line, html! {}))
        div class="two" {
            div {
                (live("identity", "devices", &identity(&visit, &known)))
                (live("certificates", "certificates devices", &history(&known.certificates, visit.now)))
                (live("commands", "commands", &commands(&visit, &known)))
            }
            div {
                (live("acts", "devices", &acts(&visit, device)))
                (live("provisioning", "devices", &provisioning::section(&visit, device, known.token.as_ref())))
                (live("audit", "audit", &audit(device.id, &known.audit, visit.now)))
            }
        }
    };
    Ok(framed(&visit, device.name.as_str(), &body))
}

async fn known(state: &ControlPlane, visit: &Visit, id: DeviceId) -> Outcome<Known> {
    let by = visit.may::<View>()?;
    let authority = &state.authority;
    let device = authority.device(&by, id).await?;
    let certificates = authority.device_certificates(&by, id).await?;
    let commands = authority.device_commands(&by, id, None, COMMANDS).await?.commands;
    let token = authority.provisioning_token(&by, id).await?;
    let filter = AuditFilter { device: Some(id), limit: ENTRIES, ..AuditFilter::default() };
    let audit = authority.audit(&by, filter).await?;
    let is_connected = authority.has_channel(id);
    Ok(Known { device, certificates, commands, token, audit, is_connected })
}

fn identity(visit: &Visit, known: &Known) -> Markup {
    let device = &known.device;
    let system = format!("{} {}", device.os_type, device.os_version);
    html! {
        section class="panel" aria-labelledby="identity-title" {
            div class="panel-head" { h2 id="identity-title" { "Identity" } }
            @if let (Some(reason), Some(at)) = (&device.quarantined_reason, device.quarantined_at) {
                p class="notice bad" { (quarantine_reason(reason)) ", " (ago(visit.now, at)) "." }
            }
            @if let Some(until_when) = device.grant_until {
                p class="notice" { "Approved: it may fetch a certificate with the key on record until " (exactly(until_when)) "." }
            }
            dl class="facts" {
                (fact("Tenant", html! { (device.tenant_slug) }))
                (fact("Site", html! { (device.site_slug) }))
                (fact("Host name", &device.hostname))
                (fact("System", format!("{} · {}", system.trim(), device.architecture)))
                (fact("Agent", &device.agent_version))
                (fact("Last seen", ago_or(visit.now, device.last_seen_at, "never")))
                (fact("Last address", device.last_ip.as_deref().unwrap_or("unknown")))
                (fact("Live channel", if known.is_connected { "open" } else { "none to this server" }))
                (fact("Enrolled", exactly(device.enrolled_at)))
                (fact("Hardware serial", device.hardware_serial.as_deref().unwrap_or("not told")))
                (fact("Device id", html! { code { (device.id) } }))
                (fact("Agent id", short(&device.agent.to_string())))
            }
        }
    }
}

/// Its certificates in the order in which it had them, the latest first.
fn history(certificates: &[CertificateRow], now: Timestamp) -> Markup {
    html! {
        section class="panel" aria-labelledby="history-title" {
            div class="panel-head" { h2 id="history-title" { "Certificates" } }
            @if certificates.is_empty() {
                p class="calm" { "It has not had a certificate yet." }
            }
            ol class="timeline" {
                @for row in certificates.iter().take(CERTIFICATES) {
                    li class=(tone(row.state)) {
                        (certificate_state(row.state)) " "
                        span class="soft" { "issued " } (exactly(row.lifetime.issued_at))
                        p class="soft" { (fate(row, now)) }
                        p class="soft" {
                            "Serial " (short(&row.reference.serial.to_string())) " · key " (short(&row.spki.to_string()))
                        }
                    }
                }
            }
            @if certificates.len() > CERTIFICATES {
                p class="soft" { "and " (certificates.len() - CERTIFICATES) " before these" }
            }
        }
    }
}

const fn tone(state: CertificateState) -> &'static str {
    match state {
        CertificateState::Active => "good",
        CertificateState::PendingActivation => "info",
        CertificateState::Superseded => "still",
        CertificateState::Revoked => "bad",
        CertificateState::Expired => "warn",
    }
}

fn fate(row: &CertificateRow, now: Timestamp) -> Markup {
    let ends = row.lifetime.expires_at;
    html! {
        @match (row.revoked_at, row.state) {
            (Some(at), _) => {
                "Revoked " (exactly(at))
                @if let Some(reason) = row.reason { ", " (reason) }
            }
            (None, CertificateState::PendingActivation) => {
                "Waits for the device to use it"
                @if let Some(before) = row.confirm_before { ", until " (exactly(before)) }
            }
            (None, CertificateState::Active) => {
                "Ends " (exactly(ends)) " (" (until(now, ends)) "), to be renewed from "
                (exactly(row.lifetime.renewal_due_at()))
            }
            (None, CertificateState::Superseded) => {
                "Replaced by the next one"
                @if let Some(at) = row.superseded_until { "; open sessions last until " (exactly(at)) }
            }
            (None, CertificateState::Expired | CertificateState::Revoked) => { "Ended " (exactly(ends)) }
        }
    }
}

/// What can be done with it. What each would mean is told before it is done.
fn acts(visit: &Visit, device: &DeviceRow) -> Markup {
    let can = |event| device.status.apply(event).is_ok();
    let offered = [
        ("approve", "Approve…", can(DeviceEvent::Approve)),
        ("deny", "Deny…", device.status == DeviceStatus::Quarantined),
        ("quarantine", "Quarantine…", can(DeviceEvent::Quarantine)),
        (
            "set-aside",
            "Put into maintenance…",
            can(DeviceEvent::EnterMaintenance) && device.status != DeviceStatus::Maintenance,
        ),
        ("take-back", "Take back from maintenance…", can(DeviceEvent::LeaveMaintenance)),
        ("revoke", "Revoke its certificate…", can(DeviceEvent::Quarantine) && device.ever_had_certificate()),
        ("decommission", "Decommission…", can(DeviceEvent::Decommission)),
    ];
    let is_final = device.status == DeviceStatus::Decommissioned;
    html! {
        section class="panel" aria-labelledby="acts-title" {
            div class="panel-head" { h2 id="acts-title" { "Decide" } }
            @if !visit.can::<Operate>() {
                p class="calm" { "Your role sees, and does not decide." }
            } @else if is_final {
                p class="calm" { "Nothing more can be decided about it." }
            } @else {
                div class="acts" {
                    @for (act, name, _) in offered.iter().filter(|(_, _, is_offered)| *is_offered) {
                        a class="button" href={ "/console/decide?act=" (act) "&id=" (device.id) } { (name) }
                    }
                    @if device.status == DeviceStatus::Quarantined {
                        a class="button" href={ "/console/keys/new?device=" (device.id) } { "Make a key to enrol it again…" }
                    }
                }
            }
        }
    }
}

fn commands(visit: &Visit, known: &Known) -> Markup {
    let can_command = visit.can::<Operate>() && !known.device.status.is_barred();
    html! {
        section class="panel" aria-labelledby="commands-title" {
            div class="panel-head" {
                h2 id="commands-title" { "Commands" }
            }
            @if known.commands.is_empty() { p class="calm" { "None was sent of late." } }
            ul class="log" {
                @for command in &known.commands {
                    li {
                        (command_state(command.state)) " " strong { (command.kind) } " "
                        span class="soft" { (ago(visit.now, command.created_at)) }
                        @if let Some(error) = &command.error { p class="soft" { (error) } }
                        @if let Some(result) = &command.result {
                            details { summary { "Result" } pre class="result" { (shown(result)) } }
                        }
                    }
                }
            }
            @if can_command {
                form class="search" method="post" action={ "/console/devices/" (known.device.id) "/command" } {
                    (visit.csrf())
                    div {
                        label class="spoken" for="type" { "Command" }
                        select id="type" name="type" {
                            @for kind in CommandKind::FOR_PEOPLE { option value=(kind) { (kind) } }
                        }
                    }
                    button { "Send" }
                }
            }
        }
    }
}

fn command_state(state: CommandState) -> Markup {
    let tone = match state {
        CommandState::Queued | CommandState::Delivered => "info",
        CommandState::Completed => "good",
        CommandState::Failed => "bad",
        CommandState::Expired => "still",
    };
    pill(tone, state.as_str())
}

/// A device's own words, cut: they may be long.
fn shown(result: &serde_json::Value) -> String {
    let text = serde_json::to_string_pretty(result).unwrap_or_default();
    text.chars().take(4000).collect()
}

fn audit(id: DeviceId, records: &[AuditRecord], now: Timestamp) -> Markup {
    html! {
        section class="panel" aria-labelledby="audit-title" {
            div class="panel-head" {
                h2 id="audit-title" { "Audit" }
                a href={ "/console/audit?device=" (id) } { "All of it" }
            }
            ul class="log" {
                @for record in records {
                    li {
                        strong { (words::event(record.event.as_str())) }
                        p class="soft" {
                            (ago(now, record.at))
                            @if let Some(reason) = record.details.get("reason") { " · " (reason) }
                            @if let (Some(from), Some(to)) = (record.details.get("from"), record.details.get("to")) {
                                " · " (from) " → " (to)
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Queues a command.
pub(in crate::console) async fn command(
    State(state): State<ControlPlane>,
    visit: Visit,
    Segment(id): Segment,
    form: Form,
) -> Outcome<Response> {
    let by = visit.may::<Operate>()?;
    let id: DeviceId = named(&id, "device")?;
    let kind = form.first("type").and_then(|kind| kind.parse().ok());
    let kind = kind.filter(|kind| CommandKind::FOR_PEOPLE.contains(kind));
    let kind = kind.ok_or_else(|| Failure::invalid_field("type", "is not a command for people"))?;
    let flash = match state.authority.queue_command(&by, id, kind, None).await {
        Ok(_) => Flash::new(Tone::Good, format!("{kind} is queued; the device gets it as soon as it can.")),
        Err(error) => {
            let failure = Failure::from(error);
            if failure.status != http::StatusCode::CONFLICT {
                return Err(failure);
            }
            Flash::new(Tone::Bad, format!("{}.", failure.body.error))
        }
    };
    Ok(flash.then(&format!("/console/devices/{id}")))
}
