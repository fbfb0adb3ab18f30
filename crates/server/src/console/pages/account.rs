//! GET `/console/account`: one's own account.

use axum::extract::State;
use axum::response::Response;
use countersign_authority::View;
use countersign_authority::passwords::Passwords;
use maud::html;
use zeroize::Zeroizing;

use crate::admin::passwords::check_length;
use crate::console::error_page::Rendered;
use crate::console::flash::{Flash, Tone};
use crate::console::form::Form;
use crate::console::layout::page as framed;
use crate::console::parts::{fact, head, problems};
use crate::console::visit::Visit;
use crate::failure::{Failure, Outcome};
use crate::request::ClientAddress;
use crate::state::ControlPlane;

/// The account.
pub(in crate::console) async fn page(visit: Visit) -> Outcome<Response> {
    visit.may::<View>()?;
    Ok(shown(&visit, None))
}

fn shown(visit: &Visit, failure: Option<&Failure>) -> Response {
    let sees = visit.person.tenant.as_ref().map_or("every tenant".to_owned(), ToString::to_string);
    let body = html! {
        (head("Your account", &visit.person.email, html! {}))
        section class="panel narrow" {
            dl class="facts" {
                (fact("Role", visit.person.role))
                (fact("Sees", sees))
                (fact("Id", html! { code { (visit.person.id) } }))
            }
        }
        section class="panel narrow" {
            h2 { "Second factor" }
            p { "A code of an app on your phone or a passkey, besides the password." }
            div class="actions" { a class="button" href="/console/second-factor" { "Second factor…" } }
        }
        form class="panel narrow" method="post" action="/console/account/password" {
            (visit.csrf())
            h2 { "Change your password" }
            (problems(failure))
            input class="spoken" type="text" name="email" value=(visit.person.email) autocomplete="username"
                tabindex="-1" aria-hidden="true" readonly;
            div class="field" {
                label for="current" { "Present password" }
                input id="current" name="currentPassword" type="password" autocomplete="current-password" required
                    maxlength="1024";
            }
            div class="field" {
                label for="new" { "New password" }
                input id="new" name="newPassword" type="password" autocomplete="new-password" required
                    minlength="12" maxlength="1024";
                p class="hint" { "At least 12 characters. Your other sessions end." }
            }
            div class="actions" { button class="primary" { "Change the password" } }
        }
    };
    framed(visit, "Your account", &body)
}

/// Changes one's own password.
pub(in crate::console) async fn change_password(
    State(state): State<ControlPlane>,
    ClientAddress(address): ClientAddress,
    visit: Visit,
    form: Form,
) -> Outcome<Response> {
    let by = visit.may::<View>()?;
    let given = |name| Zeroizing::new(form.first(name).unwrap_or_default().to_owned());
    let (current, new) = (given("currentPassword"), given("newPassword"));
    let mut fields = form.fields(&["currentPassword", "newPassword", "email"]);
    check_length(&mut fields, "newPassword", &new);
    fields.refuse_unknown();
    let changed = match fields.finish() {
        Ok(()) => {
            let passwords = Passwords { current, new };
            let changed = state.authority.change_password(&by, visit.token(), passwords, address).await;
            changed.map_err(Failure::from)
        }
        Err(failure) => Err(failure),
    };
    if let Err(failure) = changed {
        let page = shown(&visit, Some(&failure));
        return Ok(Rendered::instead(failure, page));
    }
    Ok(Flash::new(Tone::Good, "The password is changed. Your other sessions have ended.")
        .then("/console/account"))
}
