//! `countersign token create | list | revoke`: API tokens for scripts.

use clap::Subcommand;
use countersign_api::wire::api_tokens::{ApiTokenBody, ApiTokenCreated, ApiTokenList, CreateApiTokenRequest};
use countersign_core::ids::{ApiTokenId, Tenant};
use countersign_core::scope::Scope;
use countersign_core::time::{Clock as _, SystemClock};
use http::Method;
use serde_json::json;

use super::admin_server::AdminServer;
use super::failure::Failure;
use super::output::{note, print, print_json};
use super::server_flags::ServerFlags;
use super::table::{Cell, Table};

/// `token …`.
#[derive(Debug, Subcommand)]
pub(super) enum TokenCommand {
    /// Make one that acts in your name: it goes to stdout, and nothing else. It is shown this once
    #[command(
        after_help = "It needs a session, no token.\n\nExample:\n  countersign token create nightly --scope devices:read --scope audit:read --days 90 > nightly.token"
    )]
    Create(Box<TokenCreateArguments>),
    /// Show them
    #[command(after_help = "A token needs the scope api-tokens:read.\n\nExample:\n  countersign token list")]
    List(Box<ServerFlags>),
    /// Let one open nothing any more
    #[command(
        after_help = "A token needs the scope api-tokens:write.\n\nExample:\n  countersign token revoke 0198f2c4-7c3e-7d11-9a55-2f1c3b7e9d40"
    )]
    Revoke(Box<TokenRevokeArguments>),
}

/// `token create`.
#[derive(Debug, clap::Args)]
pub(super) struct TokenCreateArguments {
    /// What it is for, for people
    #[arg(value_name = "NAME")]
    name: String,
    /// What it opens, such as devices:read; repeatable, all that its role may do when absent
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<Scope>,
    /// With at most this role: owner, admin, operator or viewer; yours when absent
    #[arg(long, value_name = "ROLE")]
    role: Option<String>,
    /// The only tenant that it sees, by its slug
    #[arg(long, value_name = "TENANT")]
    tenant: Option<Tenant>,
    /// For how long
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(i64).range(1..=730))]
    days: Option<i64>,
    #[command(flatten)]
    server: ServerFlags,
}

/// `token revoke`.
#[derive(Debug, clap::Args)]
pub(super) struct TokenRevokeArguments {
    /// The id of its record
    #[arg(value_name = "ID")]
    id: ApiTokenId,
    #[command(flatten)]
    server: ServerFlags,
}

/// Does what was asked for.
pub(super) fn run(command: TokenCommand) -> Result<(), Failure> {
    match command {
        TokenCommand::Create(arguments) => create(*arguments),
        TokenCommand::List(flags) => list(&flags),
        TokenCommand::Revoke(arguments) => revoke(&arguments),
    }
}

fn create(arguments: TokenCreateArguments) -> Result<(), Failure> {
    let scopes: Vec<String> = arguments.scopes.iter().map(ToString::to_string).collect();
    let request = CreateApiTokenRequest {
        name: arguments.name,
        role: arguments.role,
        tenant: arguments.tenant.map(|tenant| tenant.to_string()),
        scopes: (!scopes.is_empty()).then_some(scopes),
        expires_in_days: arguments.days,
    };
    let server = AdminServer::of(&arguments.server)?;
    let made: ApiTokenCreated = server.ask(Method::POST, "/api-tokens", &json!(request).to_string())?;
    if arguments.server.json {
        return Ok(print_json(&made)?);
    }
    note(&format!("it works until {}; its id is {}", made.record.expires_at, made.record.id));
    Ok(print(&format!("{}\n", made.token))?)
}

fn list(flags: &ServerFlags) -> Result<(), Failure> {
    let found: ApiTokenList = AdminServer::of(flags)?.ask(Method::GET, "/api-tokens", "")?;
    if flags.json { Ok(print_json(&found)?) } else { Ok(print(&table(&found.api_tokens))?) }
}

fn table(tokens: &[ApiTokenBody]) -> String {
    let now = SystemClock.now();
    let mut table = Table::new(&["name", "of", "role", "tenant", "state", "until", "used", "scopes", "id"]);
    for token in tokens {
        let state = match token.revoked_at {
            Some(_) => "revoked",
            None if token.expires_at <= now => "expired",
            None => "active",
        };
        table.push(vec![
            Cell::from(&token.name),
            Cell::from(&token.user_email),
            Cell::from(&token.role),
            token.tenant.as_ref().map_or_else(|| Cell::from(&"all"), Cell::from),
            Cell::state(state),
            Cell::from(&token.expires_at),
            Cell::maybe(token.last_used_at.as_ref()),
            Cell::from(&token.scopes.as_ref().map_or_else(|| "all".to_owned(), |scopes| scopes.join(" "))),
            Cell::from(&token.id),
        ]);
    }
    table.text("there are no API tokens")
}

fn revoke(arguments: &TokenRevokeArguments) -> Result<(), Failure> {
    let path = format!("/api-tokens/{}/revoke", arguments.id);
    let revoked: ApiTokenBody = AdminServer::of(&arguments.server)?.ask(Method::POST, &path, "")?;
    if arguments.server.json { Ok(print_json(&revoked)?) } else { Ok(print(&table(&[revoked]))?) }
}
