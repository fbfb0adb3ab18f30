//! `/console/second-factor`: setting up, renewing and removing one's own second factor. Also for whoever has to
//! set one up before anything else, so its pages lead nowhere but out.

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use countersign_authority::Account;
use countersign_authority::authorized::Authorized;
use countersign_authority::second_factor::{OwnSecondFactor, PendingTotp, RecoveryCodes, SecondFactorPolicy};
use countersign_core::time::Timestamp;
use maud::{Markup, html};
use zeroize::Zeroizing;

use super::passkeys;
use crate::admin::second_factor::{CODE_LIMIT, proof};
use crate::console::error_page::Rendered;
use crate::console::flash::{Flash, Tone};
use crate::console::form::Form;
use crate::console::gate::Entered;
use crate::console::layout::{bare, brand};
use crate::console::parts::{copyable, exactly, fact, picture, problems};
use crate::failure::{Failure, Outcome};
use crate::request::ClientAddress;
use crate::state::ControlPlane;

pub(super) const PATH: &str = "/console/second-factor";

/// Whoever signed in, with or without a second factor.
pub(super) fn themselves(entered: &Entered) -> Outcome<Authorized<Account>> {
    Ok(entered.caller.authorize::<Account>()?)
}

/// One's own second factor.
pub(in crate::console) async fn page(
    State(state): State<ControlPlane>,
    entered: Entered,
    headers: http::HeaderMap,
) -> Outcome<Response> {
    let flash = Flash::read(&headers);
    let mut page = overview(&state, &entered, None, flash.as_ref()).await?;
    page.headers_mut().extend(flash.map(|_| Flash::forgotten()));
    Ok(page)
}

async fn overview(
    state: &ControlPlane,
    entered: &Entered,
    failure: Option<&Failure>,
    flash: Option<&Flash>,
) -> Outcome<Response> {
    let by = themselves(entered)?;
    let own = state.authority.own_second_factor(&by).await.map_err(|error| Failure::internal(&error))?;
    let body = html! {
        h1 { "Second factor" }
        @if let Some(flash) = flash { (flash.shown()) }
        @if own.is_none() {
            (absent(entered, &own, failure))
        } @else {
            (present(entered, (&own, state.authority.now()), failure))
        }
    };
    Ok(shown(entered, &body))
}

fn absent(entered: &Entered, own: &OwnSecondFactor, failure: Option<&Failure>) -> Markup {
    html! {
        @if own.policy == SecondFactorPolicy::Required {
            p class="notice" { "Everybody needs a second factor here. Set yours up to go on." }
        }
        p {
            "With it, signing in takes a code of six digits as well, which an app on your phone shows, or a passkey: "
            "a security key, or the fingerprint or the PIN of your device. Whoever learns your password alone does not "
            "get in."
        }
        (problems(failure))
        form method="post" action=(PATH) {
            (entered.csrf())
            (password_field())
            button class="primary wide" { "Set up an app" }
            button class="wide" formaction={ (PATH) "/passkeys" } { "Make a passkey" }
        }
    }
}

fn present(
    entered: &Entered,
    (own, now): (&OwnSecondFactor, Timestamp),
    failure: Option<&Failure>,
) -> Markup {
    html! {
        dl class="facts" {
            @if let Some(since) = own.totp_since { (fact("Codes of an app", html! { "since " (exactly(since)) })) }
            (fact("Passkeys", own.passkeys.len()))
            (fact("Recovery codes left", own.recovery_codes_left))
        }
        (problems(failure))
        form method="post" action={ (PATH) "/codes" } {
            (entered.csrf())
            p { "Whatever you change takes your password, and a code or a passkey." }
            (password_field())
            (code_field())
            @if !own.passkeys.is_empty() { (passkeys::show_button(None)) }
            div class="actions" {
                button { "Make new recovery codes" }
                @if own.totp_since.is_none() { button formaction=(PATH) { "Set up an app" } }
                button formaction={ (PATH) "/passkeys" } { "Make a passkey" }
                button class="danger" formaction={ (PATH) "/remove" } { "Remove the second factor" }
            }
            (passkeys::list(&own.passkeys, now))
        }
    }
}

fn password_field() -> Markup {
    html! {
        div class="field" {
            label for="password" { "Password" }
            input id="password" name="password" type="password" autocomplete="current-password" required
                maxlength="1024";
        }
    }
}

/// Where a code is typed: one-time codes and recovery codes alike.
pub(in crate::console) fn code_field() -> Markup {
    html! {
        div class="field" {
            label for="code" { "Code" }
            input id="code" name="code" type="text" inputmode="text" autocomplete="one-time-code" autocapitalize="none"
                spellcheck="false" required maxlength=(CODE_LIMIT);
            p class="hint" { "That of your app, or one of your recovery codes." }
        }
    }
}

