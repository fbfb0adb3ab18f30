//! `countersign audit streams`: how far the copies of the audit are.

use countersign_api::wire::audit_streams::AuditStreamList;
use http::Method;

use super::admin_server::AdminServer;
use super::failure::Failure;
use super::output::{print, print_json};
use super::server_flags::ServerFlags;
use super::table::{Cell, Table, Tone};

/// Shows them.
pub(super) fn run(flags: &ServerFlags) -> Result<(), Failure> {
    let found: AuditStreamList = AdminServer::of(flags)?.ask(Method::GET, "/audit/streams", "")?;
    if flags.json {
        return Ok(print_json(&found)?);
    }
    let mut table = Table::new(&["name", "behind", "oldest", "arrived", "failing since", "problem"]);
    for stream in &found.streams {
        let tone = if stream.attempts > 0 { Tone::Bad } else { Tone::Plain };
        table.push(vec![
            Cell::from(&stream.name),
            Cell::toned(&stream.behind.to_string(), tone),
            Cell::maybe(stream.oldest_at.as_ref()),
            Cell::maybe(stream.arrived_at.as_ref()),
            Cell::maybe(stream.failing_since.as_ref()),
            Cell::maybe(stream.problem.as_ref()),
        ]);
    }
    Ok(print(&table.text("the audit is sent nowhere: [[audit_to]] says where to"))?)
}
