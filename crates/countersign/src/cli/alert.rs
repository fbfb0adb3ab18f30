//! `countersign alert list | ack | silence | silences | unsilence | test`.

use clap::Subcommand;
use countersign_api::wire::alerts::{AlertBody, AlertList, CreateSilenceRequest, SilenceBody, SilenceList};
use countersign_authority::alerts::AlertKind;
use countersign_core::ids::{AlertId, SilenceId, Tenant};
use http::Method;
use serde_json::json;

use super::admin_server::{AdminServer, refused};
use super::ca_rotate_arguments::seconds;
use super::failure::Failure;
use super::output::{note, print, print_json};
use super::query::Query;
use super::server_flags::ServerFlags;
use super::table::{Cell, Table, Tone};

/// `alert …`.
#[derive(Debug, Subcommand)]
pub(super) enum AlertCommand {
    /// Show what is open, latest first
    #[command(
        after_help = "A token needs the scope alerts:read.\n\nExample:\n  countersign alert list --all"
    )]
    List(Box<AlertListArguments>),
    /// Say that you see to one
    #[command(
        after_help = "A token needs the scope alerts:write.\n\nExample:\n  countersign alert ack 0198f2c4-7c3e-7d11-9a55-2f1c3b7e9d40"
    )]
    Ack(Box<AlertAckArguments>),
    /// Tell nobody for a while; what is still open at the end is told then
    #[command(
        after_help = "A token needs the scope alerts:write.\n\nExample:\n  countersign alert silence --kind edge_silent --for 2h --reason 'the Berlin site moves'"
    )]
    Silence(Box<SilenceArguments>),
    /// Show the silences that have not ended
    #[command(after_help = "A token needs the scope alerts:read.\n\nExample:\n  countersign alert silences")]
    Silences(Box<ServerFlags>),
    /// End a silence at once
    #[command(
        after_help = "A token needs the scope alerts:write.\n\nExample:\n  countersign alert unsilence 0198f2c4-7c3e-7d11-9a55-2f1c3b7e9d40"
    )]
    Unsilence(Box<UnsilenceArguments>),
    /// Raise one about nothing, to see whether it arrives everywhere
    #[command(after_help = "A token needs the scope alerts:write.\n\nExample:\n  countersign alert test")]
    Test(Box<ServerFlags>),
}

/// `alert list`.
#[derive(Debug, clap::Args)]
pub(super) struct AlertListArguments {
    /// Those that are resolved, too
    #[arg(long)]
    all: bool,
    /// Of this tenant alone, by its slug
    #[arg(long, value_name = "TENANT")]
    tenant: Option<Tenant>,
    /// At most so many
    #[arg(long, value_name = "COUNT", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=500))]
    limit: u32,
    #[command(flatten)]
    server: ServerFlags,
}

/// `alert ack`.
#[derive(Debug, clap::Args)]
pub(super) struct AlertAckArguments {
    /// Its id
    #[arg(value_name = "ID")]
    id: AlertId,
    #[command(flatten)]
    server: ServerFlags,
}

/// `alert silence`.
#[derive(Debug, clap::Args)]
pub(super) struct SilenceArguments {
    /// Of this kind alone, as `alert list` shows it
    #[arg(long, value_name = "KIND")]
    kind: Option<AlertKind>,
    /// About this alone, as `alert list` shows it
    #[arg(long, value_name = "SUBJECT")]
    subject: Option<String>,
    /// For how long, at most 30 days: seconds, or with m, h or d behind
    #[arg(long = "for", value_name = "TIME", value_parser = seconds)]
    lasts: u64,
    /// Why, for people
    #[arg(long, value_name = "TEXT")]
    reason: String,
    #[command(flatten)]
    server: ServerFlags,
}

/// `alert unsilence`.
#[derive(Debug, clap::Args)]
pub(super) struct UnsilenceArguments {
    /// The id of the silence
    #[arg(value_name = "ID")]
    id: SilenceId,
    #[command(flatten)]
    server: ServerFlags,
}

/// Does what was asked for.
pub(super) fn run(command: AlertCommand) -> Result<(), Failure> {
    match command {
        AlertCommand::List(arguments) => list(&arguments),
        AlertCommand::Ack(arguments) => acknowledge(&arguments),
        AlertCommand::Silence(arguments) => silence(*arguments),
        AlertCommand::Silences(flags) => silences(&flags),
        AlertCommand::Unsilence(arguments) => unsilence(&arguments),
        AlertCommand::Test(flags) => test(&flags),
    }
}