pub(super) fn shown(entered: &Entered, body: &Markup) -> Response {
    let framed = html! {
        div class="door" {
            (brand())
            (body)
            div class="actions" {
                @if !entered.caller.lacks_second_factor() {
                    a class="button quiet" href="/console/account" { "Your account" }
                }
                form method="post" action="/console/logout" {
                    (entered.csrf())
                    button class="quiet" { "Sign out" }
                }
            }
        }
    };
    bare("Second factor", &framed).into_response()
}

/// Makes a key and shows it, until its first code was shown.
pub(in crate::console) async fn begin(
    State(state): State<ControlPlane>,
    ClientAddress(address): ClientAddress,
    entered: Entered,
    form: Form,
) -> Outcome<Response> {
    let by = themselves(&entered)?;
    let begun = async { Ok(state.authority.begin_totp(&by, proof(form.fields(&[]))?, address).await?) };
    match begun.await {
        Ok(pending) => Ok(pending_page(&entered, &pending, None)),
        Err(failure) => refused(&state, &entered, failure).await,
    }
}

fn pending_page(entered: &Entered, pending: &PendingTotp, failure: Option<&Failure>) -> Response {
    let body = html! {
        h1 { "Set up your second factor" }
        p { "Scan this with the app, or type the key into it." }
        @if let Some(picture) = picture(&pending.uri, "The key as a QR code") { (picture) }
        (copyable("key", &pending.key))
        p class="soft small" { "Then type the code that the app shows, within 15 minutes. The key is not shown again." }
        (problems(failure))
        form method="post" action={ (PATH) "/confirm" } {
            (entered.csrf())
            (code_field())
            button class="primary wide" { "Confirm" }
        }
    };
    shown(entered, &body)
}

/// Lets the key count, and shows the recovery codes.
pub(in crate::console) async fn confirm(
    State(state): State<ControlPlane>,
    entered: Entered,
    form: Form,
) -> Outcome<Response> {
    let by = themselves(&entered)?;
    let code = Zeroizing::new(form.first("code").unwrap_or_default().to_owned());
    let failure = match state.authority.confirm_totp(&by, &entered.token, &code).await {
        Ok(codes) => return Ok(codes_page(&entered, &codes)),
        Err(error) => Failure::from(error),
    };
    match state.authority.pending_totp(&by).await {
        Ok(pending) => {
            let page = pending_page(&entered, &pending, Some(&failure));
            Ok(Rendered::instead(failure, page))
        }
        Err(_not_waiting) => refused(&state, &entered, failure).await,
    }
}

pub(super) fn codes_page(entered: &Entered, codes: &RecoveryCodes) -> Response {
    let lines: Vec<&str> = codes.0.iter().map(|code| code.as_str()).collect();
    let body = html! {
        h1 { "Your recovery codes" }
        p class="notice" { "They are shown this once. Keep them where you keep nothing else of this." }
        p { "Each lets you in once without the app or the passkey." }
        (copyable("codes", &lines.join("\n")))
        div class="actions" { a class="button primary" href="/console/" { "I have them" } }
    };
    shown(entered, &body)
}

/// Gives new recovery codes.
pub(in crate::console) async fn renew_codes(
    State(state): State<ControlPlane>,
    ClientAddress(address): ClientAddress,
    entered: Entered,
    form: Form,
) -> Outcome<Response> {
    let by = themselves(&entered)?;
    let made =
        async { Ok(state.authority.renew_recovery_codes(&by, proof(form.fields(&[]))?, address).await?) };
    match made.await {
        Ok(codes) => Ok(codes_page(&entered, &codes)),
        Err(failure) => refused(&state, &entered, failure).await,
    }
}

/// Removes one's own second factor.
pub(in crate::console) async fn remove(
    State(state): State<ControlPlane>,
    ClientAddress(address): ClientAddress,
    entered: Entered,
    form: Form,
) -> Outcome<Response> {
    let by = themselves(&entered)?;
    let removed =
        async { Ok(state.authority.remove_own_second_factor(&by, proof(form.fields(&[]))?, address).await?) };
    match removed.await {
        Ok(()) => Ok(Flash::new(Tone::Good, "The second factor is removed.").then(PATH)),
        Err(failure) => refused(&state, &entered, failure).await,
    }
}

/// The page again, with what was wrong.
pub(super) async fn refused(state: &ControlPlane, entered: &Entered, failure: Failure) -> Outcome<Response> {
    if failure.status.is_server_error() {
        return Err(failure);
    }
    let page = overview(state, entered, Some(&failure), None).await?;
    Ok(Rendered::instead(failure, page))
}
