//! Proves, for every route of the console, that whoever is not signed in is led to the sign-in page, that a
//! role below the table's and people of another tenant are refused, and that no form is taken without the
//! mark of its own session.

use countersign_server::{ConsoleRoute, Needs, console_routes};
use countersign_store::Role;
use http::{Method, StatusCode, header};
use serde_json::json;

use crate::in_process::{Answer, Call, Device, OWN, Person, Plane, Whose};

/// What the routes are about.
struct About {
    device: Device,
    key: String,
    edge: String,
    user: String,
    token: String,
    alert: String,
}

impl About {
    async fn make(plane: &Plane) -> Self {
        let key = plane.as_owner(Call::post("/api/v1/enrollment-keys", &json!({ "tenant": OWN }))).await;
        let edge = plane.as_owner(Call::post("/api/v1/edges", &json!({ "name": "fra-1" }))).await;
        let wanted = json!({ "email": "spare@example.com", "role": "viewer", "tenant": OWN });
        let user = plane.as_owner(Call::post("/api/v1/users", &wanted)).await.field("id");
        let token = plane.as_owner(Call::post("/api/v1/api-tokens", &json!({ "name": "spare" }))).await;
        let device = plane.device(OWN).await;
        plane.message_set_aside(OWN).await;
        let alert = plane.as_owner(Call::post("/api/v1/alerts/test", &json!({}))).await.field("id");
        let (key, edge, token) = (key.field("id"), edge.field("id"), token.field("id"));
        Self { device, key, edge, user, token, alert }
    }

    /// A route's path, about a device, a key or a message of the tenant's, or about an edge.
    fn path(&self, route: &ConsoleRoute) -> String {
        let id = match route.path.split('/').nth(2) {
            Some("keys") => &self.key,
            Some("edges") => &self.edge,
            Some("alerts") => &self.alert,
            Some("messages") => "1",
            Some("people") => &self.user,
            Some("tokens") => &self.token,
            Some("settings") => OWN,
            Some("cas") => "device",
            _ => &self.device.id,
        };
        let path = route.path.replace("{id}", id);
        if route.path == "/console/decide" && route.method == Method::GET {
            return format!("{path}?act=quarantine&id={}", self.device.id);
        }
        path
    }

    /// A request that would do something, were it let in.
    fn call(&self, route: &ConsoleRoute, mark: &str) -> Call {
        if route.method == Method::GET {
            return Call::get(self.path(route));
        }
        let fields = [
            ("csrf", mark),
            ("act", "quarantine"),
            ("id", &self.device.id),
            ("reason", "tried"),
            ("type", "ping"),
            ("tenant", OWN),
        ];
        Call::form(self.path(route), &fields)
    }
}

/// Whether a route is about something of a tenant's.
fn is_of_a_tenant(route: &ConsoleRoute) -> bool {
    let is_about_one =
        route.path.contains("{id}") && !route.path.ends_with("/revoke") && !is_of_everybody(route);
    is_about_one || route.path == "/console/decide"
}

/// Whether a route is about the whole installation, and so not for whoever is bound to a tenant.
fn is_of_everybody(route: &ConsoleRoute) -> bool {
    ["/console/edges/", "/console/alerts/", "/console/sign-in-settings", "/console/cas/", "/console/rules/"]
        .iter()
        .any(|place| route.path.starts_with(place))
}

const fn rank(role: Role) -> u8 {
    match role {
        Role::Viewer => 0,
        Role::Operator => 1,
        Role::Admin => 2,
        Role::Owner => 3,
    }
}

async fn mark(plane: &Plane, session: &str) -> String {
    plane.page(Call::get("/console/account"), session).await.mark()
}

fn is_sign_in(answer: &Answer) -> bool {
    answer.status == StatusCode::SEE_OTHER
        && answer.header(&header::LOCATION).split('?').next() == Some("/console/login")
}

fn guarded() -> impl Iterator<Item = (&'static ConsoleRoute, Role)> {
    // What changes is told for as long as somebody listens.
    let routes = console_routes().iter().filter(|route| route.path != "/console/events");
    routes.filter_map(|route| match route.needs {
        Needs::Nothing => None,
        Needs::Account => Some((route, Role::Viewer)),
        Needs::Role(role) => Some((route, role)),
    })
}

#[tokio::test]
async fn who_has_no_session_signs_in_first() {
    let plane = Plane::start().await;
    let about = About::make(&plane).await;
    let token = json!({ "name": "full" });
    let token = plane.as_owner(Call::post("/api/v1/api-tokens", &token)).await.field("token");
    let device = about.device.token.as_str();
    for route in console_routes().iter().filter(|route| route.needs != Needs::Nothing) {
        for session in ["", "css_0000", &plane.people.disabled, &plane.people.late, &token, device] {
            let answer = plane.page(about.call(route, ""), session).await;
            assert!(is_sign_in(&answer), "{} {} {session}: {answer:?}", route.method, route.path);
        }
    }
}

