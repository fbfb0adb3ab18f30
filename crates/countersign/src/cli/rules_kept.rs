//! `countersign rules list | add | change | remove | move`: the rules of a running server.

use countersign_api::wire::rules::{MoveRuleRequest, RuleList, RuleRequest, RulesChanged};
use http::Method;
use serde_json::json;

use super::admin_server::AdminServer;
use super::failure::Failure;
use super::output::{print, print_json};
use super::server_flags::ServerFlags;
use super::table::{Cell, Table};

/// What a rule is told.
#[derive(Debug, clap::Args)]
pub(super) struct RuleFlags {
    /// When it matches, in Cloudflare's rule language
    #[arg(long, value_name = "EXPRESSION")]
    expression: String,
    /// What it does: block, log (write down and go on) or skip (pass the remaining rules)
    #[arg(long, value_name = "ACTION", default_value = "block")]
    action: String,
    /// Status of a block
    #[arg(long, value_name = "STATUS")]
    status: Option<u16>,
    /// Body of a block. Default: the standard error body
    #[arg(long, value_name = "TEXT")]
    body: Option<String>,
    /// Keep it without asking it
    #[arg(long)]
    disabled: bool,
}

/// `rules add`.
#[derive(Debug, clap::Args)]
pub(super) struct RulesAddArguments {
    /// What people call it, unique
    #[arg(value_name = "NAME")]
    name: String,
    /// Before which rule of the database. Default: at the end
    #[arg(long, value_name = "NAME")]
    before: Option<String>,
    #[command(flatten)]
    rule: RuleFlags,
    #[command(flatten)]
    server: ServerFlags,
}

/// `rules change`.
#[derive(Debug, clap::Args)]
pub(super) struct RulesChangeArguments {
    /// The rule
    #[arg(value_name = "NAME")]
    name: String,
    /// What it is called from now on
    #[arg(long, value_name = "NAME")]
    rename: Option<String>,
    #[command(flatten)]
    rule: RuleFlags,
    #[command(flatten)]
    server: ServerFlags,
}

/// `rules remove`.
#[derive(Debug, clap::Args)]
pub(super) struct RulesRemoveArguments {
    /// The rule
    #[arg(value_name = "NAME")]
    name: String,
    #[command(flatten)]
    server: ServerFlags,
}

/// `rules move`.
#[derive(Debug, clap::Args)]
pub(super) struct RulesMoveArguments {
    /// The rule
    #[arg(value_name = "NAME")]
    name: String,
    /// Before which rule of the database. Default: to the end
    #[arg(long, value_name = "NAME")]
    before: Option<String>,
    #[command(flatten)]
    server: ServerFlags,
}

fn request(name: String, flags: RuleFlags, before: Option<String>) -> String {
    let RuleFlags { expression, action, status, body, disabled } = flags;
    let request = RuleRequest {
        name,
        expression,
        action: Some(action),
        status,
        body,
        content_type: None,
        enabled: Some(!disabled),
        before,
        revision: None,
    };
    json!(request).to_string()
}

/// A name in a path (RFC 3986, section 2.3).
fn path(name: &str) -> String {
    let part = |byte: u8| match byte {
        b'-' | b'.' | b'_' | b'~' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    format!("/rules/{}", name.bytes().map(part).collect::<String>())
}

/// Shows them.
pub(super) fn list(flags: &ServerFlags) -> Result<(), Failure> {
    let found: RuleList = AdminServer::of(flags)?.ask(Method::GET, "/rules", "")?;
    if flags.json {
        return Ok(print_json(&found)?);
    }
    let mut table = Table::new(&["name", "does", "asked", "from", "when"]);
    for rule in &found.rules {
        table.push(vec![
            Cell::from(&rule.name),
            Cell::from(&rule.action),
            Cell::from(&if rule.enabled { "yes" } else { "no" }),
            Cell::from(&rule.source),
            Cell::from(&rule.expression),
        ]);
    }
    Ok(print(&table.text("there is no rule"))?)
}

/// Adds one.
pub(super) fn add(arguments: RulesAddArguments) -> Result<(), Failure> {
    let RulesAddArguments { name, before, rule, server } = arguments;
    changed(&server, Method::POST, "/rules", &request(name, rule, before))
}

/// Puts another in the place of one.
pub(super) fn change(arguments: RulesChangeArguments) -> Result<(), Failure> {
    let RulesChangeArguments { name, rename, rule, server } = arguments;
    let place = path(&name);
    changed(&server, Method::PUT, &place, &request(rename.unwrap_or(name), rule, None))
}

/// Removes one.
pub(super) fn remove(arguments: &RulesRemoveArguments) -> Result<(), Failure> {
    changed(&arguments.server, Method::DELETE, &path(&arguments.name), "")
}

/// Moves one.
pub(super) fn relocate(arguments: RulesMoveArguments) -> Result<(), Failure> {
    let RulesMoveArguments { name, before, server } = arguments;
    let body = json!(MoveRuleRequest { before }).to_string();
    changed(&server, Method::POST, &format!("{}/move", path(&name)), &body)
}

pub(super) fn changed(flags: &ServerFlags, method: Method, path: &str, body: &str) -> Result<(), Failure> {
    let changed: RulesChanged = AdminServer::of(flags)?.ask(method, path, body)?;
    if flags.json {
        return Ok(print_json(&changed)?);
    }
    let edges = changed.applied_edges;
    let (revision, applied, total) = (changed.revision, edges.applied, edges.total);
    Ok(print(&format!("revision {revision}; {applied} of {total} doors ask them so\n"))?)
}
