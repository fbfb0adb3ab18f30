//! The frame of every page: where one can go, as what, and for which tenant.

use axum::response::{Html, IntoResponse as _, Response};
use countersign_authority::Administer;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::assets;
use super::flash::Flash;
use super::icons::Icon;
use super::visit::Visit;

/// A place to go. To add a page, add its line here and its routes in `routes.rs`.
struct Place {
    path: &'static str,
    name: &'static str,
    icon: Icon,
    seen_by: SeenBy,
}

/// Who is shown a place; the page itself asks again.
#[derive(Clone, Copy)]
enum SeenBy {
    Everyone,
    /// Admins.
    Admins,
    /// People who are bound to no tenant.
    Unbound,
}

const fn place(path: &'static str, name: &'static str, icon: Icon) -> Place {
    Place { path, name, icon, seen_by: SeenBy::Everyone }
}

impl Place {
    const fn seen_by(self, seen_by: SeenBy) -> Self {
        Self { seen_by, ..self }
    }

    fn is_shown(&self, visit: &Visit) -> bool {
        match self.seen_by {
            SeenBy::Everyone => true,
            SeenBy::Admins => visit.can::<Administer>(),
            SeenBy::Unbound => visit.is_unbound(),
        }
    }

    fn is_here(&self, here: &str) -> bool {
        let path = here.split('?').next().unwrap_or(here);
        let below = path.strip_prefix(self.path).is_some_and(|rest| rest.starts_with('/'));
        path == self.path || (self.path != "/console/" && below)
    }
}

const PLACES: &[(&str, &[Place])] = &[
    (
        "Fleet",
        &[
            place("/console/", "Overview", Icon::Overview),
            place("/console/devices", "Devices", Icon::Devices),
            place("/console/quarantine", "Quarantine", Icon::Quarantine),
            place("/console/keys", "Enrolment keys", Icon::Key),
            place("/console/alerts", "Alerts", Icon::Alerts),
        ],
    ),
    (
        "Doors",
        &[
            place("/console/rules", "Rules", Icon::Rules),
            place("/console/messages", "Messages", Icon::Messages),
            place("/console/edges", "Edges", Icon::Edges).seen_by(SeenBy::Unbound),
        ],
    ),
    (
        "Trust",
        &[
            place("/console/rollout", "Rollout", Icon::Rollout),
            place("/console/certificates", "Certificates", Icon::Certificate),
            place("/console/cas", "Authorities", Icon::Tree),
            place("/console/audit", "Audit", Icon::Audit),
        ],
    ),
    (
        "Administration",
        &[
            place("/console/people", "People", Icon::People).seen_by(SeenBy::Admins),
            place("/console/tokens", "API tokens", Icon::Token),
        ],
    ),
];

/// How many tenants are offered as a list; of more, one is named.
const LISTED_TENANTS: usize = 100;

/// The mark and the name.
pub(super) fn brand() -> Markup {
    html! {
        a class="brand" href="/console/" {
            svg viewBox="0 0 32 32" width="24" height="24" aria-hidden="true" {
                circle cx="16" cy="16" r="14" {}
                path d="M6.5 17.5l4.5 4.5 9-11M15.5 20.5l1.5 1.5 9-11" {}
            }
            span { "Countersign" }
        }
    }
}

fn document(title: &str, theme: Option<&str>, body: &Markup) -> Html<String> {
    let whole = html! {
        (DOCTYPE)
        html lang="en" data-theme=[theme] {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) " · Countersign" }
                link rel="icon" href=(assets::path("icon.svg")) type="image/svg+xml";
                link rel="stylesheet" href=(assets::path("console.css"));
                script src=(assets::path("console.js")) defer {}
            }
            (body)
        }
    };
    Html(whole.into_string())
}

/// A page for whoever is not signed in, and for failures.
pub(super) fn bare(title: &str, body: &Markup) -> Html<String> {
    document(title, None, &html! { body class="bare" { main id="main" { (body) } } })
}

