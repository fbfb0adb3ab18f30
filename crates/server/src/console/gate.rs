//! The gate in front of every route of the console: who comes, with which cookie, and whether a form is from
//! a page of ours.

use axum::extract::{FromRequestParts, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Redirect, Response};
use countersign_authority::authorized::Caller;
use countersign_core::ids::SecretHash;
use http::request::Parts;
use http::{Method, StatusCode};
use maud::{Markup, html};

use super::form::Form;
use super::routes::Needs;
use super::session;
use crate::failure::{Failure, Outcome};
use crate::request::Unread;
use crate::state::ControlPlane;

/// The form field that shows that a form is from a page of this session's.
pub(super) const CSRF_FIELD: &str = "csrf";

/// Begins what the field's value is the hash of, so that it is the hash of nothing else.
const CSRF_DOMAIN: &str = "countersign console form v1\n";

/// The longest form taken.
const FORM_LIMIT: usize = 256 << 10;

/// What stands in front of a route.
#[derive(Clone)]
pub(super) struct Gate {
    pub(super) state: ControlPlane,
    pub(super) needs: Needs,
}

/// Somebody who came through the gate.
#[derive(Clone)]
pub(super) struct Entered {
    pub(super) caller: Caller,
    pub(super) token: String,
}

impl Entered {
    /// The field that every form has.
    pub(super) fn csrf(&self) -> Markup {
        html! { input type="hidden" name=(CSRF_FIELD) value=(csrf_value(&self.token)); }
    }
}

impl FromRequestParts<ControlPlane> for Entered {
    type Rejection = Failure;
    async fn from_request_parts(parts: &mut Parts, _state: &ControlPlane) -> Result<Self, Failure> {
        parts.extensions.get::<Self>().cloned().ok_or_else(Failure::unauthorized)
    }
}

/// The value that forms of a session carry.
fn csrf_value(token: &str) -> SecretHash {
    SecretHash::of(&format!("{CSRF_DOMAIN}{token}"))
}

/// Lets a request through.
///
/// Fails closed: without a session it leads to the sign-in page, without a second factor that is asked of
/// everybody to where one is set up, and a form without its session's mark is
/// refused whoever sends it. What somebody may do is for the page to ask, of the caller.
pub(super) async fn pass(State(gate): State<Gate>, request: Request, next: Next) -> Response {
    match admit(&gate, request).await {
        Ok(Admission::Through(request)) => next.run(*request).await,
        Ok(Admission::Elsewhere(path)) => Redirect::to(&path).into_response(),
        Err(failure) => failure.into_response(),
    }
}

enum Admission {
    Through(Box<Request>),
    /// Whoever has no session signs in first, and whoever lacks a second factor sets one up, there.
    Elsewhere(String),
}

async fn admit(gate: &Gate, mut request: Request) -> Outcome<Admission> {
    let is_form = request.method() == Method::POST;
    let entered = match gate.needs {
        Needs::Nothing => None,
        Needs::Account | Needs::Role(_) => match session::caller(&gate.state, request.headers()).await? {
            Some(entered) => Some(entered),
            None => return Ok(Admission::Elsewhere(session::path_from(&request))),
        },
    };
    if entered.as_ref().is_some_and(|entered| entered.caller.lacks_second_factor())
        && gate.needs != Needs::Account
    {
        return Ok(Admission::Elsewhere("/console/second-factor".to_owned()));
    }
    if is_form {
        let (parts, body) = request.into_parts();
        let form = Form::parse(&Unread::of(body).bytes(FORM_LIMIT).await?);
        if let Some(entered) = &entered
            && !is_ours(&form, entered)
        {
            return Err(foreign_form());
        }
        request = Request::from_parts(parts, axum::body::Body::empty());
        request.extensions_mut().insert(form);
    }
    if let Some(entered) = entered {
        request.extensions_mut().insert(entered);
    }
    Ok(Admission::Through(Box::new(request)))
}

fn is_ours(form: &Form, entered: &Entered) -> bool {
    let shown = form.first(CSRF_FIELD).and_then(|value| value.parse::<SecretHash>().ok());
    shown.is_some_and(|shown| shown.matches(&csrf_value(&entered.token)))
}

fn foreign_form() -> Failure {
    Failure::new(
        StatusCode::FORBIDDEN,
        "FORM_NOT_OURS",
        "This form is not from a page of your present session; go back, load the page again and send it anew",
    )
}