fn list(arguments: &AlertListArguments) -> Result<(), Failure> {
    let query = Query::of("/alerts").by("tenant", arguments.tenant.as_ref());
    let query = query.by("open", (!arguments.all).then_some(&true)).by("limit", Some(&arguments.limit));
    let found: AlertList = AdminServer::of(&arguments.server)?.ask(Method::GET, query.path(), "")?;
    if arguments.server.json { Ok(print_json(&found)?) } else { Ok(print(&table(&found.alerts))?) }
}

fn table(alerts: &[AlertBody]) -> String {
    let mut table = Table::new(&["severity", "kind", "subject", "state", "since", "what", "id"]);
    for alert in alerts {
        let tone = match alert.severity.as_str() {
            "critical" => Tone::Bad,
            "warning" => Tone::Caution,
            _ => Tone::Plain,
        };
        let state = match (alert.resolved_at, &alert.acknowledged_by) {
            (Some(_), _) => "resolved",
            (None, Some(_)) => "acknowledged",
            (None, None) => "open",
        };
        table.push(vec![
            Cell::toned(&alert.severity, tone),
            Cell::from(&alert.kind),
            Cell::from(&alert.subject),
            Cell::state(state),
            Cell::from(&alert.opened_at),
            Cell::from(&alert.summary),
            Cell::from(&alert.id),
        ]);
    }
    table.text("there is nothing to see to")
}

fn acknowledge(arguments: &AlertAckArguments) -> Result<(), Failure> {
    let path = format!("/alerts/{}/acknowledge", arguments.id);
    let alert: AlertBody = AdminServer::of(&arguments.server)?.ask(Method::POST, &path, "")?;
    if arguments.server.json { Ok(print_json(&alert)?) } else { Ok(print(&table(&[alert]))?) }
}

/// The id goes to stdout, and nothing else.
fn silence(arguments: SilenceArguments) -> Result<(), Failure> {
    let request = CreateSilenceRequest {
        kind: arguments.kind.map(|kind| kind.to_string()),
        subject: arguments.subject,
        reason: arguments.reason,
        minutes: u32::try_from(arguments.lasts.div_ceil(60)).unwrap_or(u32::MAX),
    };
    let server = AdminServer::of(&arguments.server)?;
    let made: SilenceBody = server.ask(Method::POST, "/alert-silences", &json!(request).to_string())?;
    if arguments.server.json {
        return Ok(print_json(&made)?);
    }
    note(&format!("nobody is told until {}", made.ends_at));
    Ok(print(&format!("{}\n", made.id))?)
}

fn silences(flags: &ServerFlags) -> Result<(), Failure> {
    let found: SilenceList = AdminServer::of(flags)?.ask(Method::GET, "/alert-silences", "")?;
    if flags.json {
        return Ok(print_json(&found)?);
    }
    let mut table = Table::new(&["kind", "subject", "until", "by", "reason", "id"]);
    for silence in &found.silences {
        table.push(vec![
            Cell::maybe(silence.kind.as_ref()),
            Cell::maybe(silence.subject.as_ref()),
            Cell::from(&silence.ends_at),
            Cell::from(&silence.created_by),
            Cell::from(&silence.reason),
            Cell::from(&silence.id),
        ]);
    }
    Ok(print(&table.text("everybody is told"))?)
}

fn unsilence(arguments: &UnsilenceArguments) -> Result<(), Failure> {
    let path = format!("/alert-silences/{}", arguments.id);
    let (status, answer) = AdminServer::of(&arguments.server)?.call(Method::DELETE, &path, "")?;
    if !status.is_success() {
        return Err(refused(status, &answer));
    }
    if arguments.server.json {
        return Ok(print_json(&json!({ "ended": arguments.id }))?);
    }
    Ok(print("everybody is told again\n")?)
}

fn test(flags: &ServerFlags) -> Result<(), Failure> {
    let raised: AlertBody = AdminServer::of(flags)?.ask(Method::POST, "/alerts/test", "")?;
    if flags.json {
        return Ok(print_json(&raised)?);
    }
    note("whoever does not hear of it within a minute is not reached: the server's log says why");
    Ok(print(&table(&[raised]))?)
}
