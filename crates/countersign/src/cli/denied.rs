//! `countersign denied list | lift-key | lift-trait`: by what denied devices are known again.

use clap::Subcommand;
use countersign_api::wire::fleet::{DeniedKeyLifted, DeniedKeyList};
use countersign_core::ids::{SpkiSha256, Tenant};
use http::Method;
use serde_json::json;

use super::admin_server::{AdminServer, refused};
use super::failure::Failure;
use super::output::{print, print_json};
use super::query::Query;
use super::server_flags::ServerFlags;
use super::service_arguments::PageFlags;
use super::table::{Cell, Table, more};

/// `denied …`.
#[derive(Debug, Subcommand)]
pub(super) enum DeniedCommand {
    /// Show denied keys, latest first, and denied host names and hardware serials
    #[command(
        after_help = "A token needs the scope devices:read.\n\nExample:\n  countersign denied list --tenant acme"
    )]
    List(Box<DeniedListArguments>),
    /// Deny a key no more; the device stays decommissioned
    #[command(
        after_help = "A token needs the scope devices:write and to be an admin's.\n\nExample:\n  countersign denied lift-key 0b4d…e1"
    )]
    LiftKey(Box<LiftKeyArguments>),
    /// Let new devices with a host name or hardware serial in without approval again
    #[command(
        after_help = "A token needs the scope devices:write and to be an admin's.\n\nExample:\n  countersign denied lift-trait --tenant acme --hostname ws-01"
    )]
    LiftTrait(Box<LiftTraitArguments>),
}

/// `denied list`.
#[derive(Debug, clap::Args)]
pub(super) struct DeniedListArguments {
    /// Of this tenant alone, by its slug
    #[arg(long, value_name = "TENANT")]
    tenant: Option<Tenant>,
    #[command(flatten)]
    page: PageFlags,
    #[command(flatten)]
    server: ServerFlags,
}

/// `denied lift-key`.
#[derive(Debug, clap::Args)]
pub(super) struct LiftKeyArguments {
    /// The SHA-256 of the public key, hex
    #[arg(value_name = "SHA256")]
    key: SpkiSha256,
    #[command(flatten)]
    server: ServerFlags,
}

/// `denied lift-trait`.
#[derive(Debug, clap::Args)]
pub(super) struct LiftTraitArguments {
    /// Of which tenant, by its slug
    #[arg(long, value_name = "TENANT")]
    tenant: Tenant,
    /// The host name
    #[arg(long, value_name = "NAME", required_unless_present = "hardware_serial")]
    hostname: Option<String>,
    /// The hardware serial
    #[arg(long, value_name = "SERIAL", conflicts_with = "hostname")]
    hardware_serial: Option<String>,
    #[command(flatten)]
    server: ServerFlags,
}

/// Does what was asked for.
pub(super) fn run(command: DeniedCommand) -> Result<(), Failure> {
    match command {
        DeniedCommand::List(arguments) => list(&arguments),
        DeniedCommand::LiftKey(arguments) => lift_key(&arguments),
        DeniedCommand::LiftTrait(arguments) => lift_trait(&arguments),
    }
}

fn list(arguments: &DeniedListArguments) -> Result<(), Failure> {
    let query = Query::of("/denied-keys").by("tenant", arguments.tenant.as_ref());
    let query = query.by("limit", Some(&arguments.page.limit)).by("cursor", arguments.page.cursor.as_ref());
    let found: DeniedKeyList = AdminServer::of(&arguments.server)?.ask(Method::GET, query.path(), "")?;
    if arguments.server.json {
        return Ok(print_json(&found)?);
    }
    let mut table = Table::new(&["what", "value", "tenant", "device", "denied"]);
    for key in &found.denied_keys {
        table.push(vec![
            Cell::from(&"key"),
            Cell::from(&key.spki_sha256),
            Cell::from(&key.tenant),
            Cell::from(&key.device_name),
            Cell::from(&key.denied_at),
        ]);
    }
    for one in &found.denied_traits {
        let none = Cell::maybe(None::<&String>);
        let (kind, value) = (Cell::from(&one.kind), Cell::from(&one.value));
        table.push(vec![kind, value, Cell::from(&one.tenant), none.clone(), none]);
    }
    Ok(print(&format!("{}{}", table.text("nothing is denied"), more(found.next_cursor.as_deref())))?)
}

fn lift_key(arguments: &LiftKeyArguments) -> Result<(), Failure> {
    let path = format!("/denied-keys/{}", arguments.key);
    let lifted: DeniedKeyLifted = AdminServer::of(&arguments.server)?.ask(Method::DELETE, &path, "")?;
    if arguments.server.json {
        return Ok(print_json(&lifted)?);
    }
    let but = if lifted.still_refused { ", but refused: a certificate with it was revoked" } else { "" };
    Ok(print(&format!("{} is denied no more{but}\n", arguments.key))?)
}

fn lift_trait(arguments: &LiftTraitArguments) -> Result<(), Failure> {
    let (kind, value) = match (&arguments.hostname, &arguments.hardware_serial) {
        (Some(name), _) => ("hostname", Some(name)),
        (None, serial) => ("hardware_serial", serial.as_ref()),
    };
    let query = Query::of("/denied-traits").by("tenant", Some(&arguments.tenant));
    let query = query.by("kind", Some(&kind)).by("value", value);
    let (status, answer) = AdminServer::of(&arguments.server)?.call(Method::DELETE, query.path(), "")?;
    if !status.is_success() {
        return Err(refused(status, &answer));
    }
    if arguments.server.json {
        return Ok(print_json(&json!({ "tenant": arguments.tenant, "kind": kind, "value": value }))?);
    }
    Ok(print("denied no more\n")?)
}
