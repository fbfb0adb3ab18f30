//! `countersign telemetry tail | query`: what devices sent over MQTT.

use std::time::Duration;

use countersign_api::wire::messages::{TelemetryBody, TelemetryMessage};
use countersign_core::ids::{DeviceId, Tenant};
use http::Method;
use tokio::time::Instant;

use super::admin_server::AdminServer;
use super::cert_inspect::printable;
use super::failure::Failure;
use super::output::{print, print_json};
use super::run::block_on;
use super::telemetry_arguments::{TelemetryCommand, TelemetryQueryArguments, TelemetryTailArguments};

/// How often it is asked for what is new.
const LOOK: Duration = Duration::from_millis(500);

/// How many are asked for at once.
const AT_ONCE: u32 = 500;

/// Does what was asked for.
pub(super) fn run(command: TelemetryCommand) -> Result<(), Failure> {
    match command {
        TelemetryCommand::Tail(arguments) => tail(&arguments),
        TelemetryCommand::Query(arguments) => query(&arguments),
    }
}

/// Prints the latest, then what comes, until it is ended or as many came as are wanted.
fn tail(arguments: &TelemetryTailArguments) -> Result<(), Failure> {
    let server = AdminServer::of(&arguments.server)?;
    let narrowed = narrowed(arguments.tenant.as_ref(), arguments.device);
    let latest: TelemetryBody =
        server.ask(Method::GET, &format!("/telemetry?limit={}{narrowed}", arguments.last.max(1)), "")?;
    let mut seen = latest.messages.first().map_or(0, |message| message.id);
    let mut left = arguments.count;
    if arguments.last > 0 {
        show(latest.messages.into_iter().rev(), arguments.server.json, &mut left)?;
    }
    while left != Some(0) {
        let path = format!("/telemetry?limit={AT_ONCE}&after={seen}{narrowed}");
        let new: TelemetryBody = server.ask(Method::GET, &path, "")?;
        match new.messages.last() {
            Some(message) => seen = message.id,
            None => block_on(async {
                tokio::time::sleep_until(Instant::now() + LOOK).await;
                Ok(())
            })?,
        }
        show(new.messages.into_iter(), arguments.server.json, &mut left)?;
    }
    Ok(())
}

fn query(arguments: &TelemetryQueryArguments) -> Result<(), Failure> {
    let server = AdminServer::of(&arguments.server)?;
    let mut path = format!("/telemetry?limit={}", arguments.limit);
    path.push_str(&narrowed(arguments.tenant.as_ref(), arguments.device));
    let moments = [("from", arguments.from), ("to", arguments.to)];
    for (name, moment) in moments.into_iter().filter_map(|(name, moment)| Some((name, moment?))) {
        path.push_str(&format!("&{name}={moment}"));
    }
    if let Some(id) = arguments.before {
        path.push_str(&format!("&before={id}"));
    }
    let found: TelemetryBody = server.ask(Method::GET, &path, "")?;
    if arguments.server.json {
        return Ok(print_json(&found)?);
    }
    Ok(print(&found.messages.iter().map(text).collect::<String>())?)
}

fn narrowed(tenant: Option<&Tenant>, device: Option<DeviceId>) -> String {
    let mut text = String::new();
    if let Some(tenant) = tenant {
        text.push_str(&format!("&tenant={tenant}"));
    }
    if let Some(device) = device {
        text.push_str(&format!("&device={device}"));
    }
    text
}

fn show(
    messages: impl Iterator<Item = TelemetryMessage>,
    as_json: bool,
    left: &mut Option<u64>,
) -> Result<(), Failure> {
    for message in messages {
        if *left == Some(0) {
            return Ok(());
        }
        let line = if as_json { format!("{}\n", serde_json::json!(message)) } else { text(&message) };
        print(&line)?;
        *left = left.map(|left| left.saturating_sub(1));
    }
    Ok(())
}

/// A line: number, moment, who, topic, what.
fn text(message: &TelemetryMessage) -> String {
    let again = message.duplicate_of.map(|id| format!(" (again: {id})")).unwrap_or_default();
    format!(
        "{} {} {}/{} {} {}{again}\n",
        message.id,
        message.received_at,
        message.tenant,
        message.device,
        printable(&message.topic),
        printable(&message.payload.to_string())
    )
}
