//! GET and POST `/console/devices/{id}/provisioning-token`: the token with which a device without a certificate comes
//! to the MQTT door. It is set, shown once, replaced and removed.

use axum::extract::State;
use axum::response::Response;
use countersign_authority::devices::DeviceRow;
use countersign_authority::provisioning_tokens::{OwnToken, ProvisioningTokenRow, SetToken};
use countersign_authority::{Administer, View};
use countersign_core::device::DeviceStatus;
use countersign_core::ids::DeviceId;
use maud::{Markup, html};
use zeroize::Zeroizing;

use crate::console::error_page::Rendered;
use crate::console::flash::{Flash, Tone};
use crate::console::form::Form;
use crate::console::layout::page as framed;
use crate::console::parts::{copyable, exactly, head, problems};
use crate::console::visit::Visit;
use crate::failure::{Failure, Outcome};
use crate::request::{Segment, named};
use crate::state::ControlPlane;

/// Its section of a device's page.
pub(super) fn section(visit: &Visit, device: &DeviceRow, token: Option<&ProvisioningTokenRow>) -> Markup {
    let can_set = visit.can::<Administer>() && device.status != DeviceStatus::Decommissioned;
    html! {
        section class="panel" aria-labelledby="provisioning-title" {
            div class="panel-head" {
                h2 id="provisioning-title" { "Provisioning token" }
                @if can_set {
                    a href={ "/console/devices/" (device.id) "/provisioning-token" } {
                        @if token.is_some() { "Replace or remove…" } @else { "Set one…" }
                    }
                }
            }
            p class="calm" {
                @if let Some(token) = token {
                    "Set " (exactly(token.set_at)) ". Whoever has it is this device at the MQTT listener for tokens."
                } @else {
                    "None: it comes with its certificate alone."
                }
            }
        }
    }
}

/// The page on which it is set and removed.
pub(in crate::console) async fn form(
    State(state): State<ControlPlane>,
    visit: Visit,
    Segment(id): Segment,
) -> Outcome<Response> {
    visit.may::<Administer>()?;
    entry(&state, &visit, named(&id, "device")?, None).await
}

async fn entry(
    state: &ControlPlane,
    visit: &Visit,
    id: DeviceId,
    failure: Option<&Failure>,
) -> Outcome<Response> {
    let by = visit.may::<View>()?;
    let device = state.authority.device(&by, id).await?;
    let token = state.authority.provisioning_token(&by, id).await?;
    let here = format!("/console/devices/{id}/provisioning-token");
    let line = html! {
        "For a device that has no certificate yet. Its user name is "
        code { (device.tenant_slug) "/" (device.name) } "."
    };
    let body = html! {
        (head(html! { "Provisioning token of " (device.name) }, line, html! {}))
        form class="panel narrow" method="post" action=(here) {
            (visit.csrf())
            (problems(failure))
            div class="field" {
                label for="token" { "A token that it has already" }
                input id="token" name="token" maxlength="256" autocomplete="off" spellcheck="false";
                p class="hint" { "20 to 256 letters, digits and signs. Left empty, a fresh one is made and shown once." }
            }
            ul class="means" {
                li { "It opens the MQTT listener for tokens, and nothing where the tenant enforces certificates." }
                @if token.is_some() { li { "The present one counts no more, and the sessions that it opened end." } }
            }
            div class="actions" {
                button class="primary" { "Set the token" }
                a class="button quiet" href={ "/console/devices/" (id) } { "Cancel" }
            }
        }
        @if let Some(token) = &token {
            form class="panel narrow" method="post" action={ (here) "/remove" } {
                (visit.csrf())
                h2 { "Remove it" }
                p { "It was set " (exactly(token.set_at)) ". Without one, the sessions that it opened end at once." }
                div class="actions" { button class="danger" { "Remove the token" } }
            }
        }
    };
    Ok(framed(visit, "Provisioning token", &body))
}

/// Sets one, and shows it this once if it was made here.
pub(in crate::console) async fn set(
    State(state): State<ControlPlane>,
    visit: Visit,
    Segment(id): Segment,
    form: Form,
) -> Outcome<Response> {
    let by = visit.may::<Administer>()?;
    let id: DeviceId = named(&id, "device")?;
    let given = form.first("token").map(str::trim).filter(|token| !token.is_empty());
    let own = given.map(|token| OwnToken::new(Zeroizing::new(token.to_owned()))).transpose();
    let set = match own {
        Ok(own) => state.authority.set_provisioning_token(&by, id, own).await.map_err(Failure::from),
        Err(problem) => Err(Failure::invalid_field("token", problem)),
    };
    match set {
        Ok(_set) if given.is_some() => {
            Ok(Flash::new(Tone::Good, "The token is set.").then(&format!("/console/devices/{id}")))
        }
        Ok(set) => Ok(shown_once(&visit, id, &set)),
        Err(failure) if !failure.body.fields.is_empty() => {
            let shown = entry(&state, &visit, id, Some(&failure)).await?;
            Ok(Rendered::instead(failure, shown))
        }
        Err(failure) => Err(failure),
    }
}

fn shown_once(visit: &Visit, id: DeviceId, set: &SetToken) -> Response {
    let body = html! {
        (head("The token is set", "The device shows it as its password, over TLS.", html! {}))
        section class="panel narrow" {
            p class="notice" { "The token is shown this once. Copy it before you leave this page." }
            (copyable("token", &set.text))
            div class="actions" {
                a class="button primary" href={ "/console/devices/" (id) } { "Back to the device" }
            }
        }
    };
    framed(visit, "The token is set", &body)
}

/// Removes it.
pub(in crate::console) async fn remove(
    State(state): State<ControlPlane>,
    visit: Visit,
    Segment(id): Segment,
) -> Outcome<Response> {
    let by = visit.may::<Administer>()?;
    let id: DeviceId = named(&id, "device")?;
    state.authority.remove_provisioning_token(&by, id).await?;
    let told = "The token is removed, and the sessions that it opened end.";
    Ok(Flash::new(Tone::Good, told).then(&format!("/console/devices/{id}")))
}
