//! GET and POST `/console/decide`: decisions about one device or many. What a decision means is told before
//! it is made, and what became of it afterwards.

use std::str::FromStr;

use axum::extract::State;
use axum::response::Response;
use countersign_authority::authorized::Authorized;
use countersign_authority::devices::DeviceRow;
use countersign_authority::publish::Applied;
use countersign_authority::quarantine::{DecisionError, Maintenance};
use countersign_authority::{Operate, View};
use countersign_core::certificate::RevocationReason;
use countersign_core::device::{DeviceEvent, QuarantineReason};
use countersign_core::ids::{CertificateId, DeviceId};
use futures_util::future::{join_all, try_join_all};
use maud::{Markup, html};

use super::devices::certificate;
use crate::console::flash::{Flash, Tone};
use crate::console::form::Form;
use crate::console::layout::page;
use crate::console::parts::{applied, head, status};
use crate::console::visit::Visit;
use crate::console::words::count;
use crate::failure::{Failure, Outcome};
use crate::state::ControlPlane;

/// About how many devices somebody decides at once.
const AT_ONCE: usize = 100;

/// What can be decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    Approve,
    Deny,
    Quarantine,
    Revoke,
    Decommission,
    SetAside,
    TakeBack,
}

/// An act as people meet it.
struct Wording {
    name: &'static str,
    verb: &'static str,
    done: &'static str,
    consequences: &'static [&'static str],
    is_grave: bool,
}

impl FromStr for Act {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|act| act.wording().name == text).ok_or(())
    }
}

impl Act {
    const ALL: [Self; 7] = [
        Self::Approve,
        Self::Deny,
        Self::Quarantine,
        Self::Revoke,
        Self::Decommission,
        Self::SetAside,
        Self::TakeBack,
    ];

    /// What a device must be able to go through for it.
    const fn event(self) -> DeviceEvent {
        match self {
            Self::Approve => DeviceEvent::Approve,
            Self::Deny => DeviceEvent::Deny,
            Self::Quarantine | Self::Revoke => DeviceEvent::Quarantine,
            Self::Decommission => DeviceEvent::Decommission,
            Self::SetAside => DeviceEvent::EnterMaintenance,
            Self::TakeBack => DeviceEvent::LeaveMaintenance,
        }
    }

    const fn wording(self) -> Wording {
        match self {
            Self::Approve => Wording {
                name: "approve",
                verb: "Approve",
                done: "approved",
                consequences: &[
                    "The doors admit it again at once, if its certificate is still good.",
                    "If it needs a certificate, the key that is on record may fetch one within 24 hours. No other \
                     key may, and no key is shown to anybody.",
                    "An approval that is not used in time ends in quarantine again.",
                ],
                is_grave: false,
            },
            Self::Deny => Wording {
                name: "deny",
                verb: "Deny",
                done: "denied",
                consequences: &[
                    "Final: the device is decommissioned, and its name is never used again.",
                    "Every certificate and token it has is revoked, and its live connections are closed at once.",
                    "Its public keys are denied everywhere.",
                    "A new device of the same host name or hardware serial awaits approval.",
                ],
                is_grave: true,
            },
            Self::Quarantine => Wording {
                name: "quarantine",
                verb: "Quarantine",
                done: "quarantined",
                consequences: &[
                    "Every door refuses it at once, and its live connections are closed.",
                    "Its certificates are not revoked: an approval brings it back as it was.",
                    "It stays so until somebody approves or denies it.",
                ],
                is_grave: true,
            },
            Self::Revoke => Wording {
                name: "revoke",
                verb: "Revoke certificates of",
                done: "left without its certificate",
                consequences: &[
                    "The certificate it uses is revoked for good, with every other one of the same key, and its \
                     live connections are closed at once.",
                    "Without a usable certificate it is quarantined.",
                    "It comes back only by enrolling again with a fresh key and an enrolment key made for it.",
                ],
                is_grave: true,
            },
            Self::Decommission => Wording {
                name: "decommission",
                verb: "Decommission",
                done: "decommissioned",
                consequences: &[
                    "Final: the device is retired, and its name is never used again.",
                    "Every certificate and token it has is revoked, and its live connections are closed at once.",
                    "Its keys and its host name are not held against a successor.",
                ],
                is_grave: true,
            },
            Self::SetAside => Wording {
                name: "set-aside",
                verb: "Put into maintenance",
                done: "in maintenance",
                consequences: &[
                    "It is served as before; heartbeats do not change its status until it is taken back.",
                ],
                is_grave: false,
            },
            Self::TakeBack => Wording {
                name: "take-back",
                verb: "Take back from maintenance",
                done: "back from maintenance",
                consequences: &[
                    "It is offline until its next heartbeat, and goes by its heartbeats from then on.",
                ],
                is_grave: false,
            },
        }
    }
}

