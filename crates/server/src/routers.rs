//! The two routers: what doors forward to, and what the admin listener serves.

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::describe::describe;
use crate::guard::{AllowedHosts, check_host_and_origin};
use crate::state::ControlPlane;
use crate::{admin, answer, console, device, edges, page, pki};

/// Whether admin routes are served behind the doors too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdminOnDoor {
    /// They are not.
    Hidden,
    /// They are, because the operator said so.
    Exposed,
}

/// What the doors forward to: agent routes, the public PKI and the health report.
pub fn door_router(state: ControlPlane, admin: AdminOnDoor) -> Router {
    let routes = agent_routes().merge(edge_routes()).merge(report_routes());
    let routes = routes.merge(pki_routes()).merge(health_routes());
    let routes = match admin {
        AdminOnDoor::Hidden => routes,
        AdminOnDoor::Exposed => routes.merge(admin_routes()),
    };
    let router = routes.split_for_parts().0;
    router
        .layer(from_fn(edges::arrive::refuse))
        .layer(from_fn_with_state(state.clone(), answer::complete))
        .layer(from_fn_with_state(state.clone(), edges::arrive::identify))
        .with_state(state)
}

/// What the admin listener serves. Agent routes are not among it: they need a door.
pub fn admin_router(state: ControlPlane, hosts: AllowedHosts) -> Router {
    let own = admin_routes().merge(report_routes()).merge(page_routes()).merge(metrics_routes());
    let routes = own.merge(pki_routes()).merge(health_routes());
    let routes = routes.split_for_parts().0.merge(console::router(&state));
    let guarded = routes.layer(from_fn_with_state(hosts, check_host_and_origin));
    guarded.layer(from_fn_with_state(state.clone(), answer::complete)).with_state(state)
}

fn agent_routes() -> OpenApiRouter<ControlPlane> {
    OpenApiRouter::new()
        .routes(routes!(device::enroll::enroll))
        .routes(routes!(device::renew::renew))
        .routes(routes!(device::renew::challenge))
        .routes(routes!(device::renew::confirm))
        .routes(routes!(device::credentials::rotate))
        .routes(routes!(device::credentials::confirm))
        .routes(routes!(device::credentials::unenroll))
        .routes(routes!(device::heartbeat::heartbeat))
        .routes(routes!(device::heartbeat::trust_bundle))
        .routes(routes!(device::commands::result))
        .routes(routes!(device::channel::open))
}

fn edge_routes() -> OpenApiRouter<ControlPlane> {
    OpenApiRouter::new()
        .routes(routes!(edges::equip::enroll))
        .routes(routes!(edges::equip::renew))
        .routes(routes!(edges::stream::open))
        .routes(routes!(edges::devices::messages))
        .routes(routes!(edges::devices::letters))
        .routes(routes!(edges::devices::logins))
}

fn admin_routes() -> OpenApiRouter<ControlPlane> {
    OpenApiRouter::new()
        .routes(routes!(admin::setup::set_up))
        .routes(routes!(admin::auth::log_in))
        .routes(routes!(admin::auth::log_out))
        .routes(routes!(admin::auth::me))
        .routes(routes!(admin::passwords::set))
        .routes(routes!(admin::passwords::change))
        .merge(second_factor_routes())
        .routes(routes!(admin::users::list, admin::users::create))
        .routes(routes!(admin::users::get, admin::users::patch))
        .routes(routes!(admin::users::reset_password))
        .routes(routes!(admin::sites::list, admin::sites::create))
        .routes(routes!(admin::sites::get, admin::sites::patch, admin::sites::delete))
        .routes(routes!(admin::api_tokens::list, admin::api_tokens::create))
        .routes(routes!(admin::api_tokens::revoke))
        .routes(routes!(admin::tenants::list, admin::tenants::create))
        .routes(routes!(admin::tenants::suspend))
        .routes(routes!(admin::tenants::resume))
        .routes(routes!(admin::enrollment_keys::list, admin::enrollment_keys::create))
        .routes(routes!(admin::enrollment_keys::revoke))
        .routes(routes!(admin::devices::list))
        .routes(routes!(admin::devices::get, admin::devices::patch))
        .routes(routes!(admin::devices::certificates))
        .routes(routes!(admin::commands::list, admin::commands::queue))
        .routes(routes!(admin::commands::get))
        .routes(routes!(admin::shadows::get, admin::shadows::put))
        .routes(routes!(admin::jobs::list, admin::jobs::create))
        .routes(routes!(admin::jobs::get))
        .routes(routes!(admin::jobs::cancel))
        .routes(routes!(admin::certificates::list))
        .routes(routes!(admin::device_tokens::rotate))
        .routes(routes!(
            admin::provisioning_tokens::get,
            admin::provisioning_tokens::set,
            admin::provisioning_tokens::remove
        ))
        .routes(routes!(admin::bulk::approve))
        .routes(routes!(admin::bulk::revoke))
        .routes(routes!(admin::bulk::preview))
        .routes(routes!(admin::bulk::execute))
        .routes(routes!(admin::denials::list))
        .routes(routes!(admin::denials::lift_key))
        .routes(routes!(admin::denials::lift_trait))
        .routes(routes!(admin::rollout::get))
        .routes(routes!(admin::rollout::blocked))
        .routes(routes!(admin::rollout::back))
        .routes(routes!(admin::certificates::get))
        .routes(routes!(admin::certificates::revoke))
        .routes(routes!(admin::settings::get, admin::settings::patch))
        .routes(routes!(admin::agent_settings::get, admin::agent_settings::patch))
        .routes(routes!(admin::quarantine::list))
        .routes(routes!(admin::quarantine::approve))
        .routes(routes!(admin::quarantine::deny))
        .routes(routes!(admin::quarantine::decommission))
        .routes(routes!(admin::quarantine::quarantine))
        .routes(routes!(admin::audit::query))
        .routes(routes!(admin::audit_export::export))
        .routes(routes!(admin::audit_streams::list))
        .routes(routes!(admin::audit_verification::get))
        .routes(routes!(admin::anchors::list, admin::anchors::create))
        .routes(routes!(admin::anchors::latest))
        .routes(routes!(admin::anchors::get))
        .merge(service_routes())
        .merge(alert_routes())
        .merge(rule_routes())
        .routes(routes!(edges::admin::list, edges::admin::add))
        .routes(routes!(edges::admin::revoke))
        .routes(routes!(admin::messages::telemetry))
        .routes(routes!(admin::messages::list))
        .routes(routes!(admin::messages::get))
        .routes(routes!(admin::messages::release))
        .routes(routes!(admin::monitors::list))
        .routes(routes!(admin::monitors::accept))
        .routes(routes!(admin::trusts::list, admin::trusts::add))
        .routes(routes!(admin::trusts::remove))
        .routes(routes!(admin::rotation::status, admin::rotation::prepare))
        .routes(routes!(admin::rotation::canary))
        .routes(routes!(admin::rotation::activate))
        .routes(routes!(admin::rotation::retire))
        .routes(routes!(admin::rotation::roll_back))
}

