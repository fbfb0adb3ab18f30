//! `countersign rules revisions | restore | observed`: what the rules of a running server were, and what they would do.

use countersign_api::wire::rules::{ObservedRuleList, RestoreRulesRequest, RuleRevisionList};
use http::Method;
use serde_json::json;

use super::admin_server::AdminServer;
use super::failure::Failure;
use super::output::{print, print_json};
use super::rules_kept::changed;
use super::server_flags::ServerFlags;
use super::table::{Cell, Table};

/// `rules restore`.
#[derive(Debug, clap::Args)]
pub(super) struct RulesRestoreArguments {
    /// The revision, as `rules revisions` numbers them
    #[arg(value_name = "REVISION")]
    revision: u64,
    #[command(flatten)]
    server: ServerFlags,
}

/// Shows the revisions.
pub(super) fn revisions(flags: &ServerFlags) -> Result<(), Failure> {
    let found: RuleRevisionList = AdminServer::of(flags)?.ask(Method::GET, "/rules/revisions", "")?;
    if flags.json {
        return Ok(print_json(&found)?);
    }
    let mut table = Table::new(&["revision", "changed", "by", "rules"]);
    for revision in &found.revisions {
        table.push(vec![
            Cell::from(&revision.revision),
            Cell::from(&revision.changed_at),
            Cell::from(&revision.changed_by),
            Cell::from(&revision.names.join(", ")),
        ]);
    }
    Ok(print(&table.text("nobody ever kept a rule here"))?)
}

/// Goes back to one.
pub(super) fn restore(arguments: &RulesRestoreArguments) -> Result<(), Failure> {
    let path = format!("/rules/revisions/{}/restore", arguments.revision);
    let body = json!(RestoreRulesRequest::default()).to_string();
    changed(&arguments.server, Method::POST, &path, &body)
}

/// Shows what observed rules would have blocked.
pub(super) fn observed(flags: &ServerFlags) -> Result<(), Failure> {
    let found: ObservedRuleList = AdminServer::of(flags)?.ask(Method::GET, "/rules/observed", "")?;
    if flags.json {
        return Ok(print_json(&found)?);
    }
    let mut table = Table::new(&["rule", "devices", "last"]);
    for rule in &found.rules {
        table.push(vec![Cell::from(&rule.rule), Cell::from(&rule.devices), Cell::from(&rule.last_at)]);
    }
    Ok(print(&table.text("no rule would have blocked a device since then"))?)
}
