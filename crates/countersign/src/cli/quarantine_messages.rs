//! `countersign quarantine messages list | show | release`: messages of devices that were set aside.

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign_api::wire::messages::{MessageReleased, QuarantinedMessage, QuarantinedMessagesBody};
use http::Method;

use super::admin_server::AdminServer;
use super::cert_inspect::printable;
use super::failure::Failure;
use super::output::{print, print_json};
use super::telemetry_arguments::{
    QuarantineCommand, QuarantineListArguments, QuarantineMessageArguments, QuarantineMessagesCommand,
};

/// Does what was asked for.
pub(super) fn run(command: QuarantineCommand) -> Result<(), Failure> {
    let QuarantineCommand::Messages(command) = command;
    match command {
        QuarantineMessagesCommand::List(arguments) => list(&arguments),
        QuarantineMessagesCommand::Show(arguments) => show(&arguments),
        QuarantineMessagesCommand::Release(arguments) => release(&arguments),
    }
}

fn list(arguments: &QuarantineListArguments) -> Result<(), Failure> {
    let server = AdminServer::of(&arguments.server)?;
    let mut path = format!("/quarantined-messages?limit={}", arguments.limit);
    if let Some(tenant) = &arguments.tenant {
        path.push_str(&format!("&tenant={tenant}"));
    }
    if let Some(reason) = &arguments.reason {
        let is_code = reason.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
        if !is_code {
            return Err(anyhow::anyhow!("{reason:?} is no reason: they are in capitals").into());
        }
        path.push_str(&format!("&reason={reason}"));
    }
    if let Some(id) = arguments.before {
        path.push_str(&format!("&before={id}"));
    }
    let found: QuarantinedMessagesBody = server.ask(Method::GET, &path, "")?;
    if arguments.server.json {
        return Ok(print_json(&found)?);
    }
    Ok(print(&found.messages.iter().map(line).collect::<String>())?)
}

fn show(arguments: &QuarantineMessageArguments) -> Result<(), Failure> {
    let server = AdminServer::of(&arguments.server)?;
    let path = format!("/quarantined-messages/{}", arguments.id);
    let message: QuarantinedMessage = server.ask(Method::GET, &path, "")?;
    if arguments.server.json {
        return Ok(print_json(&message)?);
    }
    let payload = STANDARD.decode(&message.payload_base64).context("read the server's answer")?;
    let shown = printable(&String::from_utf8_lossy(&payload));
    let kept = format!("{} of {} bytes kept", payload.len(), message.payload_bytes);
    Ok(print(&format!(
        "{}serial  {}\npayload {shown}\n        {kept}\n",
        line(&message),
        message.serial_number
    ))?)
}

fn release(arguments: &QuarantineMessageArguments) -> Result<(), Failure> {
    let server = AdminServer::of(&arguments.server)?;
    let path = format!("/quarantined-messages/{}/release", arguments.id);
    let released: MessageReleased = server.ask(Method::POST, &path, "")?;
    if arguments.server.json {
        return Ok(print_json(&released)?);
    }
    Ok(print(&format!("released as telemetry {}\n", released.telemetry_id))?)
}

fn line(message: &QuarantinedMessage) -> String {
    let released = message.released_as.map(|id| format!(" (released as {id})")).unwrap_or_default();
    format!(
        "{} {} {}/{} {} {}{released}\n",
        message.id,
        message.received_at,
        message.tenant,
        message.device,
        message.reason,
        printable(&message.topic)
    )
}