/// A page.
pub(super) fn page(visit: &Visit, title: &str, body: &Markup) -> Response {
    let framed = html! {
        body {
            a class="skip" href="#main" { "Skip to the page" }
            (side(visit))
            (bar(visit))
            main id="main" tabindex="-1" {
                @if let Some(flash) = &visit.flash { (flash.shown()) }
                (body)
            }
            p id="said" class="spoken" role="status" {}
        }
    };
    let mut response = document(title, visit.theme, &framed).into_response();
    if visit.flash.is_some() {
        response.headers_mut().extend([Flash::forgotten()]);
    }
    response
}

/// The column beside pages, where there is room for one.
fn side(visit: &Visit) -> Markup {
    html! {
        header class="side" {
            (brand())
            (tenants(visit, "side"))
            nav aria-label="Pages of the console" { (places(visit)) }
            (person(visit))
        }
    }
}

/// The bar above pages, where there is not.
fn bar(visit: &Visit) -> Markup {
    html! {
        header class="top" {
            (brand())
            details {
                summary { (Icon::Menu.shown()) span { "Menu" } }
                div class="sheet" {
                    (tenants(visit, "bar"))
                    nav aria-label="Menu" { (places(visit)) }
                    (person(visit))
                }
            }
        }
    }
}

fn places(visit: &Visit) -> Markup {
    html! {
        @for (group, places) in PLACES {
            @if places.iter().any(|place| place.is_shown(visit)) {
                p class="group" { (group) }
                ul {
                    @for place in places.iter().filter(|place| place.is_shown(visit)) {
                        li {
                            a href=(place.path) aria-current=[place.is_here(&visit.here).then_some("page")] {
                                (place.icon.shown())
                                span { (place.name) }
                                @if place.path == "/console/quarantine" && visit.waiting() > 0 {
                                    span class="badge" {
                                        (super::words::number_of(visit.waiting()))
                                        span class="spoken" { " wait for a decision" }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Which tenant pages are about; for whoever sees one alone, that one.
fn tenants(visit: &Visit, place: &str) -> Markup {
    let id = format!("tenant-{place}");
    let chosen = visit.tenant.as_ref().map(|tenant| tenant.slug.as_str());
    if !visit.is_unbound() {
        return html! { p class="tenant" { span class="soft" { "Tenant " } strong { (chosen.unwrap_or("")) } } };
    }
    if visit.tenants.len() < 2 && chosen.is_none() {
        return html! {};
    }
    html! {
        form class="tenant" method="post" action="/console/tenant" {
            (visit.csrf())
            input type="hidden" name="next" value=(without_cursor(&visit.here));
            label class="spoken" for=(id) { "Tenant" }
            @if visit.tenants.len() <= LISTED_TENANTS {
                select id=(id) name="tenant" data-submits {
                    option value="" selected[chosen.is_none()] { "All tenants" }
                    @for tenant in &visit.tenants {
                        option value=(tenant.slug) selected[chosen == Some(tenant.slug.as_str())] {
                            (tenant.name)
                        }
                    }
                }
            } @else {
                input id=(id) name="tenant" value=(chosen.unwrap_or("")) placeholder="All tenants" maxlength="63";
            }
            button class="quiet" { "Go" }
        }
    }
}

/// A page's path without its place in a list: another tenant's list begins at its beginning.
fn without_cursor(here: &str) -> &str {
    let is_list = here.contains('?');
    if is_list { here.split('?').next().unwrap_or(here) } else { here }
}

fn person(visit: &Visit) -> Markup {
    let themes = [("", "Auto"), ("light", "Light"), ("dark", "Dark")];
    html! {
        div class="person" {
            a href="/console/account" title="Your account" {
                strong { (visit.person.email) }
                span class="soft" { (visit.person.role) }
            }
            div class="row" {
                form class="themes" method="post" action="/console/theme" role="group" aria-label="Colours" {
                    (visit.csrf())
                    input type="hidden" name="next" value=(visit.here);
                    @for (value, name) in themes {
                        button class="quiet" name="theme" value=(value)
                            aria-pressed=(visit.theme.unwrap_or("") == value) { (name) }
                    }
                }
                form method="post" action="/console/logout" {
                    (visit.csrf())
                    button class="quiet" { "Sign out" }
                }
            }
        }
    }
}

/// A part of a page that is fetched again when something of these topics changes.
pub(super) fn live(id: &str, topics: &str, body: &Markup) -> Markup {
    html! { div id=(id) data-live=(topics) { (PreEscaped(&body.0)) } }
}
