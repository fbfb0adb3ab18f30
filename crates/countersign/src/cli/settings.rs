//! `countersign settings show | set`: a tenant's settings of certificates and agents.

use clap::{ArgGroup, Subcommand};
use countersign_api::wire::admin::{MtlsSettingsBody, MtlsSettingsPatch};
use countersign_api::wire::agent_settings::{AgentSettingsBody, AgentSettingsPatch};
use countersign_core::ids::Tenant;
use countersign_core::settings::{Enforcement, ExpiredCertPolicy};
use http::Method;
use serde_json::json;

use super::admin_server::AdminServer;
use super::device_arguments::on_or_off;
use super::failure::Failure;
use super::output::{print, print_json};
use super::server_flags::ServerFlags;
use super::table::sheet;

/// `settings …`.
#[derive(Debug, Subcommand)]
pub(super) enum SettingsCommand {
    /// Show them
    #[command(
        after_help = "A token needs the scope settings:read.\n\nExample:\n  countersign settings show acme"
    )]
    Show(Box<SettingsShowArguments>),
    /// Change what is named, and nothing else
    #[command(
        after_help = "A token needs the scope settings:write and to be an admin's. `countersign rollout show` says who would be blocked by enforce.\n\nExample:\n  countersign settings set acme --cert-lifetime-days 30 --enforcement enforce"
    )]
    Set(Box<SettingsSetArguments>),
}

/// `settings show`.
#[derive(Debug, clap::Args)]
pub(super) struct SettingsShowArguments {
    /// Whose, by its slug
    #[arg(value_name = "TENANT")]
    tenant: Tenant,
    #[command(flatten)]
    server: ServerFlags,
}

/// `settings set`.
#[derive(Debug, clap::Args)]
#[command(group(ArgGroup::new("what").required(true).multiple(true)))]
pub(super) struct SettingsSetArguments {
    /// Whose, by its slug
    #[arg(value_name = "TENANT")]
    tenant: Tenant,
    /// How long a device's certificate lives
    #[arg(long, value_name = "DAYS", group = "what", value_parser = clap::value_parser!(u16).range(1..=365))]
    cert_lifetime_days: Option<u16>,
    /// What happens to an expired one: auto_reissue or quarantine
    #[arg(long, value_name = "POLICY", group = "what")]
    expired_cert_policy: Option<ExpiredCertPolicy>,
    /// Whether a certificate is needed: off, observe or enforce
    #[arg(long, value_name = "MODE", group = "what")]
    enforcement: Option<Enforcement>,
    /// Whether the server may make keys of devices
    #[arg(long, value_name = "on|off", group = "what", value_parser = on_or_off, action = clap::ArgAction::Set)]
    allow_server_generated_keys: Option<bool>,
    /// Whether a renewal by bearer token alone is accepted, which proves nothing about the key
    #[arg(long, value_name = "on|off", group = "what", value_parser = on_or_off, action = clap::ArgAction::Set)]
    allow_bearer_only_renewal: Option<bool>,
    /// How long sessions of a superseded certificate may go on
    #[arg(long, value_name = "HOURS", group = "what", value_parser = clap::value_parser!(u16).range(0..=720))]
    renewal_overlap_hours: Option<u16>,
    /// How long after its end an expired certificate may be renewed
    #[arg(long, value_name = "DAYS", group = "what", value_parser = clap::value_parser!(u16).range(1..=365))]
    recovery_window_days: Option<u16>,
    /// How often agents say that they are there
    #[arg(long, value_name = "SECONDS", group = "what", value_parser = clap::value_parser!(u16).range(10..=3600))]
    heartbeat_interval: Option<u16>,
    /// How often agents measure
    #[arg(long, value_name = "SECONDS", group = "what", value_parser = clap::value_parser!(u16).range(5..=3600))]
    metrics_interval: Option<u16>,
    #[command(flatten)]
    server: ServerFlags,
}

/// Does what was asked for.
pub(super) fn run(command: SettingsCommand) -> Result<(), Failure> {
    match command {
        SettingsCommand::Show(arguments) => {
            let server = AdminServer::of(&arguments.server)?;
            show(&server, &arguments.tenant, arguments.server.json)
        }
        SettingsCommand::Set(arguments) => set(&arguments),
    }
}

fn set(arguments: &SettingsSetArguments) -> Result<(), Failure> {
    let server = AdminServer::of(&arguments.server)?;
    let path = format!("/agents/org/{}/settings", arguments.tenant);
    let agent = AgentSettingsPatch {
        heartbeat_interval_seconds: arguments.heartbeat_interval,
        metrics_collection_interval_seconds: arguments.metrics_interval,
    };
    if arguments.heartbeat_interval.is_some() || arguments.metrics_interval.is_some() {
        let body = json!(agent).to_string();
        let _set: AgentSettingsBody = server.ask(Method::PATCH, &format!("{path}/agent"), &body)?;
    }
    let mtls = json!(MtlsSettingsPatch {
        cert_lifetime_days: arguments.cert_lifetime_days,
        expired_cert_policy: arguments.expired_cert_policy,
        enforcement: arguments.enforcement,
        allow_server_generated_keys: arguments.allow_server_generated_keys,
        allow_bearer_only_renewal: arguments.allow_bearer_only_renewal,
        renewal_overlap_hours: arguments.renewal_overlap_hours,
        recovery_window_days: arguments.recovery_window_days.map(Some),
    });
    if mtls.as_object().is_some_and(|named| !named.is_empty()) {
        let _set: MtlsSettingsBody = server.ask(Method::PATCH, &format!("{path}/mtls"), &mtls.to_string())?;
    }
    show(&server, &arguments.tenant, arguments.server.json)
}

fn show(server: &AdminServer, tenant: &Tenant, as_json: bool) -> Result<(), Failure> {
    let path = format!("/agents/org/{tenant}/settings");
    let mtls: MtlsSettingsBody = server.ask(Method::GET, &format!("{path}/mtls"), "")?;
    let agent: AgentSettingsBody = server.ask(Method::GET, &format!("{path}/agent"), "")?;
    if as_json {
        return Ok(print_json(&json!({ "tenant": tenant, "mtls": mtls, "agent": agent }))?);
    }
    let on = |is_on: bool| if is_on { "on" } else { "off" }.to_owned();
    Ok(print(&sheet(&[
        ("tenant", tenant.to_string()),
        ("enforcement", mtls.enforcement.to_string()),
        ("certificates live", format!("{} days", mtls.cert_lifetime_days)),
        ("expired ones", mtls.expired_cert_policy.to_string()),
        ("recovery window", format!("{} days", mtls.recovery_window_days)),
        ("renewal overlap", format!("{} hours", mtls.renewal_overlap_hours)),
        ("keys made by the server", on(mtls.allow_server_generated_keys)),
        ("renewal by token alone", on(mtls.allow_bearer_only_renewal)),
        ("heartbeat every", format!("{} s", agent.heartbeat_interval_seconds)),
        ("metrics every", format!("{} s", agent.metrics_collection_interval_seconds)),
    ]))?)
}