fn second_factor_routes() -> OpenApiRouter<ControlPlane> {
    OpenApiRouter::new()
        .routes(routes!(admin::second_factor::get))
        .routes(routes!(admin::second_factor::begin_totp))
        .routes(routes!(admin::second_factor::confirm_totp))
        .routes(routes!(admin::passkeys::begin))
        .routes(routes!(admin::passkeys::confirm))
        .routes(routes!(admin::passkeys::ask))
        .routes(routes!(admin::passkeys::remove))
        .routes(routes!(admin::second_factor::renew_codes))
        .routes(routes!(admin::second_factor::remove_own))
        .routes(routes!(admin::second_factor::remove))
        .routes(routes!(admin::second_factor::settings, admin::second_factor::change_settings))
}

fn alert_routes() -> OpenApiRouter<ControlPlane> {
    OpenApiRouter::new()
        .routes(routes!(admin::alerts::list))
        .routes(routes!(admin::alerts::test))
        .routes(routes!(admin::alerts::acknowledge))
        .routes(routes!(admin::alerts::silences, admin::alerts::silence))
        .routes(routes!(admin::alerts::end_silence))
}

fn rule_routes() -> OpenApiRouter<ControlPlane> {
    OpenApiRouter::new()
        .routes(routes!(admin::rules::list, admin::rules::create))
        .routes(routes!(admin::rules::replace, admin::rules::remove))
        .routes(routes!(admin::rules::relocate))
        .routes(routes!(admin::rule_trials::test))
        .routes(routes!(admin::rule_trials::import))
        .routes(routes!(admin::rule_history::list))
        .routes(routes!(admin::rule_history::get))
        .routes(routes!(admin::rule_history::restore))
        .routes(routes!(admin::rule_history::observed))
}

fn service_routes() -> OpenApiRouter<ControlPlane> {
    OpenApiRouter::new()
        .routes(routes!(admin::service_certificates::list, admin::service_certificates::issue))
        .routes(routes!(admin::service_imports::import))
        .routes(routes!(admin::service_certificates::get, admin::service_imports::remove))
        .routes(routes!(admin::service_certificates::renew))
        .routes(routes!(admin::service_certificates::revoke))
}

/// Seed 003's, for devices at a door and for people.
fn report_routes() -> OpenApiRouter<ControlPlane> {
    OpenApiRouter::new().routes(routes!(admin::reported::report)).routes(routes!(admin::reported::recent))
}

fn page_routes() -> OpenApiRouter<ControlPlane> {
    OpenApiRouter::new()
        .routes(routes!(page::setup::document))
        .routes(routes!(page::setup::style))
        .routes(routes!(page::setup::script))
        .routes(routes!(page::description::description))
}

fn pki_routes() -> OpenApiRouter<ControlPlane> {
    OpenApiRouter::new()
        .routes(routes!(pki::publish::bundle))
        .routes(routes!(pki::publish::ca))
        .routes(routes!(pki::publish::crl))
        .routes(routes!(pki::ocsp::post))
        .routes(routes!(pki::ocsp::get))
}

/// For Prometheus; at the admin listener alone.
fn metrics_routes() -> OpenApiRouter<ControlPlane> {
    OpenApiRouter::new().routes(routes!(admin::metrics::read))
}

fn health_routes() -> OpenApiRouter<ControlPlane> {
    OpenApiRouter::new().routes(routes!(admin::health::health)).routes(routes!(admin::health::ready))
}

/// The OpenAPI 3.1 description of every route, generated from the code.
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    let people = admin_routes().merge(report_routes()).merge(page_routes()).merge(metrics_routes());
    describe(agent_routes().merge(edge_routes()).merge(people).merge(pki_routes()).merge(health_routes()))
}
