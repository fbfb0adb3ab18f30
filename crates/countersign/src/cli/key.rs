//! `countersign key create | list | revoke`: enrolment keys.

use clap::Subcommand;
use countersign_api::wire::admin::{
    CreateEnrollmentKeyRequest, EnrollmentKeyBody, EnrollmentKeyCreated, EnrollmentKeyList,
};
use countersign_core::ids::{DeviceId, EnrollmentKeyId, SpkiSha256, Tenant};
use countersign_core::time::{Clock as _, SystemClock, Timestamp};
use http::Method;
use serde_json::{Value, json};

use super::admin_server::AdminServer;
use super::ca_rotate_arguments::seconds;
use super::failure::Failure;
use super::output::{note, print, print_json};
use super::query::Query;
use super::server_flags::ServerFlags;
use super::table::{Cell, Table, Tone};
use crate::config::pin;

/// `key …`.
#[derive(Debug, Subcommand)]
pub(super) enum KeyCommand {
    /// Make one: the key goes to stdout, and nothing else. It is shown this once
    #[command(
        after_help = "A token needs the scope enrollment-keys:write.\n\nExample:\n  countersign key create --tenant acme --uses 20 --expires-in 2h"
    )]
    Create(Box<KeyCreateArguments>),
    /// Show those of a tenant, newest first
    #[command(
        after_help = "A token needs the scope enrollment-keys:read.\n\nExample:\n  countersign key list --tenant acme"
    )]
    List(Box<KeyListArguments>),
    /// Let one enrol nobody any more
    #[command(
        after_help = "A token needs the scope enrollment-keys:write.\n\nExample:\n  countersign key revoke 0198f2c4-7c3e-7d11-9a55-2f1c3b7e9d40"
    )]
    Revoke(Box<KeyRevokeArguments>),
}

/// `key create`.
#[derive(Debug, clap::Args)]
pub(super) struct KeyCreateArguments {
    /// Of whose devices, by its slug: default when absent
    #[arg(long, value_name = "TENANT")]
    tenant: Option<Tenant>,
    /// At which site, by its slug: default when absent
    #[arg(long, value_name = "SITE")]
    site: Option<String>,
    /// How many devices may use it
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(i64).range(1..=1_000_000))]
    uses: i64,
    /// How long it works: seconds, or with m, h or d behind; at least a minute
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = seconds)]
    expires_in: u64,
    /// Its devices start quarantined, until somebody approves them
    #[arg(long)]
    require_approval: bool,
    /// What its devices may be called, * for any run of characters
    #[arg(long, value_name = "PATTERN")]
    name_pattern: Option<String>,
    /// The one existing device that may enrol again with it
    #[arg(long, value_name = "ID")]
    device: Option<DeviceId>,
    /// From which network it works, such as 192.0.2.0/24; repeatable, anywhere when absent
    #[arg(long = "network", value_name = "CIDR")]
    networks: Vec<String>,
    /// The SHA-256 of the one public key that may enrol with it, hex or base64
    #[arg(long, value_name = "PIN", value_parser = pin)]
    spki: Option<SpkiSha256>,
    #[command(flatten)]
    server: ServerFlags,
}

/// `key list`.
#[derive(Debug, clap::Args)]
pub(super) struct KeyListArguments {
    /// Whose, by its slug: default when absent
    #[arg(long, value_name = "TENANT")]
    tenant: Option<Tenant>,
    #[command(flatten)]
    server: ServerFlags,
}

/// `key revoke`.
#[derive(Debug, clap::Args)]
pub(super) struct KeyRevokeArguments {
    /// The id of its record
    #[arg(value_name = "ID")]
    id: EnrollmentKeyId,
    #[command(flatten)]
    server: ServerFlags,
}

/// Does what was asked for.
pub(super) fn run(command: KeyCommand) -> Result<(), Failure> {
    match command {
        KeyCommand::Create(arguments) => create(*arguments),
        KeyCommand::List(arguments) => list(&arguments),
        KeyCommand::Revoke(arguments) => revoke(&arguments),
    }
}

fn create(arguments: KeyCreateArguments) -> Result<(), Failure> {
    let minutes = i64::try_from(arguments.expires_in.div_ceil(60)).unwrap_or(i64::MAX);
    let request = CreateEnrollmentKeyRequest {
        tenant: arguments.tenant.map(|tenant| tenant.to_string()),
        site: arguments.site,
        max_uses: Some(arguments.uses),
        expires_in_minutes: Some(minutes),
        require_approval: Some(arguments.require_approval),
        device_name_pattern: arguments.name_pattern,
        device_id: arguments.device.map(|device| device.to_string()),
        networks: (!arguments.networks.is_empty()).then_some(arguments.networks),
        spki_sha256: arguments.spki.map(|hash| hash.to_string()),
    };
    let created: EnrollmentKeyCreated = AdminServer::of(&arguments.server)?.ask(
        Method::POST,
        "/enrollment-keys",
        &json!(request).to_string(),
    )?;
    if arguments.server.json {
        return Ok(print_json(&created)?);
    }
    note(&format!("it works until {}; its id is {}; on the device:", created.expires_at, created.id));
    note(&format!("  {}", created.command));
    Ok(print(&format!("{}\n", created.key))?)
}

fn list(arguments: &KeyListArguments) -> Result<(), Failure> {
    let query = Query::of("/enrollment-keys").by("tenant", arguments.tenant.as_ref());
    let found: EnrollmentKeyList = AdminServer::of(&arguments.server)?.ask(Method::GET, query.path(), "")?;
    if arguments.server.json {
        return Ok(print_json(&found)?);
    }
    let now = SystemClock.now();
    let mut table = Table::new(&["id", "state", "uses", "until", "approval", "device"]);
    for key in &found.enrollment_keys {
        table.push(vec![
            Cell::from(&key.id),
            state(key, now),
            Cell::from(&format!("{} of {}", key.uses, key.max_uses)),
            Cell::from(&key.expires_at),
            Cell::from(&if key.require_approval { "needed" } else { "" }),
            Cell::maybe(key.device_id.as_ref()),
        ]);
    }
    Ok(print(&table.text("there are no enrolment keys"))?)
}

fn state(key: &EnrollmentKeyBody, now: Timestamp) -> Cell {
    if key.revoked_at.is_some() {
        Cell::state("revoked")
    } else if key.expires_at <= now {
        Cell::toned("expired", Tone::Plain)
    } else if key.uses >= key.max_uses {
        Cell::toned("used up", Tone::Plain)
    } else {
        Cell::state("active")
    }
}

fn revoke(arguments: &KeyRevokeArguments) -> Result<(), Failure> {
    let path = format!("/enrollment-keys/{}/revoke", arguments.id);
    let answer: Value = AdminServer::of(&arguments.server)?.ask(Method::POST, &path, "")?;
    if arguments.server.json {
        Ok(print_json(&answer)?)
    } else {
        Ok(print(&format!("{} enrols nobody any more\n", arguments.id))?)
    }
}
