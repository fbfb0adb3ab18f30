//! People and API tokens: who may what, and inviting, changing and sending away.

use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse as _, Redirect, Response};
use countersign_authority::api_tokens::{ApiTokenRow, WantedToken};
use countersign_authority::second_factor::SecondFactorPolicy;
use countersign_authority::users::{
    AccountStanding, ListedUser, Role, Sight, SignsIn, UserChange, WantedUser,
};
use countersign_authority::{Administer, Own, View};
use countersign_core::ids::UserId;
use countersign_core::time::Timestamp;
use maud::{Markup, html};

use crate::admin::second_factor::policy;
use crate::console::error_page::Rendered;
use crate::console::flash::{Flash, Tone};
use crate::console::form::Form;
use crate::console::icons::Icon;
use crate::console::layout::{live, page as framed};
use crate::console::parts::{ago, ago_or, copyable, empty, exactly, head, pill, problems, until};
use crate::console::visit::Visit;
use crate::failure::{Failure, Outcome};
use crate::request::{Segment, named};
use crate::state::ControlPlane;

const ROLES: [(Role, &str); 4] = [
    (Role::Viewer, "viewer: sees"),
    (Role::Operator, "operator: also decides about devices"),
    (Role::Admin, "admin: also changes settings and people"),
    (Role::Owner, "owner: everything"),
];

const DAY: Duration = Duration::from_secs(86_400);

/// Everybody, and a form that invites.
pub(in crate::console) async fn people(State(state): State<ControlPlane>, visit: Visit) -> Outcome<Response> {
    everybody(&state, &visit, None).await
}

async fn everybody(state: &ControlPlane, visit: &Visit, failure: Option<&Failure>) -> Outcome<Response> {
    let by = visit.may::<Administer>()?;
    let people = state.authority.list_users(&by).await.map_err(|error| Failure::internal(&error))?;
    let policy = state.authority.second_factor_policy(&visit.may::<View>()?).await;
    let policy = policy.map_err(|error| Failure::internal(&error))?;
    let body = html! {
        (head("People", "Who signs in here, and what they may.", html! {}))
        div class="two" {
            (live("people", "administration", &html! { div class="panel flush" { (people_table(visit, &people)) } }))
            div {
                (invitation(visit, failure))
                @if visit.is_unbound() && visit.can::<Own>() { (sign_in_settings(visit, policy)) }
            }
        }
    };
    Ok(framed(visit, "People", &body))
}