/// What somebody is about to decide.
struct Asked {
    act: Act,
    ids: Vec<DeviceId>,
}

fn asked(form: &Form) -> Outcome<Asked> {
    let act = form.first("act").and_then(|act| act.parse().ok());
    let act = act.ok_or_else(|| Failure::not_found("decision"))?;
    let ids: Result<Vec<DeviceId>, _> = form.all("id").map(str::parse).collect();
    let mut ids = ids.map_err(|_unreadable| Failure::not_found("device"))?;
    ids.sort_unstable();
    ids.dedup();
    if ids.len() > AT_ONCE {
        return Err(Failure::invalid_field("id", format!("is there more than {AT_ONCE} times")));
    }
    Ok(Asked { act, ids })
}

/// What the decision would mean, for which devices.
pub(in crate::console) async fn confirm(
    State(state): State<ControlPlane>,
    visit: Visit,
    uri: http::Uri,
) -> Outcome<Response> {
    visit.may::<Operate>()?;
    let Asked { act, ids } = asked(&Form::parse(uri.query().unwrap_or_default().as_bytes()))?;
    if ids.is_empty() {
        return Ok(told(Tone::Bad, "Select at least one device first.".to_owned(), "/console/devices"));
    }
    let devices = devices(&state, &visit, &ids).await?;
    let wording = act.wording();
    let subject = match devices.as_slice() {
        [one] => one.name.to_string(),
        many => count(many.len() as u64, "device", "devices"),
    };
    let able = devices.iter().filter(|device| device.status.apply(act.event()).is_ok()).count();
    let shown = state.authority.shown_certificates(&devices).await;
    let shown = shown.map_err(|error| Failure::internal(&error))?;
    let title = format!("{} {subject}?", wording.verb);
    let body = html! {
        (head(&title, "Nothing has happened yet.", html! {}))
        form class="panel narrow" method="post" action="/console/decide" {
            (visit.csrf())
            input type="hidden" name="act" value=(wording.name);
            h2 { "What it means" }
            ul class="means" { @for line in wording.consequences { li { (line) } } }
            (further(act))
            h2 { (count(devices.len() as u64, "device", "devices")) }
            ul class="rows" {
                @for device in &devices {
                    li {
                        input type="hidden" name="id" value=(device.id);
                        div {
                            strong { (device.tenant_slug) "/" (device.name) }
                            p class="soft" { (device.hostname) " · certificate: " (certificate(shown.get(&device.id), visit.now)) }
                        }
                        (status(device.status))
                        @if device.status.apply(act.event()).is_err() {
                            span class="soft" { "stays as it is" }
                        }
                    }
                }
            }
            div class="actions" {
                @if able > 0 {
                    button class=(if wording.is_grave { "danger" } else { "primary" }) { (wording.verb) " " (subject) }
                } @else {
                    p class="notice bad" { "The status of none of these allows it." }
                }
                a class="button quiet" href=(back_to(&ids)) { "Cancel" }
            }
        }
    };
    Ok(page(&visit, &title, &body))
}

/// What an act wants to know besides.
fn further(act: Act) -> Markup {
    match act {
        Act::Quarantine => html! {
            div class="field" {
                label for="reason" { "Why" }
                input id="reason" name="reason" required maxlength="255" placeholder="Reported stolen, …";
                p class="hint" { "Kept with the device and in the audit, for whoever decides later." }
            }
        },
        Act::Revoke => html! {
            div class="field" {
                label for="reason" { "Why" }
                select id="reason" name="reason" {
                    @for reason in RevocationReason::ALL { option value=(reason) { (reason) } }
                }
                p class="hint" { "Written into revocation lists, for whoever else reads them." }
            }
        },
        Act::Approve | Act::Deny | Act::Decommission | Act::SetAside | Act::TakeBack => html! {},
    }
}

/// Each of these devices. Fails closed: one that does not exist or is not to be seen, and there is no page.
async fn devices(state: &ControlPlane, visit: &Visit, ids: &[DeviceId]) -> Outcome<Vec<DeviceRow>> {
    let by = visit.may::<View>()?;
    Ok(try_join_all(ids.iter().map(|id| state.authority.device(&by, *id))).await?)
}

