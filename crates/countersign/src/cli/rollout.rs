//! `countersign rollout show | blocked | back`: how far tenants are from `enforce`, and the way back.

use clap::Subcommand;
use countersign_api::wire::fleet::{BlockedList, RolledBack, RolloutReport};
use countersign_core::ids::Tenant;
use http::Method;

use super::admin_server::AdminServer;
use super::failure::Failure;
use super::output::{print, print_json};
use super::query::Query;
use super::server_flags::ServerFlags;
use super::service_arguments::PageFlags;
use super::table::{Cell, Table, Tone, more};

/// `rollout …`.
#[derive(Debug, Subcommand)]
pub(super) enum RolloutCommand {
    /// Show how many devices of each tenant are ready, and how many would have been blocked
    #[command(after_help = "A token needs the scope devices:read.\n\nExample:\n  countersign rollout show")]
    Show(Box<ServerFlags>),
    /// Show exactly which devices would have been blocked, and by what
    #[command(
        after_help = "A token needs the scope devices:read.\n\nExample:\n  countersign rollout blocked --tenant acme --days 1"
    )]
    Blocked(Box<BlockedArguments>),
    /// Take every tenant back to off, at once
    #[command(
        after_help = "A token needs the scope settings:write and to be an owner's.\n\nExample:\n  countersign rollout back"
    )]
    Back(Box<ServerFlags>),
}

/// `rollout blocked`.
#[derive(Debug, clap::Args)]
pub(super) struct BlockedArguments {
    /// Of this tenant alone, by its slug
    #[arg(long, value_name = "TENANT")]
    tenant: Option<Tenant>,
    /// With this code alone, such as MTLS_REQUIRED
    #[arg(long, value_name = "CODE")]
    code: Option<String>,
    /// How far back
    #[arg(long, value_name = "DAYS", default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=7))]
    days: u32,
    #[command(flatten)]
    page: PageFlags,
    #[command(flatten)]
    server: ServerFlags,
}

/// Does what was asked for.
pub(super) fn run(command: RolloutCommand) -> Result<(), Failure> {
    match command {
        RolloutCommand::Show(flags) => show(&flags),
        RolloutCommand::Blocked(arguments) => blocked(&arguments),
        RolloutCommand::Back(flags) => back(&flags),
    }
}

fn show(flags: &ServerFlags) -> Result<(), Failure> {
    let report: RolloutReport = AdminServer::of(flags)?.ask(Method::GET, "/rollout", "")?;
    if flags.json {
        return Ok(print_json(&report)?);
    }
    let columns =
        ["tenant", "enforcement", "devices", "ready", "no certificate", "expiring", "blocked 24h", "7d"];
    let mut table = Table::new(&columns);
    let count = |codes: &std::collections::BTreeMap<String, u64>| {
        let all: u64 = codes.values().sum();
        Cell::toned(&all.to_string(), if all == 0 { Tone::Good } else { Tone::Caution })
    };
    for tenant in &report.tenants {
        table.push(vec![
            Cell::from(&tenant.tenant),
            Cell::state(&tenant.enforcement.to_string()),
            Cell::from(&tenant.devices),
            Cell::from(&tenant.ready),
            Cell::from(&tenant.without_certificate),
            Cell::from(&tenant.expiring),
            count(&tenant.would_be_blocked.last24h),
            count(&tenant.would_be_blocked.last7d),
        ]);
    }
    Ok(print(&table.text("there are no tenants"))?)
}

fn blocked(arguments: &BlockedArguments) -> Result<(), Failure> {
    let query = Query::of("/rollout/blocked").by("tenant", arguments.tenant.as_ref());
    let query = query.by("code", arguments.code.as_ref()).by("days", Some(&arguments.days));
    let query = query.by("limit", Some(&arguments.page.limit)).by("cursor", arguments.page.cursor.as_ref());
    let found: BlockedList = AdminServer::of(&arguments.server)?.ask(Method::GET, query.path(), "")?;
    if arguments.server.json {
        return Ok(print_json(&found)?);
    }
    let mut table = Table::new(&["device", "tenant", "host name", "code", "rule", "last", "id"]);
    for device in &found.devices {
        table.push(vec![
            Cell::from(&device.name),
            Cell::from(&device.tenant),
            Cell::from(&device.hostname),
            Cell::from(&device.code),
            Cell::maybe(device.rule.as_ref()),
            Cell::from(&device.last_at),
            Cell::from(&device.id),
        ]);
    }
    Ok(print(&format!("{}{}", table.text("nobody would be blocked"), more(found.next_cursor.as_deref())))?)
}

fn back(flags: &ServerFlags) -> Result<(), Failure> {
    let back: RolledBack = AdminServer::of(flags)?.ask(Method::POST, "/rollout/back", "")?;
    if flags.json {
        return Ok(print_json(&back)?);
    }
    let edges = back.applied_edges;
    Ok(print(&format!(
        "tenants taken back to off: {}; {} of {} edges know\n",
        back.changed, edges.applied, edges.total
    ))?)
}
