//! Failures as pages, and the headers that every page has.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use countersign_core::ids::RequestId;
use http::header::{self, HeaderName};
use http::{HeaderValue, StatusCode};
use maud::html;

use super::layout;
use crate::failure::{FailedWith, Failure};

/// Marks an answer whose body is a page already: it is reported like any other and stays as it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rendered;

/// A page may load our own script, style and pictures, call its own server and send its forms there, and
/// nothing else; nobody may frame it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                      connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

const PROTECTED: [(HeaderName, &str); 5] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::REFERRER_POLICY, "same-origin"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

impl Rendered {
    /// A page with the status of a failure that is told on it.
    pub(super) fn of(mut page: Response) -> Response {
        page.extensions_mut().insert(Self);
        page
    }

    /// The page that tells a failure, in the place of the usual one.
    pub(super) fn instead(failure: Failure, page: Response) -> Response {
        let (parts, _empty) = failure.into_response().into_parts();
        let mut page = page;
        *page.status_mut() = parts.status;
        page.headers_mut().extend(parts.headers);
        page.extensions_mut().extend(parts.extensions);
        Self::of(page)
    }
}

/// What is answered where there is no page.
pub(super) fn no_such_page() -> Response {
    Failure::not_found("page").into_response()
}

/// Makes pages of failures, and protects every page.
pub(super) async fn render(request: Request, next: Next) -> Response {
    let id = request.extensions().get::<RequestId>().copied();
    let mut response = next.run(request).await;
    let status = response.status();
    let is_failure = status.is_client_error() || status.is_server_error();
    if is_failure && response.extensions().get::<Rendered>().is_none() {
        response = Rendered::of(shown(response, id));
    }
    for (name, value) in PROTECTED {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// The page of a failure, with everything that its answer says besides.
fn shown(response: Response, id: Option<RequestId>) -> Response {
    let (mut parts, _body) = response.into_parts();
    let failed = parts.extensions.get::<FailedWith>().map(|failed| &failed.body);
    let sentence = failed.map_or("This page does not take that", |body| body.error.as_str());
    let fields = failed.map(|body| body.fields.clone()).unwrap_or_default();
    let title = title(parts.status);
    let body = html! {
        div class="door" {
            (layout::brand())
            p class="status soft" { (parts.status.as_u16()) }
            h1 { (title) }
            p { (sentence) "." }
            @if !fields.is_empty() {
                ul { @for (name, problem) in &fields { li { code { (name) } " " (problem) } } }
            }
            @if let Some(advice) = advice(parts.status) { p { (advice) } }
            p class="actions" {
                a class="button" href="/console/" { "Go to the overview" }
            }
            @if let Some(id) = id {
                p class="soft small" { "Request " code { (id) } }
            }
        }
    };
    parts.headers.remove(header::CONTENT_LENGTH);
    let page = layout::bare(title, &body).into_response();
    parts.headers.extend(page.headers().clone());
    Response::from_parts(parts, page.into_body())
}

fn title(status: StatusCode) -> &'static str {
    match status {
        StatusCode::NOT_FOUND => "Not found",
        StatusCode::FORBIDDEN => "Not allowed",
        StatusCode::CONFLICT => "That has changed meanwhile",
        StatusCode::BAD_REQUEST => "That cannot be read",
        StatusCode::TOO_MANY_REQUESTS => "Too many requests",
        StatusCode::METHOD_NOT_ALLOWED => "Not from here",
        StatusCode::SERVICE_UNAVAILABLE => "That cannot be done now",
        _ if status.is_server_error() => "Something went wrong",
        _ => "That did not work",
    }
}

const fn advice(status: StatusCode) -> Option<&'static str> {
    match status {
        StatusCode::FORBIDDEN => Some("Somebody with a higher role can do it, or give you that role."),
        StatusCode::INTERNAL_SERVER_ERROR => {
            Some("The server's log has the cause under the request's number.")
        }
        StatusCode::SERVICE_UNAVAILABLE => {
            Some("Try again in a moment: doors and edges go on by what they know.")
        }
        _ => None,
    }
}
