//! Signing in and out by cookie, and the choices that a browser keeps.

use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use countersign_authority::passkeys::PasskeyAsked;
use countersign_authority::people::SignedIn;
use countersign_authority::second_factor::ShownFactor;
use countersign_authority::sign_in::{BegunSignIn, LoginError};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use maud::html;
use zeroize::Zeroizing;

use super::error_page::Rendered;
use super::flash::{Flash, Tone};
use super::form::Form;
use super::gate::Entered;
use super::visit::Visit;
use super::{layout, oidc, pages, parts};
use crate::admin::passkeys::factor;
use crate::failure::{Failure, Outcome};
use crate::request::{ClientAddress, QueryFields};
use crate::state::ControlPlane;

/// The session's token, where the browser came over plain HTTP.
const SESSION: &str = "countersign_session";

/// The same where it came over TLS: never sent over anything else, and for this host alone.
const SESSION_TLS: &str = "__Host-countersign_session";

/// Light or dark, if that was chosen.
pub(super) const THEME: &str = "countersign_theme";

/// The tenant that pages are about, if one was chosen.
pub(super) const TENANT: &str = "countersign_tenant";

/// A year, in seconds.
const LONG: u64 = 365 * 86_400;

/// A cookie among those that the browser sent.
pub(super) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let values = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs = values.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.into_iter().find(|(one, _)| *one == name).map(|(_, value)| value)
}

/// From where a browser brings a cookie along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SameSite {
    /// From pages of this site alone.
    Strict,
    /// Also when another site leads here.
    Lax,
}

/// A cookie to set, for so many seconds; none at all: to forget.
pub(super) fn set_cookie(name: &str, value: &str, seconds: u64) -> (HeaderName, HeaderValue) {
    set_cookie_from(SameSite::Strict, name, value, seconds)
}

/// The same, brought along from where it is said.
pub(super) fn set_cookie_from(
    site: SameSite,
    name: &str,
    value: &str,
    seconds: u64,
) -> (HeaderName, HeaderValue) {
    let secure = if name.starts_with("__Host-") { "; Secure" } else { "" };
    let text = format!("{name}={value}; Path=/; HttpOnly; SameSite={site:?}; Max-Age={seconds}{secure}");
    (header::SET_COOKIE, HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("")))
}

/// Whoever is signed in by cookie.
pub(super) async fn caller(state: &ControlPlane, headers: &HeaderMap) -> Outcome<Option<Entered>> {
    let Some(token) = cookie(headers, SESSION_TLS).or_else(|| cookie(headers, SESSION)) else {
        return Ok(None);
    };
    let caller = state.authority.caller(token).await.map_err(|error| Failure::internal(&error))?;
    // A cookie is for people: an API token in it opens nothing.
    let caller = caller.filter(|caller| caller.authorize::<countersign_authority::Account>().is_ok());
    Ok(caller.map(|caller| Entered { caller, token: token.to_owned() }))
}

/// The sign-in page, which leads back to what was asked for.
pub(super) fn path_from(request: &Request) -> String {
    let wanted = request.uri().path_and_query().map_or("/console/", http::uri::PathAndQuery::as_str);
    if request.method() == Method::GET && own_path(wanted).is_some() && wanted != "/console/" {
        let next: String = form_urlencoded::byte_serialize(wanted.as_bytes()).collect();
        format!("/console/login?next={next}")
    } else {
        "/console/login".to_owned()
    }
}

/// A path of the console. Fails closed: whatever could lead elsewhere is none.
pub(super) fn own_path(path: &str) -> Option<&str> {
    let is_plain = path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    let is_page = path.starts_with("/console/") && !path.starts_with("/console/events");
    (is_plain && is_page && path.len() <= 2000).then_some(path)
}

/// The sign-in page.
pub(super) async fn form(
    State(state): State<ControlPlane>,
    headers: HeaderMap,
    QueryFields(mut query): QueryFields,
) -> Outcome<Response> {
    let next = query.lenient_text("next", 2000);
    let next = next.as_deref().and_then(own_path).unwrap_or("/console/");
    if caller(&state, &headers).await?.is_some() {
        return Ok(Redirect::to(next).into_response());
    }
    let flash = Flash::read(&headers);
    Ok(page(&state, StatusCode::OK, next, None, flash.as_ref()))
}

