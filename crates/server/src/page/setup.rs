//! GET `/setup`: the page behind the one-time link that is printed at the first start. Its three
//! files are part of the program.
//!
//! The token comes in the link's fragment, which browsers do not send: the page's script reads it
//! and puts it into the body of POST `/api/v1/setup`.

use axum::extract::State;
use axum::response::{Html, IntoResponse};
use countersign_authority::people::SetupState;
use http::header::{self, HeaderName};

use crate::failure::{Failure, Outcome};
use crate::state::ControlPlane;

const DOCUMENT: &str = include_str!("setup/setup.html");
const STYLE: &str = include_str!("setup/setup.css");
const SCRIPT: &str = include_str!("setup/setup.js");

/// Where the document says what state the setup is in; the style shows the part that belongs to it.
const STATE: &str = "{{state}}";

/// The page may load its own script and style and call its own server, and nothing else.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      form-action 'none'; frame-ancestors 'none'; base-uri 'none'";

const PROTECTED: [(HeaderName, &str); 3] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];

/// The page that makes the first owner.
#[utoipa::path(get, path = "/setup", tag = "pages", operation_id = "getSetupPage",
    responses((status = 200, content_type = "text/html", body = String),
        (status = 500, body = countersign_api::ErrorBody, description = "`INTERNAL`")))]
pub(crate) async fn document(State(state): State<ControlPlane>) -> Outcome<impl IntoResponse> {
    let setup = state.authority.setup_state().await.map_err(|error| Failure::internal(&error))?;
    let name = match setup {
        SetupState::Open => "open",
        SetupState::Over => "over",
        SetupState::Done => "done",
    };
    Ok((PROTECTED, Html(DOCUMENT.replace(STATE, name))))
}

/// The page's style.
#[utoipa::path(get, path = "/setup/setup.css", tag = "pages", operation_id = "getSetupStyle",
    responses((status = 200, content_type = "text/css", body = String)))]
pub(crate) async fn style() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], STYLE)
}

/// The page's script.
#[utoipa::path(get, path = "/setup/setup.js", tag = "pages", operation_id = "getSetupScript",
    responses((status = 200, content_type = "text/javascript", body = String)))]
pub(crate) async fn script() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/javascript; charset=utf-8")], SCRIPT)
}
