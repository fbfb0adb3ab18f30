//! `countersign monitor list | accept`: certificates that a running server watches.

use std::fmt::Write as _;

use anyhow::{Context as _, anyhow};
use countersign_api::wire::monitors::{AcceptMonitorRequest, MonitorBody, MonitorsBody};
use http::{Method, StatusCode};
use serde_json::json;

use super::admin_server::{AdminServer, said};
use super::cert_inspect::printable;
use super::failure::Failure;
use super::monitor_arguments::{MonitorAcceptArguments, MonitorCommand, MonitorListArguments};
use super::monitor_check;
use super::output::{print, print_json};

/// What to do when a key is not accepted.
const REFUSED: &str = "`countersign monitor list` shows what was seen";

/// Does what was asked for.
pub(super) fn run(command: MonitorCommand) -> Result<(), Failure> {
    match command {
        MonitorCommand::List(arguments) => list(&arguments),
        MonitorCommand::Check(arguments) => monitor_check::run(&arguments),
        MonitorCommand::Accept(arguments) => accept(&arguments),
    }
}

fn list(arguments: &MonitorListArguments) -> Result<(), Failure> {
    let server = AdminServer::of(&arguments.server)?;
    let found: MonitorsBody = server.ask(Method::GET, "/monitors", "")?;
    if arguments.server.json {
        return Ok(print_json(&found)?);
    }
    if found.monitors.is_empty() {
        return Ok(print("nothing is watched: add [[monitor]] to the configuration of the server\n")?);
    }
    Ok(print(&found.monitors.iter().map(text).collect::<Vec<_>>().join("\n"))?)
}

fn accept(arguments: &MonitorAcceptArguments) -> Result<(), Failure> {
    let server = AdminServer::of(&arguments.server)?;
    let path = format!("/monitors/{}/accept", arguments.name);
    let body = json!(AcceptMonitorRequest { spki_sha256: arguments.spki }).to_string();
    let (status, answer) = server.call(Method::POST, &path, &body)?;
    if status == StatusCode::CONFLICT {
        return Err(Failure::bad_answer(said(&answer)).hint(REFUSED));
    }
    if !status.is_success() {
        return Err(anyhow!("the server answered {status}: {}", said(&answer)).into());
    }
    let accepted: MonitorBody = serde_json::from_str(&answer).context("read the server's answer")?;
    if arguments.server.json {
        return Ok(print_json(&accepted)?);
    }
    Ok(print(&text(&accepted))?)
}

fn text(monitor: &MonitorBody) -> String {
    let since = monitor.since.map(|since| format!(" since {since}")).unwrap_or_default();
    let place = monitor.address.as_ref().or(monitor.file.as_ref()).cloned().unwrap_or_default();
    let mut text = format!("{}: {}{since}\n", monitor.name, monitor.status);
    let mut say = |what: &str, value: &str| {
        if !value.is_empty() {
            // Writing to a String cannot fail.
            let _written = writeln!(text, "  {what:<8} {}", printable(value));
        }
    };
    say("at", &place);
    say("problem", monitor.problem.as_deref().unwrap_or_default());
    if let Some(seen) = &monitor.certificate {
        say("subject", &seen.subject);
        say("issuer", &seen.issuer);
        say("serial", &seen.serial_number);
        say("until", &seen.not_after.to_string());
        say("key", &seen.spki_sha256.to_string());
        say("seen", &format!("{} to {}", seen.first_seen_at, seen.last_seen_at));
    }
    if let Some(pin) = &monitor.pin {
        let accepted = monitor.accepted_at.map(|at| format!(", accepted {at}")).unwrap_or_default();
        say("pin", &format!("{pin}{accepted}"));
    }
    text
}