fn page(
    state: &ControlPlane,
    status: StatusCode,
    next: &str,
    problem: Option<(&str, &str)>,
    flash: Option<&Flash>,
) -> Response {
    let (email, said) = problem.map_or(("", None), |(email, said)| (email, Some(said)));
    let body = html! {
        div class="door" {
            (layout::brand())
            h1 { "Sign in" }
            @if let Some(flash) = flash { (flash.shown()) }
            @if let Some(said) = said {
                p class="notice bad" role="alert" { (said) }
            }
            form method="post" action="/console/login" {
                input type="hidden" name="next" value=(next);
                div class="field" {
                    label for="email" { "E-mail" }
                    input id="email" name="email" type="email" value=(email) autocomplete="username" required
                        maxlength="254" autofocus[email.is_empty()];
                }
                div class="field" {
                    label for="password" { "Password" }
                    input id="password" name="password" type="password" autocomplete="current-password" required
                        maxlength="1024" autofocus[!email.is_empty()];
                }
                button class="primary wide" { "Sign in" }
            }
            (oidc::button(state))
            @if flash.is_some() && state.authority.oidc_name().is_some() {
                p class="small" {
                    a href="/console/oidc/sign-out" { "Sign out at " (state.authority.oidc_name().unwrap_or("")) " too" }
                }
            }
            p class="soft small" {
                "Forgotten? An admin can make you a new one-time token; an owner who is locked out runs "
                code { "countersign user reset-password" } " on the machine."
            }
        }
    };
    let flashes = flash.map(|_| Flash::forgotten());
    let mut response = (status, layout::bare("Sign in", &body)).into_response();
    response.headers_mut().extend(flashes);
    response
}

/// Signs a person in.
pub(super) async fn log_in(
    State(state): State<ControlPlane>,
    ClientAddress(address): ClientAddress,
    headers: HeaderMap,
    form: Form,
) -> Outcome<Response> {
    let email = form.first("email").unwrap_or_default().trim().to_owned();
    let password = Zeroizing::new(form.first("password").unwrap_or_default().to_owned());
    let next = form.first("next").and_then(own_path).unwrap_or("/console/");
    if email.is_empty() || email.len() > 254 || password.is_empty() || password.len() > 4096 {
        let said = "Enter your e-mail address and your password.";
        return Ok(Rendered::of(page(&state, StatusCode::BAD_REQUEST, next, Some((&email, said)), None)));
    }
    match state.authority.log_in(&email, password, address).await {
        Ok(signed_in) => Ok(entered(&state, &headers, &signed_in, next)),
        Err(LoginError::SecondFactor(begun)) => {
            Ok(code_page(&begun, next, passkeys(&state, &begun).await?.as_ref(), None))
        }
        Err(error) => {
            let said = problem(&error);
            let failure = Failure::from(error);
            let shown =
                page(&state, failure.status, next, said.as_deref().map(|said| (email.as_str(), said)), None);
            if said.is_some() { Ok(Rendered::instead(failure, shown)) } else { Err(failure) }
        }
    }
}

/// What is told of a sign-in that failed; `None`: the platform failed.
fn problem(error: &LoginError) -> Option<String> {
    Some(match error {
        LoginError::Invalid => "The e-mail address or the password is wrong.".to_owned(),
        LoginError::Code => "The code or the passkey is wrong, or it was used before.".to_owned(),
        LoginError::Over => "That took more than five minutes. Begin again.".to_owned(),
        LoginError::TooMany(limit) => {
            let wait = parts::length(limit.retry_after);
            format!("Too many failed sign-ins. Try again in {wait}.")
        }
        LoginError::SecondFactor(_) | LoginError::Internal(_) => return None,
    })
}

/// What whoever waits to show a second factor may show in the place of a code.
async fn passkeys(state: &ControlPlane, begun: &BegunSignIn) -> Outcome<Option<PasskeyAsked>> {
    state.authority.passkeys_at_sign_in(begun).await.map_err(|error| Failure::internal(&error))
}

/// The page that asks for the second factor.
fn code_page(
    begun: &BegunSignIn,
    next: &str,
    passkeys: Option<&PasskeyAsked>,
    said: Option<&str>,
) -> Response {
    let body = html! {
        div class="door" {
            (layout::brand())
            h1 { "Second factor" }
            @if let Some(said) = said {
                p class="notice bad" role="alert" { (said) }
            }
            form method="post" action="/console/login/code" {
                input type="hidden" name="next" value=(next);
                input type="hidden" name="begun" value=(*begun.0);
                (pages::second_factor::code_field())
                button class="primary wide" { "Sign in" }
                @if passkeys.is_some() { (pages::passkeys::show_button(passkeys)) }
            }
            p class="soft small" {
                "Lost both? An owner can remove your second factor; an owner who is locked out runs "
                code { "countersign user reset-second-factor" } " on the machine. "
                a href="/console/login" { "Begin again" }
            }
        }
    };
    layout::bare("Second factor", &body).into_response()
}

/// Signs a person in whose password was right.
pub(super) async fn finish(
    State(state): State<ControlPlane>,
    ClientAddress(address): ClientAddress,
    headers: HeaderMap,
    form: Form,
) -> Outcome<Response> {
    let begun = BegunSignIn(Zeroizing::new(form.first("begun").unwrap_or_default().to_owned()));
    let next = form.first("next").and_then(own_path).unwrap_or("/console/");
    let mut fields = form.fields(&["begun", "next"]);
    let shown = factor(&mut fields).unwrap_or(ShownFactor::Code(Zeroizing::default()));
    fields.finish()?;
    match state.authority.finish_sign_in(&begun, &shown, address).await {
        Ok(signed_in) => Ok(entered(&state, &headers, &signed_in, next)),
        Err(error) => {
            let (said, is_over) = (problem(&error), matches!(error, LoginError::Over));
            let failure = Failure::from(error);
            let Some(said) = said else { return Err(failure) };
            let shown = if is_over {
                page(&state, failure.status, next, Some(("", &said)), None)
            } else {
                code_page(&begun, next, passkeys(&state, &begun).await?.as_ref(), Some(&said))
            };
            Ok(Rendered::instead(failure, shown))
        }
    }
}