/// Carries the decision out.
pub(in crate::console) async fn carry_out(
    State(state): State<ControlPlane>,
    visit: Visit,
    form: Form,
) -> Outcome<Response> {
    let by = visit.may::<Operate>()?;
    let Asked { act, ids } = asked(&form)?;
    if ids.is_empty() {
        return Ok(told(Tone::Bad, "Select at least one device first.".to_owned(), "/console/devices"));
    }
    let devices = devices(&state, &visit, &ids).await?;
    let outcome = decided(&state, &by, act, (&devices, &form)).await?;
    let failed: Vec<&Undecided> = outcome.undecided.iter().collect();
    let done = devices.len() - failed.len();
    let mut text = match devices.as_slice() {
        [one] if done == 1 => format!("{}/{} is {}. ", one.tenant_slug, one.name, act.wording().done),
        _ if done > 0 => {
            let are = if done == 1 { "is" } else { "are" };
            format!("{} {are} {}. ", count(done as u64, "device", "devices"), act.wording().done)
        }
        _ => String::new(),
    };
    if done > 0 {
        text.push_str(&applied(outcome.applied));
    }
    for Undecided { name, why } in failed {
        text.push_str(&format!(" {name} stays as it was: {why}."));
    }
    let tone = if outcome.undecided.is_empty() { Tone::Good } else { Tone::Bad };
    Ok(told(tone, text, &back_to(&ids)))
}

/// Where to go from a decision: to the device it is about, or to the list.
fn back_to(ids: &[DeviceId]) -> String {
    match ids {
        [one] => format!("/console/devices/{one}"),
        _ => "/console/devices".to_owned(),
    }
}

fn told(tone: Tone, text: String, path: &str) -> Response {
    Flash::new(tone, text).then(path)
}

/// What became of a decision.
struct Decided {
    applied: Applied,
    undecided: Vec<Undecided>,
}

/// A device about which nothing was decided.
struct Undecided {
    name: String,
    why: String,
}

type Outcomes = Vec<Result<Applied, DecisionError>>;

async fn decided(
    state: &ControlPlane,
    by: &Authorized<Operate>,
    act: Act,
    (devices, form): (&[DeviceRow], &Form),
) -> Outcome<Decided> {
    let authority = &state.authority;
    let outcomes: Outcomes = match act {
        Act::Approve => {
            let ids = devices.iter().map(|device| device.id).collect();
            let approved = authority.approve_all(by, ids).await;
            let (applied, outcomes) = approved.map_err(|error| Failure::internal(&error))?;
            outcomes.into_iter().map(|(_, outcome)| outcome.map(|()| applied)).collect()
        }
        Act::Revoke => return revoked(state, by, (devices, form)).await,
        Act::Quarantine => {
            let reason = form.first("reason").unwrap_or_default().parse::<QuarantineReason>();
            let reason = reason.map_err(|error| Failure::invalid_field("reason", error.to_string()))?;
            join_all(devices.iter().map(|one| authority.quarantine_device(by, one.id, reason.clone()))).await
        }
        Act::Deny => join_all(devices.iter().map(|one| authority.deny(by, one.id))).await,
        Act::Decommission => join_all(devices.iter().map(|one| authority.decommission(by, one.id))).await,
        Act::SetAside => {
            join_all(devices.iter().map(|one| authority.set_maintenance(by, one.id, Maintenance::Enter)))
                .await
        }
        Act::TakeBack => {
            join_all(devices.iter().map(|one| authority.set_maintenance(by, one.id, Maintenance::Leave)))
                .await
        }
    };
    gathered(devices, outcomes)
}

fn gathered(devices: &[DeviceRow], outcomes: Outcomes) -> Outcome<Decided> {
    let mut decided = Decided { applied: Applied { applied: 0, total: 0 }, undecided: Vec::new() };
    for (device, outcome) in devices.iter().zip(outcomes) {
        match outcome {
            Ok(applied) => decided.applied = applied,
            Err(DecisionError::Conflict(status)) => {
                decided
                    .undecided
                    .push(Undecided { name: device.name.to_string(), why: format!("it is {status}") });
            }
            Err(other) => return Err(other.into()),
        }
    }
    Ok(decided)
}

/// Revokes the certificate that each of these devices uses.
async fn revoked(
    state: &ControlPlane,
    by: &Authorized<Operate>,
    (devices, form): (&[DeviceRow], &Form),
) -> Outcome<Decided> {
    let reason: RevocationReason = form.first("reason").unwrap_or("unspecified").parse().map_err(
        |error: countersign_core::ids::IdError| Failure::invalid_field("reason", error.to_string()),
    )?;
    let internal = |error| Failure::internal(&error);
    let shown = state.authority.shown_certificates(devices).await.map_err(internal)?;
    let usable = |device: &&DeviceRow| shown.get(&device.id).is_some_and(|one| one.state.is_usable());
    let ids: Vec<CertificateId> =
        devices.iter().filter(usable).filter_map(|device| shown.get(&device.id).map(|one| one.id)).collect();
    let without = devices.iter().filter(|device| !usable(device));
    let undecided = without.map(|device| Undecided {
        name: device.name.to_string(),
        why: "it has no certificate that could be revoked".to_owned(),
    });
    let undecided = undecided.collect();
    let (revoked, _fates) = state.authority.revoke_certificates(by, ids, reason).await.map_err(internal)?;
    Ok(Decided { applied: revoked.applied, undecided })
}
