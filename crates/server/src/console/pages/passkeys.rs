//! Passkeys at `/console/second-factor`: making and removing one's own. What a browser gives, the script puts into
//! the hidden fields of a form; everything else is a form like any other.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use countersign_api::wire::second_factors::PasskeyChallenge;
use countersign_authority::passkeys::PasskeyAsked;
use countersign_authority::second_factor::OwnPasskey;
use countersign_core::time::Timestamp;
use maud::{Markup, html};

use super::second_factor::{PATH, codes_page, refused, shown, themselves};
use crate::admin::passkeys::{NAME_LIMIT, made, wire_asked, wire_pending};
use crate::admin::second_factor::proof;
use crate::console::flash::{Flash, Tone};
use crate::console::form::Form;
use crate::console::gate::Entered;
use crate::console::parts::{ago, ago_or};
use crate::failure::Outcome;
use crate::request::{ClientAddress, named};
use crate::state::ControlPlane;

/// What the script fills in.
const SHOWN: [&str; 4] = ["credential", "clientData", "authenticatorData", "signature"];
const MADE: [&str; 3] = ["clientData", "authenticatorData", "publicKey"];

/// The button that lets somebody show a passkey in the place of a code. At a sign-in it says what is asked, and
/// sends the form; in a session it asks first.
pub(in crate::console) fn show_button(asked: Option<&PasskeyAsked>) -> Markup {
    let asked = asked.map(wire_asked);
    let credentials = asked.as_ref().map(|asked| asked.credentials.join(" "));
    html! {
        @for name in SHOWN { input type="hidden" name=(name); }
        div class="needs-script" {
            button type="button" class="wide" data-passkey="show"
                data-challenge=[asked.as_ref().map(|asked| &asked.challenge)]
                data-relying-party=[asked.as_ref().map(|asked| &asked.relying_party)]
                data-credentials=[credentials] { "Use a passkey" }
            p class="hint" role="status" data-passkey-says {}
        }
        noscript { p class="hint" { "Passkeys need JavaScript; codes do not." } }
    }
}

/// The passkeys that there are, each with a button in the form of the page.
pub(super) fn list(passkeys: &[OwnPasskey], now: Timestamp) -> Markup {
    html! {
        @if !passkeys.is_empty() {
            ul class="plain" {
                @for passkey in passkeys {
                    li class="row" {
                        span {
                            strong { (passkey.name) }
                            span class="soft small" {
                                " made " (ago(now, passkey.created_at))
                                ", used " (ago_or(now, passkey.last_used_at, "never"))
                            }
                        }
                        button class="danger" formaction={ (PATH) "/passkeys/remove" } name="id" value=(passkey.id)
                            aria-label={ "Remove the passkey " (passkey.name) } { "Remove" }
                    }
                }
            }
        }
    }
}

/// Asks the browser to make a passkey.
pub(in crate::console) async fn begin(
    State(state): State<ControlPlane>,
    ClientAddress(address): ClientAddress,
    entered: Entered,
    form: Form,
) -> Outcome<Response> {
    let by = themselves(&entered)?;
    let begun = async { Ok(state.authority.begin_passkey(&by, proof(form.fields(&[]))?, address).await?) };
    let wanted = match begun.await {
        Ok(wanted) => wire_pending(&wanted),
        Err(failure) => return refused(&state, &entered, failure).await,
    };
    let body = html! {
        h1 { "Make a passkey" }
        p { "Give it a name that tells you the device, then let the browser make it, within 15 minutes." }
        form method="post" action={ (PATH) "/passkeys/confirm" } {
            (entered.csrf())
            @for name in MADE { input type="hidden" name=(name); }
            div class="field" {
                label for="name" { "Name" }
                input id="name" name="name" type="text" required maxlength=(NAME_LIMIT) autofocus;
            }
            div class="needs-script" {
                button type="button" class="primary wide" data-passkey="make" data-challenge=(wanted.asked.challenge)
                    data-relying-party=(wanted.asked.relying_party)
                    data-credentials=(wanted.asked.credentials.join(" "))
                    data-user=(wanted.user) data-email=(wanted.email) { "Make the passkey" }
                p class="hint" role="status" data-passkey-says {}
            }
            noscript { p class="notice" { "Passkeys need JavaScript. Codes of an app do not." } }
        }
    };
    Ok(shown(&entered, &body))
}

/// Lets the passkey count, and shows the recovery codes that come with the first second factor.
pub(in crate::console) async fn confirm(
    State(state): State<ControlPlane>,
    entered: Entered,
    form: Form,
) -> Outcome<Response> {
    let by = themselves(&entered)?;
    let confirmed = async {
        let (name, made) = made(form.fields(&[]))?;
        Ok(state.authority.confirm_passkey(&by, &entered.token, name, &made).await?)
    };
    match confirmed.await {
        Ok(Some(codes)) => Ok(codes_page(&entered, &codes)),
        Ok(None) => Ok(Flash::new(Tone::Good, "The passkey is yours.").then(PATH)),
        Err(failure) => refused(&state, &entered, failure).await,
    }
}

/// What the script asks the browser for.
pub(in crate::console) async fn ask(
    State(state): State<ControlPlane>,
    entered: Entered,
) -> Outcome<Json<PasskeyChallenge>> {
    Ok(Json(wire_asked(&state.authority.ask_for_passkey(&themselves(&entered)?).await?)))
}

/// Removes one of one's own passkeys.
pub(in crate::console) async fn remove(
    State(state): State<ControlPlane>,
    ClientAddress(address): ClientAddress,
    entered: Entered,
    form: Form,
) -> Outcome<Response> {
    let by = themselves(&entered)?;
    let removed = async {
        let id = named(form.first("id").unwrap_or_default(), "passkey")?;
        Ok(state.authority.remove_passkey(&by, id, proof(form.fields(&["id"]))?, address).await?)
    };
    match removed.await {
        Ok(()) => Ok(Flash::new(Tone::Good, "The passkey is removed.").then(PATH)),
        Err(failure) => refused(&state, &entered, failure).await,
    }
}