fn entered(state: &ControlPlane, headers: &HeaderMap, signed_in: &SignedIn, next: &str) -> Response {
    let mut response = Redirect::to(next).into_response();
    response.headers_mut().extend([keep_session(state, signed_in, is_over_tls(headers))]);
    response
}

/// The cookie that keeps a session.
pub(super) fn keep_session(
    state: &ControlPlane,
    signed_in: &SignedIn,
    is_over_tls: bool,
) -> (HeaderName, HeaderValue) {
    let seconds = signed_in.expires_at.since(state.authority.now()).as_secs();
    set_cookie(if is_over_tls { SESSION_TLS } else { SESSION }, &signed_in.token, seconds)
}

/// Whether the browser came over TLS, as it says itself: the Origin of a form is that of its page.
fn is_over_tls(headers: &HeaderMap) -> bool {
    headers.get(header::ORIGIN).is_some_and(|origin| origin.as_bytes().starts_with(b"https://"))
}

/// Ends the session.
pub(super) async fn log_out(State(state): State<ControlPlane>, entered: Entered) -> Outcome<Response> {
    let ended = state.authority.log_out(&entered.caller, &entered.token).await;
    ended.map_err(|error| Failure::internal(&error))?;
    let mut response = Redirect::to("/console/login").into_response();
    let headers = response.headers_mut();
    for name in [SESSION, SESSION_TLS] {
        let (name, value) = set_cookie(name, "", 0);
        headers.append(name, value);
    }
    let (name, value) = Flash::new(Tone::Good, "You are signed out.").cookie();
    headers.append(name, value);
    Ok(response)
}

/// Keeps which colours somebody wants.
pub(super) async fn choose_theme(form: Form) -> Response {
    let (value, seconds) = match form.first("theme") {
        Some("light") => ("light", LONG),
        Some("dark") => ("dark", LONG),
        Some(_) | None => ("", 0),
    };
    back(&form, set_cookie(THEME, value, seconds))
}

/// Keeps which tenant pages are about.
pub(super) async fn choose_tenant(
    State(state): State<ControlPlane>,
    visit: Visit,
    form: Form,
) -> Outcome<Response> {
    let by = visit.may::<countersign_authority::View>()?;
    let wanted = form.first("tenant").map(str::trim).filter(|tenant| !tenant.is_empty());
    let Some(wanted) = wanted else { return Ok(back(&form, set_cookie(TENANT, "", 0))) };
    let tenant = state.authority.find_tenant(&by, wanted).await?;
    Ok(back(&form, set_cookie(TENANT, tenant.slug.as_str(), LONG)))
}

/// Back to the page that a form was on.
fn back(form: &Form, cookie: (HeaderName, HeaderValue)) -> Response {
    let next = form.first("next").and_then(own_path).unwrap_or("/console/");
    let mut response = Redirect::to(next).into_response();
    response.headers_mut().extend([cookie]);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sign_in_leads_to_pages_of_the_console_and_nowhere_else() {
        for good in ["/console/", "/console/devices?q=a%20b&status=online", "/console/devices/1"] {
            assert_eq!(own_path(good), Some(good));
        }
        for bad in [
            "",
            "/",
            "//evil.example/console/",
            "https://evil.example/",
            "/console",
            "/consoles/",
            "/console/\\evil",
            "/console/a b",
            "/console/\r\nset-cookie: a=b",
            "/console/events",
            "/api/v1/devices",
        ] {
            assert_eq!(own_path(bad), None, "{bad}");
        }
    }

    #[test]
    fn cookies_are_found_whatever_stands_around_them() {
        let mut headers = HeaderMap::new();
        headers.append(header::COOKIE, HeaderValue::from_static("a=1; countersign_session=css_x"));
        headers.append(header::COOKIE, HeaderValue::from_static("b=2"));
        assert_eq!(cookie(&headers, SESSION), Some("css_x"));
        assert_eq!(cookie(&headers, "b"), Some("2"));
        assert_eq!(cookie(&headers, "session"), None);
    }

    #[test]
    fn a_cookie_of_tls_is_sent_over_nothing_else() {
        assert!(set_cookie(SESSION_TLS, "x", 1).1.to_str().unwrap().ends_with("; Secure"));
        let plain = set_cookie(SESSION, "x", 1).1;
        let plain = plain.to_str().unwrap();
        assert!(plain.contains("HttpOnly; SameSite=Strict; Max-Age=1") && !plain.contains("Secure"));
    }
}