fn people_table(visit: &Visit, people: &[ListedUser]) -> Markup {
    html! {
        table class="list stacks" {
            thead {
                tr {
                    th scope="col" { "Person" }
                    th scope="col" { "Role" }
                    th scope="col" { "Sees" }
                    th scope="col" { "Standing" }
                    th scope="col" { span class="spoken" { "Change" } }
                }
            }
            tbody {
                @for ListedUser { row, tenant, has_second_factor, signs_in } in people {
                    tr {
                        td class="main" { (row.email) p class="soft" { "since " (ago(visit.now, row.created_at)) } }
                        td data-label="Role" { (row.role) }
                        td data-label="Sees" {
                            @match tenant { Some(tenant) => (tenant), None => "every tenant" }
                        }
                        td data-label="Standing" {
                            @if row.disabled_at.is_some() { (pill("bad", "disabled")) }
                            @else if *signs_in == SignsIn::AtProvider { (pill("good", "at the provider")) }
                            @else if row.password_hash.is_none() { (pill("info", "invited")) }
                            @else { (pill("good", "may sign in")) }
                            @if *has_second_factor { " " (pill("info", "second factor")) }
                        }
                        td class="decide" {
                            a class="button" href={ "/console/people/" (row.id) } {
                                "Change…" span class="spoken" { " " (row.email) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn invitation(visit: &Visit, failure: Option<&Failure>) -> Markup {
    html! {
        form class="panel" method="post" action="/console/people" {
            (visit.csrf())
            div class="panel-head" { h2 { "Invite somebody" } }
            (problems(failure))
            div class="field" {
                label for="email" { "E-mail" }
                input id="email" name="email" type="email" required maxlength="254" autocomplete="off";
            }
            (role_field(Role::Viewer))
            (tenant_field(visit, None))
            button class="primary" { "Invite" }
            p class="hint" { "You get a one-time token for them, good for 24 hours. They set their password with it." }
        }
    }
}

fn sign_in_settings(visit: &Visit, chosen: SecondFactorPolicy) -> Markup {
    let policies =
        [(SecondFactorPolicy::Optional, "whoever set one up"), (SecondFactorPolicy::Required, "everybody")];
    html! {
        form class="panel" method="post" action="/console/sign-in-settings" {
            (visit.csrf())
            div class="panel-head" { h2 { "Second factor" } }
            div class="field" {
                label for="policy" { "Who needs one" }
                select id="policy" name="secondFactor" {
                    @for (policy, name) in policies {
                        option value=(policy) selected[policy == chosen] { (name) }
                    }
                }
            }
            button { "Save" }
            p class="hint" { "Whoever has none is led to set one up before anything else. API tokens go on." }
        }
    }
}

fn role_field(chosen: Role) -> Markup {
    html! {
        div class="field" {
            label for="role" { "Role" }
            select id="role" name="role" {
                @for (role, name) in ROLES { option value=(role) selected[role == chosen] { (name) } }
            }
        }
    }
}

/// Which tenants somebody sees; for whoever is bound to one, that one.
fn tenant_field(visit: &Visit, chosen: Option<&str>) -> Markup {
    html! {
        @if visit.is_unbound() {
            div class="field" {
                label for="sees" { "Sees" }
                select id="sees" name="tenant" {
                    option value="" selected[chosen.is_none()] { "every tenant" }
                    @for tenant in &visit.tenants {
                        option value=(tenant.slug) selected[chosen == Some(tenant.slug.as_str())] { (tenant.name) }
                    }
                }
            }
        }
    }
}

/// Invites somebody, and shows their token this once.
pub(in crate::console) async fn invite(
    State(state): State<ControlPlane>,
    visit: Visit,
    form: Form,
) -> Outcome<Response> {
    let by = visit.may::<Administer>()?;
    let made = match read_person(&form) {
        Ok(wanted) => state.authority.create_user(&by, wanted).await.map_err(Failure::from),
        Err(failure) => Err(failure),
    };
    let created = match made {
        Ok(created) => created,
        Err(failure) if failure.status.is_client_error() => {
            let shown = everybody(&state, &visit, Some(&failure)).await?;
            return Ok(Rendered::instead(failure, shown));
        }
        Err(failure) => return Err(failure),
    };
    let Some(invitation) = created.invitation else {
        return Ok(Redirect::to("/console/people").into_response());
    };
    Ok(token_page(&visit, &created.user.row.email, &invitation.token, invitation.expires_at))
}

fn read_person(form: &Form) -> Outcome<WantedUser> {
    let mut fields = form.fields(&[]);
    let email = fields.required_text("email", 254);
    let role = fields.required_parsed("role");
    let tenant = fields.text("tenant", 64);
    if !email.is_empty() && !email.contains('@') {
        fields.problem("email", "must be an e-mail address");
    }
    fields.refuse_unknown();
    fields.finish()?;
    let role = role.ok_or_else(|| Failure::invalid_field("role", "is required"))?;
    Ok(WantedUser { email, role, tenant, password: None })
}

fn token_page(visit: &Visit, email: &str, token: &str, expires_at: Timestamp) -> Response {
    let call = format!(
        "curl <this server>/api/v1/auth/set-password -H 'content-type: application/json' \\\n  \
         -d '{{\"token\": \"{token}\", \"password\": \"…\"}}'"
    );
    let body = html! {
        (head(format!("A token for {email}"), html! { "Good once, until " (exactly(expires_at)) "." }, html! {}))
        section class="panel narrow" {
            p class="notice" { "It is shown this once. Hand it over by a way you trust." }
            (copyable("token", token))
            h2 { "How a password is set with it" }
            (copyable("call", &call))
            div class="actions" { a class="button" href="/console/people" { "Back to people" } }
        }
    };
    framed(visit, "A one-time token", &body)
}

/// One person, to be changed.
pub(in crate::console) async fn person(
    State(state): State<ControlPlane>,
    visit: Visit,
    Segment(id): Segment,
) -> Outcome<Response> {
    let by = visit.may::<Administer>()?;
    let user = state.authority.user(&by, named::<UserId>(&id, "user")?).await?;
    let tenant = user.tenant.as_ref().map(|tenant| tenant.as_str());
    let is_disabled = user.row.disabled_at.is_some();
    let body = html! {
        (head(&user.row.email, "A change ends their sessions and revokes their API tokens at once.", html! {}))
        form class="panel narrow" method="post" action={ "/console/people/" (user.row.id) } {
            (visit.csrf())
            (role_field(user.row.role))
            (tenant_field(&visit, tenant))
            div class="field check" {
                input id="disabled" name="disabled" type="checkbox" checked[is_disabled];
                label for="disabled" { "May not sign in" }
            }
            div class="actions" {
                button class="primary" { "Save" }
                a class="button quiet" href="/console/people" { "Back" }
            }
        }
        @if user.signs_in == SignsIn::Here {
            form class="panel narrow" method="post" action={ "/console/people/" (user.row.id) "/token" } {
                (visit.csrf())
                h2 { "Forgotten password" }
                p { "A one-time token with which they set a new one, good for 24 hours. Until then nothing changes." }
                div class="actions" { button { "Make a token" } }
            }
        }
        @if user.has_second_factor && visit.can::<Own>() {
            form class="panel narrow" method="post" action={ "/console/people/" (user.row.id) "/second-factor" } {
                (visit.csrf())
                h2 { "Lost second factor" }
                p { "Their password alone lets them in then, to set up another one. Their sessions end." }
                div class="actions" { button class="danger" { "Remove the second factor" } }
            }
        }
    };
    Ok(framed(&visit, "Change a person", &body))
}

/// Changes what somebody may, what they see, or whether they may sign in.
pub(in crate::console) async fn change(
    State(state): State<ControlPlane>,
    visit: Visit,
    Segment(id): Segment,
    form: Form,
) -> Outcome<Response> {
    let by = visit.may::<Administer>()?;
    let id: UserId = named(&id, "user")?;
    state.authority.user(&by, id).await?;
    let mut fields = form.fields(&["disabled"]);
    let role = fields.parsed("role");
    let tenant = fields.text("tenant", 64);
    fields.refuse_unknown();
    fields.finish()?;
    let sight = || tenant.map_or(Sight::All, Sight::One);
    let change = UserChange {
        role,
        tenant: visit.is_unbound().then(sight),
        standing: Some(if form.is_ticked("disabled") {
            AccountStanding::Disabled
        } else {
            AccountStanding::Enabled
        }),
    };
    let user = state.authority.change_user(&by, id, change).await?;
    Ok(told("/console/people", format!("{} is changed.", user.row.email)))
}

/// Removes somebody's second factor, who lost it.
pub(in crate::console) async fn remove_second_factor(
    State(state): State<ControlPlane>,
    visit: Visit,
    Segment(id): Segment,
) -> Outcome<Response> {
    let by = visit.may::<Own>()?;
    state.authority.remove_second_factor(&by, named(&id, "user")?).await?;
    Ok(told("/console/people", "The second factor is removed.".to_owned()))
}

/// Says whether everybody needs a second factor.
pub(in crate::console) async fn change_sign_in_settings(
    State(state): State<ControlPlane>,
    visit: Visit,
    form: Form,
) -> Outcome<Response> {
    let by = visit.may::<Own>()?;
    by.covers_all()?;
    let policy = policy(form.fields(&[]))?;
    state.authority.set_second_factor_policy(&by, policy).await?;
    let said = match policy {
        SecondFactorPolicy::Optional => "Whoever set up a second factor signs in with it.",
        SecondFactorPolicy::Required => "Everybody needs a second factor from now on.",
    };
    Ok(told("/console/people", said.to_owned()))
}

/// Makes a one-time token with which somebody sets a new password.
pub(in crate::console) async fn reset(
    State(state): State<ControlPlane>,
    visit: Visit,
    Segment(id): Segment,
) -> Outcome<Response> {
    let by = visit.may::<Administer>()?;
    let id: UserId = named(&id, "user")?;
    let user = state.authority.user(&by, id).await?;
    let token = state.authority.reset_password(&by, id).await?;
    Ok(token_page(&visit, &user.row.email, &token.token, token.expires_at))
}

fn told(path: &str, text: String) -> Response {
    Flash::new(Tone::Good, text).then(path)
}

/// API tokens: one's own, and for admins everybody's.
pub(in crate::console) async fn tokens(State(state): State<ControlPlane>, visit: Visit) -> Outcome<Response> {
    token_list(&state, &visit, None).await
}

async fn token_list(state: &ControlPlane, visit: &Visit, failure: Option<&Failure>) -> Outcome<Response> {
    let by = visit.may::<View>()?;
    let tokens = state.authority.list_api_tokens(&by).await.map_err(|error| Failure::internal(&error))?;
    let body = html! {
        (head("API tokens", "What programs call the API with, in your name.", html! {}))
        div class="two" {
            (live("tokens", "administration", &html! {
                @if tokens.is_empty() {
                    div class="panel" { (empty(Icon::Token, "No API token", "A program that calls the API needs one.", html! {})) }
                } @else {
                    div class="panel flush" { (token_table(visit, &tokens)) }
                }
            }))
            form class="panel" method="post" action="/console/tokens" {
                (visit.csrf())
                div class="panel-head" { h2 { "Make an API token" } }
                (problems(failure))
                div class="field" {
                    label for="name" { "Name" }
                    input id="name" name="name" required maxlength="255" placeholder="nightly report";
                }
                div class="field" {
                    label for="role" { "Acts as" }
                    select id="role" name="role" {
                        @for (role, name) in ROLES { option value=(role) selected[role == Role::Viewer] { (name) } }
                    }
                }
                div class="field" {
                    label for="days" { "Works for days" }
                    input id="days" name="expiresInDays" type="number" min="1" max="365" value="90" required;
                }
                button class="primary" { "Make the token" }
            }
        }
    };
    Ok(framed(visit, "API tokens", &body))
}

fn token_table(visit: &Visit, tokens: &[ApiTokenRow]) -> Markup {
    html! {
        table class="list stacks" {
            thead {
                tr {
                    th scope="col" { "Token" }
                    th scope="col" { "Acts as" }
                    th scope="col" { "Last used" }
                    th scope="col" { "Ends" }
                    th scope="col" { span class="spoken" { "Revoke" } }
                }
            }
            tbody {
                @for token in tokens {
                    tr {
                        td class="main" { (token.name) p class="soft" { (token.user_email) } }
                        td data-label="Acts as" {
                            (token.role)
                            @if let Some(tenant) = &token.tenant_slug { p class="soft" { (tenant) } }
                        }
                        td data-label="Last used" { (ago_or(visit.now, token.last_used_at, "never")) }
                        td data-label="Ends" {
                            @if token.revoked_at.is_some() { (pill("bad", "revoked")) }
                            @else { (until(visit.now, token.expires_at)) }
                        }
                        td class="decide" {
                            @if token.revoked_at.is_none() && token.expires_at > visit.now {
                                form method="post" action={ "/console/tokens/" (token.id) "/revoke" } {
                                    (visit.csrf())
                                    button class="button" { "Revoke" span class="spoken" { " " (token.name) } }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Makes an API token, and shows it this once.
pub(in crate::console) async fn make_token(
    State(state): State<ControlPlane>,
    visit: Visit,
    form: Form,
) -> Outcome<Response> {
    let by = visit.may::<View>()?;
    let made = match read_token(&form) {
        Ok(wanted) => state.authority.create_api_token(&by, wanted).await.map_err(Failure::from),
        Err(failure) => Err(failure),
    };
    let created = match made {
        Ok(created) => created,
        Err(failure) if failure.status.is_client_error() => {
            let shown = token_list(&state, &visit, Some(&failure)).await?;
            return Ok(Rendered::instead(failure, shown));
        }
        Err(failure) => return Err(failure),
    };
    let body = html! {
        (head("The API token is made", html! { "It works until " (exactly(created.row.expires_at)) "." }, html! {}))
        section class="panel narrow" {
            p class="notice" { "It is shown this once. Copy it before you leave this page." }
            (copyable("token", &created.token))
            p class="soft" { "Programs send it as " code { "authorization: Bearer …" } "." }
            div class="actions" { a class="button" href="/console/tokens" { "Back to API tokens" } }
        }
    };
    Ok(framed(&visit, "The API token is made", &body))
}

fn read_token(form: &Form) -> Outcome<WantedToken> {
    let mut fields = form.fields(&[]);
    let days = fields.read("expiresInDays", |text| {
        let days = text.parse().ok().filter(|days| (1..=365_u32).contains(days));
        days.ok_or("must be a whole number from 1 to 365")
    });
    let wanted = WantedToken {
        name: fields.required_text("name", 255),
        role: fields.parsed("role"),
        tenant: None,
        scopes: None,
        life: DAY * days.unwrap_or(90),
    };
    fields.refuse_unknown();
    fields.finish()?;
    Ok(wanted)
}

/// Revokes an API token.
pub(in crate::console) async fn revoke_token(
    State(state): State<ControlPlane>,
    visit: Visit,
    Segment(id): Segment,
) -> Outcome<Response> {
    let by = visit.may::<View>()?;
    let row = state.authority.revoke_api_token(&by, named(&id, "API token")?).await?;
    Ok(told("/console/tokens", format!("The API token {} works no more.", row.name)))
}
