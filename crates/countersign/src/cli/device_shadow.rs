//! `countersign device shadow show | desire`: the state that a device is to have, and the one it says it has.

use countersign_api::wire::shadows::{DesireRequest, ShadowBody};
use http::Method;
use serde_json::Value;

use super::admin_server::AdminServer;
use super::cert_inspect::printable;
use super::device_arguments::{ShadowCommand, ShadowDesireArguments, ShadowShowArguments};
use super::failure::Failure;
use super::output::{print, print_json};

/// Does what was asked for.
pub(super) fn run(command: ShadowCommand) -> Result<(), Failure> {
    match command {
        ShadowCommand::Show(arguments) => show(&arguments),
        ShadowCommand::Desire(arguments) => desire(*arguments),
    }
}

fn show(arguments: &ShadowShowArguments) -> Result<(), Failure> {
    let server = AdminServer::of(&arguments.server)?;
    let shadow: ShadowBody = server.ask(Method::GET, &format!("/devices/{}/shadow", arguments.device), "")?;
    say(&shadow, arguments.server.json)
}

fn desire(arguments: ShadowDesireArguments) -> Result<(), Failure> {
    let server = AdminServer::of(&arguments.server)?;
    let body = serde_json::json!(DesireRequest { desired: arguments.state }).to_string();
    let shadow: ShadowBody =
        server.ask(Method::PUT, &format!("/devices/{}/shadow", arguments.device), &body)?;
    say(&shadow, arguments.server.json)
}

fn say(shadow: &ShadowBody, as_json: bool) -> Result<(), Failure> {
    if as_json {
        return Ok(print_json(shadow)?);
    }
    let desired = shadow.desired.as_ref().map_or_else(
        || "desired  nothing\n".to_owned(),
        |desired| format!("desired  version {} {} {}\n", desired.version, desired.at, shown(&desired.state)),
    );
    let reported = shadow.reported.as_ref().map_or_else(
        || "reported nothing\n".to_owned(),
        |said| {
            let version = said.version.map_or_else(String::new, |version| format!("version {version} "));
            format!("reported {version}{} {}\n", said.at, shown(&said.state))
        },
    );
    Ok(print(&format!("{desired}{reported}"))?)
}

fn shown(state: &Value) -> String {
    printable(&state.to_string())
}
