//! `countersign device list | show | change | command | commands`.

use countersign_api::wire::admin::{CertificateList, Decided, DeviceBody, DeviceList, DevicePatch};
use countersign_api::wire::command_queue::{CommandBody, CommandList, CommandQueued, CommandRequest};
use http::Method;
use serde_json::json;

use super::admin_server::AdminServer;
use super::device_arguments::{
    DeviceChangeArguments, DeviceCommand, DeviceCommandArguments, DeviceCommandsArguments,
    DeviceListArguments, DeviceShowArguments,
};
use super::failure::Failure;
use super::output::{print, print_json};
use super::query::Query;
use super::table::{Cell, Table, more, sheet};
use super::{device_decide, device_provisioning, device_shadow};

/// Does what was asked for.
pub(super) fn run(command: DeviceCommand) -> Result<(), Failure> {
    match command {
        DeviceCommand::List(arguments) => list(&arguments),
        DeviceCommand::Show(arguments) => show(&arguments),
        DeviceCommand::Approve(arguments) => device_decide::approve(&arguments),
        DeviceCommand::Deny(arguments) => device_decide::deny(&arguments),
        DeviceCommand::Quarantine(arguments) => device_decide::quarantine(&arguments),
        DeviceCommand::Decommission(arguments) => device_decide::decommission(&arguments),
        DeviceCommand::Revoke(arguments) => device_decide::revoke(&arguments),
        DeviceCommand::Change(arguments) => change(*arguments),
        DeviceCommand::RotateToken(arguments) => device_decide::rotate_token(&arguments),
        DeviceCommand::Command(arguments) => queue(*arguments),
        DeviceCommand::Commands(arguments) => commands(&arguments),
        DeviceCommand::Shadow(command) => device_shadow::run(command),
        DeviceCommand::ProvisioningToken(command) => device_provisioning::run(command),
    }
}

fn list(arguments: &DeviceListArguments) -> Result<(), Failure> {
    let query =
        Query::of("/devices").by("q", arguments.text.as_ref()).by("status", arguments.status.as_ref());
    let query = query.by("tenant", arguments.tenant.as_ref()).by("site", arguments.site.as_ref());
    let query = query.by("limit", Some(&arguments.page.limit)).by("cursor", arguments.page.cursor.as_ref());
    let found: DeviceList = AdminServer::of(&arguments.server)?.ask(Method::GET, query.path(), "")?;
    if arguments.server.json {
        return Ok(print_json(&found)?);
    }
    let mut table = Table::new(&["name", "tenant", "site", "status", "seen", "certificate until", "id"]);
    for device in &found.devices {
        let until = device.certificate.as_ref().map(|certificate| certificate.expires_at);
        table.push(vec![
            Cell::from(&device.name),
            Cell::from(&device.tenant),
            Cell::from(&device.site),
            Cell::state(device.status.as_str()),
            Cell::maybe(device.last_seen_at.as_ref()),
            Cell::maybe(until.as_ref()),
            Cell::from(&device.id),
        ]);
    }
    Ok(print(&format!("{}{}", table.text("there are no such devices"), more(found.next_cursor.as_deref())))?)
}

fn show(arguments: &DeviceShowArguments) -> Result<(), Failure> {
    let server = AdminServer::of(&arguments.server)?;
    let id = arguments.device.find(&server)?;
    let device: DeviceBody = server.ask(Method::GET, &format!("/devices/{id}"), "")?;
    let certificates: CertificateList =
        server.ask(Method::GET, &format!("/devices/{id}/certificates"), "")?;
    if arguments.server.json {
        return Ok(print_json(&json!({ "device": device, "certificates": certificates.certificates }))?);
    }
    let mut table = Table::new(&["serial", "state", "issued", "until", "reason", "id"]);
    for one in &certificates.certificates {
        table.push(vec![
            Cell::from(&one.serial_number),
            Cell::state(one.state.as_str()),
            Cell::from(&one.issued_at),
            Cell::from(&one.expires_at),
            Cell::maybe(one.reason.as_ref()),
            Cell::from(&one.id),
        ]);
    }
    Ok(print(&format!("{}\n{}", facts(&device), table.text("it has no certificate")))?)
}

fn facts(device: &DeviceBody) -> String {
    let moment =
        |at: Option<countersign_core::time::Timestamp>| at.map(|at| at.to_string()).unwrap_or_default();
    let trust = device.trust_bundle.map(|bundle| if bundle.current { "current" } else { "another" });
    sheet(&[
        ("id", device.id.to_string()),
        ("name", format!("{}/{}", device.tenant, device.name)),
        ("site", device.site.clone()),
        ("host name", device.hostname.clone()),
        ("system", device.os_type.clone()),
        ("agent", device.agent_id.to_string()),
        ("status", device.status.to_string()),
        ("seen", moment(device.last_seen_at)),
        ("quarantined", moment(device.quarantined_at)),
        ("because", device.quarantined_reason.clone().unwrap_or_default()),
        ("trust bundle", trust.unwrap_or_default().to_owned()),
    ])
}

fn change(arguments: DeviceChangeArguments) -> Result<(), Failure> {
    let server = AdminServer::of(&arguments.server)?;
    let id = arguments.device.find(&server)?;
    let body = json!(DevicePatch { site: arguments.site, maintenance: arguments.maintenance }).to_string();
    let _changed: Decided = server.ask(Method::PATCH, &format!("/devices/{id}"), &body)?;
    let device: DeviceBody = server.ask(Method::GET, &format!("/devices/{id}"), "")?;
    if arguments.server.json { Ok(print_json(&device)?) } else { Ok(print(&facts(&device))?) }
}

/// The id goes to stdout, and nothing else.
fn queue(arguments: DeviceCommandArguments) -> Result<(), Failure> {
    let server = AdminServer::of(&arguments.server)?;
    let id = arguments.device.find(&server)?;
    let body = json!(CommandRequest { kind: arguments.kind, payload: arguments.payload }).to_string();
    let queued: CommandQueued = server.ask(Method::POST, &format!("/devices/{id}/commands"), &body)?;
    if arguments.server.json { Ok(print_json(&queued)?) } else { Ok(print(&format!("{}\n", queued.id))?) }
}

fn commands(arguments: &DeviceCommandsArguments) -> Result<(), Failure> {
    let server = AdminServer::of(&arguments.server)?;
    let id = arguments.device.find(&server)?;
    let query = Query::of(&format!("/devices/{id}/commands")).by("limit", Some(&arguments.page.limit));
    let query = query.by("cursor", arguments.page.cursor.as_ref());
    let found: CommandList = server.ask(Method::GET, query.path(), "")?;
    if arguments.server.json {
        return Ok(print_json(&found)?);
    }
    let mut table = Table::new(&["type", "status", "asked", "finished", "came of it", "id"]);
    for command in &found.commands {
        let result = command.error.clone().or_else(|| command.result.as_ref().map(ToString::to_string));
        table.push(row(command, result.as_ref()));
    }
    Ok(print(&format!("{}{}", table.text("it was asked nothing"), more(found.next_cursor.as_deref())))?)
}

fn row(command: &CommandBody, result: Option<&String>) -> Vec<Cell> {
    vec![
        Cell::from(&command.kind),
        Cell::state(command.status.as_str()),
        Cell::from(&command.created_at),
        Cell::maybe(command.finished_at.as_ref()),
        Cell::maybe(result),
        Cell::from(&command.id),
    ]
}
