//! Signing in at the identity provider: there, back, and out.

use axum::extract::State;
use axum::response::{IntoResponse as _, Redirect, Response};
use countersign_authority::oidc::{OidcError, OidcReturn};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use maud::{Markup, html};
use zeroize::Zeroizing;

use super::error_page::Rendered;
use super::layout;
use super::session::{SameSite, cookie, keep_session, set_cookie_from};
use crate::failure::{Failure, Outcome};
use crate::request::{ClientAddress, QueryFields};
use crate::state::ControlPlane;

/// What the browser keeps while it is at the provider, where it came over plain HTTP.
const BEGUN: &str = "countersign_oidc";

/// The same where it came over TLS.
const BEGUN_TLS: &str = "__Host-countersign_oidc";

/// How long somebody may be at the provider.
const PATIENCE_SECONDS: u64 = 600;

/// The button on the sign-in page.
pub(super) fn button(state: &ControlPlane) -> Markup {
    let Some(name) = state.authority.oidc_name() else { return html! {} };
    html! {
        div class="actions" { a class="button wide" href="/console/oidc" { "Sign in with " (name) } }
    }
}

/// Leads to the provider.
pub(super) async fn begin(State(state): State<ControlPlane>) -> Outcome<Response> {
    let begun = state.authority.begin_oidc().await?;
    let mut response = Redirect::to(&begun.url).into_response();
    response.headers_mut().extend([begun_cookie(&state, &begun.secret, PATIENCE_SECONDS)]);
    Ok(response)
}

/// Signs in whom the provider sends back.
pub(super) async fn finish(
    State(state): State<ControlPlane>,
    ClientAddress(address): ClientAddress,
    headers: HeaderMap,
    QueryFields(mut query): QueryFields,
) -> Outcome<Response> {
    let kept = cookie(&headers, BEGUN_TLS).or_else(|| cookie(&headers, BEGUN)).unwrap_or_default();
    let mut given = |name| query.lenient_text(name, 4096).unwrap_or_default();
    let back = OidcReturn { code: Zeroizing::new(given("code")), state: given("state") };
    let entered = if back.code.is_empty() {
        // The provider's `error`: the person did not want to, or may not.
        Err(OidcError::NotBegun)
    } else {
        state.authority.finish_oidc(kept, back, address).await
    };
    let mut response = match entered {
        Ok(signed_in) => {
            let mut response = through();
            let is_over_tls = console_is_over_tls(&state);
            response.headers_mut().extend([keep_session(&state, &signed_in, is_over_tls)]);
            response
        }
        Err(error) => {
            let failure = Failure::from(error);
            if matches!(failure.status, StatusCode::INTERNAL_SERVER_ERROR | StatusCode::SERVICE_UNAVAILABLE) {
                return Err(failure);
            }
            let page = refused(&failure);
            Rendered::instead(failure, page)
        }
    };
    let (name, value) = begun_cookie(&state, "", 0);
    response.headers_mut().append(name, value);
    Ok(response)
}

/// Signs out at the provider too.
pub(super) async fn sign_out(State(state): State<ControlPlane>) -> Outcome<Response> {
    let url = state.authority.oidc_sign_out_url().await?;
    Ok(Redirect::to(url.as_deref().unwrap_or("/console/login")).into_response())
}

/// Leads on from a page of ours: a browser that is led here by another site sends no cookie of the session's
/// along until then.
fn through() -> Response {
    let body = html! {
        div class="door" {
            (layout::brand())
            h1 { "You are signed in" }
            div class="actions" { a class="button primary wide" href="/console/" { "Go on" } }
        }
    };
    let on = [(HeaderName::from_static("refresh"), HeaderValue::from_static("0; url=/console/"))];
    (on, layout::bare("Signed in", &body)).into_response()
}

fn refused(failure: &Failure) -> Response {
    let body = html! {
        div class="door" {
            (layout::brand())
            h1 { "Not signed in" }
            p class="notice bad" role="alert" { (failure.body.error) "." }
            div class="actions" { a class="button wide" href="/console/login" { "Back to the sign-in page" } }
        }
    };
    layout::bare("Not signed in", &body).into_response()
}

/// What the browser brings back from another site, so it is `Lax`: worth nothing without what the provider
/// sends along.
fn begun_cookie(state: &ControlPlane, secret: &str, seconds: u64) -> (HeaderName, HeaderValue) {
    let name = if console_is_over_tls(state) { BEGUN_TLS } else { BEGUN };
    set_cookie_from(SameSite::Lax, name, secret, seconds)
}

fn console_is_over_tls(state: &ControlPlane) -> bool {
    state.authority.oidc_console_url().is_some_and(|url| url.starts_with("https://"))
}
