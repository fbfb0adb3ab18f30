//! Every route of the console, and what it takes to be let in.

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::Redirect;
use axum::routing::{MethodRouter, get, post};
use countersign_authority::users::Role;
use http::Method;

use super::gate::{self, Gate};
use super::{assets, error_page, live, oidc, pages, session};
use crate::state::ControlPlane;

/// What it takes to be let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Nothing: whoever reaches the listener.
    Nothing,
    /// To be signed in, also where a second factor has to be set up first.
    Account,
    /// To be signed in, with this role or a higher one.
    Role(Role),
}

/// A route of the console.
#[derive(Clone, Debug)]
pub struct ConsoleRoute {
    /// Its method.
    pub method: Method,
    /// Its path; what is in braces varies.
    pub path: &'static str,
    /// What it takes to be let in.
    pub needs: Needs,
    serve: fn() -> MethodRouter<ControlPlane>,
}

macro_rules! routes {
    ($($verb:ident $path:literal $needs:ident => $handler:path;)+) => {
        &[$(ConsoleRoute {
            method: method!($verb),
            path: $path,
            needs: needs!($needs),
            serve: || $verb($handler),
        }),+]
    };
}

macro_rules! method {
    (get) => {
        Method::GET
    };
    (post) => {
        Method::POST
    };
}

macro_rules! needs {
    (Nothing) => {
        Needs::Nothing
    };
    (Account) => {
        Needs::Account
    };
    ($role:ident) => {
        Needs::Role(Role::$role)
    };
}

