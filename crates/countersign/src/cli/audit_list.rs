//! `countersign audit list`: entries of the audit, through the running server.

use std::collections::BTreeSet;
use std::time::Duration;

use countersign_api::wire::admin::{AuditEntryBody, AuditList};
use countersign_core::ids::{CertificateId, RequestId, Tenant};
use countersign_core::time::Timestamp;
use http::Method;
use tokio::time::Instant;

use super::admin_server::AdminServer;
use super::device_ref::DeviceRef;
use super::failure::Failure;
use super::output::{print, print_json};
use super::query::Query;
use super::run::block_on;
use super::server_flags::ServerFlags;
use super::service_arguments::PageFlags;
use super::table::{Cell, Table, more};

/// How often it is asked for what is new.
const LOOK: Duration = Duration::from_secs(1);

/// `audit list`.
#[derive(Debug, clap::Args)]
pub(super) struct AuditListArguments {
    /// Of this tenant's chain alone, by its slug
    #[arg(long, value_name = "TENANT")]
    tenant: Option<Tenant>,
    /// With this event alone, such as device.denied
    #[arg(long, value_name = "EVENT")]
    event: Option<String>,
    /// By this actor alone, as entries name it: user:…, device:…
    #[arg(long, value_name = "ACTOR")]
    actor: Option<String>,
    /// About this device alone: its id, NAME or TENANT/NAME
    #[arg(long, value_name = "DEVICE")]
    device: Option<DeviceRef>,
    /// About this certificate alone
    #[arg(long, value_name = "ID")]
    certificate: Option<CertificateId>,
    /// About this request alone
    #[arg(long, value_name = "REQUEST-ID")]
    request: Option<RequestId>,
    /// From this moment on, RFC 3339
    #[arg(long, value_name = "TIME", value_parser = Timestamp::parse)]
    from: Option<Timestamp>,
    /// Before this moment, RFC 3339
    #[arg(long, value_name = "TIME", value_parser = Timestamp::parse, conflicts_with = "follow")]
    to: Option<Timestamp>,
    /// Print the latest, oldest first, then what comes, until it is ended; with --json an object a line
    #[arg(long, conflicts_with = "cursor")]
    follow: bool,
    /// With --follow: end after so many entries
    #[arg(long, value_name = "COUNT", requires = "follow")]
    count: Option<u64>,
    #[command(flatten)]
    page: PageFlags,
    #[command(flatten)]
    server: ServerFlags,
}

/// Shows entries, newest first, or follows them.
pub(super) fn run(arguments: &AuditListArguments) -> Result<(), Failure> {
    let server = AdminServer::of(&arguments.server)?;
    let query = narrowed(&server, arguments)?;
    if arguments.follow {
        return follow(&server, &query, arguments);
    }
    let page = query.by("from", arguments.from.as_ref()).by("to", arguments.to.as_ref());
    let page = page.by("limit", Some(&arguments.page.limit)).by("cursor", arguments.page.cursor.as_ref());
    let found: AuditList = server.ask(Method::GET, page.path(), "")?;
    if arguments.server.json {
        return Ok(print_json(&found)?);
    }
    let mut table = Table::new(&["at", "chain", "number", "event", "by", "about"]);
    for entry in &found.entries {
        let chain = if entry.chain.is_empty() { "platform" } else { &entry.chain };
        table.push(vec![
            Cell::from(&entry.at),
            Cell::from(&chain),
            Cell::from(&entry.sequence),
            Cell::from(&entry.event),
            Cell::from(&entry.actor),
            Cell::from(&about(entry)),
        ]);
    }
    Ok(print(&format!("{}{}", table.text("there are no such entries"), more(found.next_cursor.as_deref())))?)
}

fn narrowed(server: &AdminServer, arguments: &AuditListArguments) -> Result<Query, Failure> {
    let device = match &arguments.device {
        Some(device) => Some(device.find(server)?),
        None => None,
    };
    let query = Query::of("/audit").by("tenant", arguments.tenant.as_ref());
    let query = query.by("event", arguments.event.as_ref()).by("actor", arguments.actor.as_ref());
    let query = query.by("deviceId", device.as_ref()).by("certificateId", arguments.certificate.as_ref());
    Ok(query.by("requestId", arguments.request.as_ref()))
}

/// Each entry is known by its chain and its number there: those of the newest moment are asked for again, for
/// others of that moment may have come meanwhile.
fn follow(server: &AdminServer, query: &Query, arguments: &AuditListArguments) -> Result<(), Failure> {
    let mut left = arguments.count;
    let mut since = arguments.from;
    let mut seen = BTreeSet::new();
    while left != Some(0) {
        let mut new = newest(server, query, since, arguments.page.limit)?;
        new.retain(|entry| seen.insert((entry.at, entry.chain.clone(), entry.sequence)));
        for entry in new.iter().rev() {
            if left == Some(0) {
                return Ok(());
            }
            print(&line(entry, arguments.server.json))?;
            left = left.map(|left| left.saturating_sub(1));
            since = since.max(Some(entry.at));
        }
        if let Some(since) = since {
            seen.retain(|(at, _, _)| *at >= since);
        }
        if new.is_empty() && left != Some(0) {
            block_on(async {
                tokio::time::sleep_until(Instant::now() + LOOK).await;
                Ok(())
            })?;
        }
    }
    Ok(())
}

/// Newest first: the latest page when there is no moment to begin with, else all since then.
fn newest(
    server: &AdminServer,
    query: &Query,
    since: Option<Timestamp>,
    limit: u32,
) -> Result<Vec<AuditEntryBody>, Failure> {
    let mut entries = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let page = query.clone().by("from", since.as_ref()).by("limit", Some(&limit));
        let page: AuditList = server.ask(Method::GET, page.by("cursor", cursor.as_ref()).path(), "")?;
        entries.extend(page.entries);
        cursor = page.next_cursor;
        if cursor.is_none() || since.is_none() {
            return Ok(entries);
        }
    }
}

fn line(entry: &AuditEntryBody, as_json: bool) -> String {
    if as_json {
        return format!("{}\n", serde_json::json!(entry));
    }
    let chain = if entry.chain.is_empty() { "platform" } else { &entry.chain };
    let text =
        format!("{} {chain}#{} {} {} {}", entry.at, entry.sequence, entry.event, entry.actor, about(entry));
    format!("{}\n", super::cert_inspect::printable(text.trim_end()))
}

fn about(entry: &AuditEntryBody) -> String {
    let device = entry.device_id.map(|id| format!("device={id}"));
    let certificate = entry.certificate_id.map(|id| format!("certificate={id}"));
    let details = entry.details.iter().map(|(name, value)| format!("{name}={value}"));
    device.into_iter().chain(certificate).chain(details).collect::<Vec<_>>().join(" ")
}