#[tokio::test]
async fn a_role_below_the_tables_is_refused_with_a_page() {
    let plane = Plane::start().await;
    let about = About::make(&plane).await;
    for person in plane.people.all.iter().filter(|person| person.whose != Whose::Another) {
        let mark = mark(&plane, &person.token).await;
        for (route, role) in guarded().filter(|(route, _)| route.path != "/console/logout") {
            let answer = plane.page(about.call(route, &mark), &person.token).await;
            // An API token is its person's, and this one the owner's.
            let is_unbound_owner = person.role == Role::Owner && person.whose == Whose::Everyones;
            let is_anothers = route.path.starts_with("/console/tokens/") && !is_unbound_owner;
            let is_bound = is_of_everybody(route) && person.whose != Whose::Everyones;
            let is_low = rank(person.role) < rank(role) || is_bound || is_anothers;
            let is_refused = answer.status == StatusCode::FORBIDDEN;
            assert_eq!(is_low, is_refused, "{:?} {} {}: {answer:?}", person, route.method, route.path);
            assert!(!is_sign_in(&answer), "{} {}", route.method, route.path);
            assert!(!answer.status.is_server_error(), "{} {}: {answer:?}", route.method, route.path);
        }
    }
}

#[tokio::test]
async fn people_of_another_tenant_neither_see_nor_decide() {
    let plane = Plane::start().await;
    let about = About::make(&plane).await;
    let others = |person: &&Person| person.whose == Whose::Another;
    for person in plane.people.all.iter().filter(others) {
        let mark = mark(&plane, &person.token).await;
        for (route, _) in guarded().filter(|(route, _)| is_of_a_tenant(route)) {
            let answer = plane.page(about.call(route, &mark), &person.token).await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{} {}: {answer:?}", route.method, route.path);
        }
        for path in ["/console/", "/console/devices", "/console/quarantine", "/console/keys"] {
            let page = plane.page(Call::get(path), &person.token).await;
            assert!(!page.text.contains(OWN) && !page.text.contains(&about.device.id), "{path}: {page:?}");
        }
        let revoke = Call::form(format!("/console/keys/{}/revoke", about.key), &[("csrf", &mark)]);
        assert_eq!(plane.page(revoke, &person.token).await.status, StatusCode::FORBIDDEN);
    }
    let shown = plane.as_owner(Call::get(format!("/api/v1/devices/{}", about.device.id))).await.json();
    assert_eq!(shown["status"], "pending", "somebody decided");
}

#[tokio::test]
async fn a_form_without_the_mark_of_its_session_is_refused() {
    let plane = Plane::start().await;
    let about = About::make(&plane).await;
    let foreign = mark(&plane, plane.people.token(Role::Owner, Whose::Own)).await;
    for (route, _) in guarded().filter(|(route, _)| route.method == Method::POST) {
        for mark in ["", "0", &"0".repeat(64), foreign.as_str(), plane.owner.as_str()] {
            let answer = plane.page(about.call(route, mark), &plane.owner).await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{} {mark}: {answer:?}", route.path);
            assert!(answer.text.contains("not from a page of your present session"), "{answer:?}");
        }
    }
    let own = mark(&plane, &plane.owner).await;
    let call = about.call(console_routes().iter().find(|route| route.path == "/console/theme").unwrap(), "");
    let elsewhere = call.header("host", "localhost:8080").header("origin", "https://evil.example");
    assert_eq!(plane.admin(elsewhere).await.code(), "ORIGIN_NOT_ALLOWED");
    let good = Call::form("/console/theme", &[("csrf", &own), ("theme", "dark")]);
    assert_eq!(plane.page(good, &plane.owner).await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn assets_are_kept_for_good_and_only_this_versions() {
    let plane = Plane::start().await;
    let page = plane.page(Call::get("/console/"), &plane.owner).await;
    let (_, rest) = page.text.split_once("stylesheet\" href=\"").unwrap();
    let style = rest.split('"').next().unwrap();
    let call = Call::get(style);
    let answer = plane.asset(call).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert!(answer.header(&header::CACHE_CONTROL).contains("immutable"), "{answer:?}");
    let other = style.replace("/assets/", "/assets/0");
    assert_eq!(plane.asset(Call::get(other)).await.status, StatusCode::NOT_FOUND);
}
