//! `countersign tenant create | list | suspend | resume`.

use clap::Subcommand;
use countersign_api::wire::admin::{CreateTenantRequest, Decided, TenantBody, TenantList};
use countersign_core::ids::Tenant;
use http::Method;
use serde_json::json;

use super::admin_server::AdminServer;
use super::failure::Failure;
use super::output::{print, print_json};
use super::server_flags::ServerFlags;
use super::table::{Cell, Table};

/// `tenant …`.
#[derive(Debug, Subcommand)]
pub(super) enum TenantCommand {
    /// Make one
    #[command(
        after_help = "A token needs the scope tenants:write and to be an owner's.\n\nExample:\n  countersign tenant create acme --name 'Acme Ltd'"
    )]
    Create(Box<TenantCreateArguments>),
    /// Show those that you may see
    #[command(after_help = "A token needs the scope tenants:read.\n\nExample:\n  countersign tenant list")]
    List(Box<ServerFlags>),
    /// Serve its devices nowhere: live connections are cut
    #[command(
        after_help = "A token needs the scope tenants:write and to be an owner's.\n\nExample:\n  countersign tenant suspend acme"
    )]
    Suspend(Box<TenantArguments>),
    /// Serve its devices again
    #[command(
        after_help = "A token needs the scope tenants:write and to be an owner's.\n\nExample:\n  countersign tenant resume acme"
    )]
    Resume(Box<TenantArguments>),
}

/// `tenant create`.
#[derive(Debug, clap::Args)]
pub(super) struct TenantCreateArguments {
    /// Its slug: small letters, digits and dashes; it is in every identity of its devices
    #[arg(value_name = "TENANT")]
    tenant: Tenant,
    /// Its name for people; the slug when absent
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    #[command(flatten)]
    server: ServerFlags,
}

/// `tenant suspend | resume`.
#[derive(Debug, clap::Args)]
pub(super) struct TenantArguments {
    /// Its slug
    #[arg(value_name = "TENANT")]
    tenant: Tenant,
    #[command(flatten)]
    server: ServerFlags,
}

/// Does what was asked for.
pub(super) fn run(command: TenantCommand) -> Result<(), Failure> {
    match command {
        TenantCommand::Create(arguments) => create(*arguments),
        TenantCommand::List(flags) => list(&flags),
        TenantCommand::Suspend(arguments) => {
            serve(&arguments, "suspend", "suspended: its devices are refused")
        }
        TenantCommand::Resume(arguments) => serve(&arguments, "resume", "resumed: its devices are served"),
    }
}

fn create(arguments: TenantCreateArguments) -> Result<(), Failure> {
    let slug = arguments.tenant.to_string();
    let request = CreateTenantRequest { name: arguments.name.unwrap_or_else(|| slug.clone()), slug };
    let server = AdminServer::of(&arguments.server)?;
    let made: TenantBody = server.ask(Method::POST, "/tenants", &json!(request).to_string())?;
    if arguments.server.json { Ok(print_json(&made)?) } else { Ok(print(&format!("{}\n", made.id))?) }
}

fn list(flags: &ServerFlags) -> Result<(), Failure> {
    let found: TenantList = AdminServer::of(flags)?.ask(Method::GET, "/tenants", "")?;
    if flags.json {
        return Ok(print_json(&found)?);
    }
    let mut table = Table::new(&["tenant", "name", "state", "since", "id"]);
    for tenant in &found.tenants {
        let state = if tenant.suspended_at.is_some() { "suspended" } else { "running" };
        table.push(vec![
            Cell::from(&tenant.slug),
            Cell::from(&tenant.name),
            Cell::state(state),
            Cell::maybe(tenant.suspended_at.as_ref()),
            Cell::from(&tenant.id),
        ]);
    }
    Ok(print(&table.text("there are no tenants"))?)
}

fn serve(arguments: &TenantArguments, verb: &str, said: &str) -> Result<(), Failure> {
    let server = AdminServer::of(&arguments.server)?;
    let path = format!("/tenants/{}/{verb}", arguments.tenant);
    let decided: Decided = server.ask(Method::POST, &path, "")?;
    if arguments.server.json {
        return Ok(print_json(&decided)?);
    }
    let edges = decided.applied_edges;
    Ok(print(&format!("{}  {said}; {} of {} edges know\n", arguments.tenant, edges.applied, edges.total))?)
}