/// Every route of the console.
const ROUTES: &[ConsoleRoute] = routes! {
    get "/console/assets/{hash}/{file}" Nothing => assets::file;
    get "/console/login" Nothing => session::form;
    post "/console/login" Nothing => session::log_in;
    post "/console/login/code" Nothing => session::finish;
    get "/console/second-factor" Account => pages::second_factor::page;
    post "/console/second-factor" Account => pages::second_factor::begin;
    post "/console/second-factor/confirm" Account => pages::second_factor::confirm;
    post "/console/second-factor/passkeys" Account => pages::passkeys::begin;
    post "/console/second-factor/passkeys/confirm" Account => pages::passkeys::confirm;
    post "/console/second-factor/passkeys/challenge" Account => pages::passkeys::ask;
    post "/console/second-factor/passkeys/remove" Account => pages::passkeys::remove;
    post "/console/second-factor/codes" Account => pages::second_factor::renew_codes;
    post "/console/second-factor/remove" Account => pages::second_factor::remove;
    get "/console/oidc" Nothing => oidc::begin;
    get "/console/oidc/callback" Nothing => oidc::finish;
    get "/console/oidc/sign-out" Nothing => oidc::sign_out;
    post "/console/logout" Account => session::log_out;
    post "/console/theme" Viewer => session::choose_theme;
    post "/console/tenant" Viewer => session::choose_tenant;
    get "/console/events" Viewer => live::events;
    get "/console/" Viewer => pages::overview::page;
    get "/console/devices" Viewer => pages::devices::list;
    get "/console/devices/{id}" Viewer => pages::device::page;
    post "/console/devices/{id}/command" Operator => pages::device::command;
    get "/console/devices/{id}/provisioning-token" Admin => pages::provisioning::form;
    post "/console/devices/{id}/provisioning-token" Admin => pages::provisioning::set;
    post "/console/devices/{id}/provisioning-token/remove" Admin => pages::provisioning::remove;
    get "/console/decide" Operator => pages::decide::confirm;
    post "/console/decide" Operator => pages::decide::carry_out;
    get "/console/quarantine" Viewer => pages::quarantine::queue;
    get "/console/keys" Viewer => pages::keys::list;
    get "/console/keys/new" Operator => pages::keys::form;
    post "/console/keys/new" Operator => pages::keys::create;
    get "/console/keys/{id}/revoke" Operator => pages::keys::confirm_revoke;
    post "/console/keys/{id}/revoke" Operator => pages::keys::revoke;
    get "/console/alerts" Viewer => pages::alerts::list;
    post "/console/alerts/silence" Operator => pages::alerts::silence;
    post "/console/alerts/test" Operator => pages::alerts::test;
    post "/console/alerts/{id}/acknowledge" Operator => pages::alerts::acknowledge;
    post "/console/alerts/silences/{id}/end" Operator => pages::alerts::end_silence;
    get "/console/edges" Viewer => pages::edges::list;
    get "/console/edges/new" Admin => pages::edges::form;
    post "/console/edges/new" Admin => pages::edges::create;
    get "/console/edges/{id}/revoke" Admin => pages::edges::confirm_revoke;
    post "/console/edges/{id}/revoke" Admin => pages::edges::revoke;
    get "/console/rules" Viewer => pages::rules::list;
    post "/console/rules" Viewer => pages::rules::attempt;
    get "/console/rules/edit" Admin => pages::rule_editor::form;
    post "/console/rules/edit" Admin => pages::rule_editor::save;
    get "/console/rules/revisions" Viewer => pages::rule_history::page;
    post "/console/rules/revisions" Admin => pages::rule_history::restore;
    get "/console/messages" Viewer => pages::messages::telemetry;
    get "/console/messages/aside" Viewer => pages::messages::set_aside;
    get "/console/messages/aside/{id}" Viewer => pages::messages::one;
    post "/console/messages/aside/{id}/release" Operator => pages::messages::release;
    get "/console/rollout" Viewer => pages::rollout::page;
    get "/console/settings/{id}" Viewer => pages::rollout::settings;
    post "/console/settings/{id}" Admin => pages::rollout::change_settings;
    get "/console/certificates" Viewer => pages::trust::certificates;
    get "/console/cas" Viewer => pages::trust::cas;
    get "/console/cas/{id}/rotation" Viewer => pages::rotation::page;
    post "/console/cas/{id}/rotation" Owner => pages::rotation::step;
    get "/console/audit" Viewer => pages::audit::page;
    get "/console/audit/export" Viewer => pages::audit::export;
    get "/console/people" Admin => pages::people::people;
    post "/console/people" Admin => pages::people::invite;
    get "/console/people/{id}" Admin => pages::people::person;
    post "/console/people/{id}" Admin => pages::people::change;
    post "/console/people/{id}/token" Admin => pages::people::reset;
    post "/console/people/{id}/second-factor" Owner => pages::people::remove_second_factor;
    post "/console/sign-in-settings" Owner => pages::people::change_sign_in_settings;
    get "/console/tokens" Viewer => pages::people::tokens;
    post "/console/tokens" Viewer => pages::people::make_token;
    post "/console/tokens/{id}/revoke" Viewer => pages::people::revoke_token;
    get "/console/account" Viewer => pages::account::page;
    post "/console/account/password" Viewer => pages::account::change_password;
};

/// Every route of the console, for whoever checks that none lets in whom it should not.
#[must_use]
pub const fn console_routes() -> &'static [ConsoleRoute] {
    ROUTES
}

/// The console, each route behind its gate.
pub(crate) fn router(state: &ControlPlane) -> Router<ControlPlane> {
    let add = |router: Router<ControlPlane>, route: &ConsoleRoute| {
        let gate = Gate { state: state.clone(), needs: route.needs };
        router.route(route.path, (route.serve)().layer(from_fn_with_state(gate, gate::pass)))
    };
    let missing = || async { error_page::no_such_page() };
    let overview = || async { Redirect::to("/console/") };
    ROUTES
        .iter()
        .fold(Router::new(), add)
        .route("/console/{*rest}", get(missing).post(missing))
        .route("/console", get(overview))
        .route_layer(from_fn(error_page::render))
        .route("/", get(overview))
}
