//! `countersign device provisioning-token set | show | remove`: what a device without a certificate shows over
//! MQTT.

use anyhow::Context as _;
use countersign_api::wire::agent::Success;
use countersign_api::wire::provisioning_tokens::{
    ProvisioningTokenBody, ProvisioningTokenSet, SetProvisioningTokenRequest,
};
use http::Method;
use serde_json::json;
use zeroize::Zeroizing;

use super::admin_server::AdminServer;
use super::device_arguments::{DeviceShowArguments, ProvisioningTokenCommand, ProvisioningTokenSetArguments};
use super::failure::Failure;
use super::output::{print, print_json};

/// Does what was asked for.
pub(super) fn run(command: ProvisioningTokenCommand) -> Result<(), Failure> {
    match command {
        ProvisioningTokenCommand::Set(arguments) => set(&arguments),
        ProvisioningTokenCommand::Show(arguments) => show(&arguments),
        ProvisioningTokenCommand::Remove(arguments) => remove(&arguments),
    }
}

/// The token goes to stdout, and nothing else; one that was given is not said again.
fn set(arguments: &ProvisioningTokenSetArguments) -> Result<(), Failure> {
    let server = AdminServer::of(&arguments.server)?;
    let token = match &arguments.own_token_file {
        Some(path) => {
            let text = Zeroizing::new(fs_err::read_to_string(path).context("read the device's token")?);
            Some(text.trim_end_matches(['\r', '\n']).to_owned())
        }
        None => None,
    };
    let is_fresh = token.is_none();
    let path = path_of(&server, &arguments.device)?;
    let body = json!(SetProvisioningTokenRequest { token }).to_string();
    let set: ProvisioningTokenSet = server.ask(Method::PUT, &path, &body)?;
    if arguments.server.json {
        return Ok(print_json(&set)?);
    }
    if is_fresh { Ok(print(&format!("{}\n", set.token))?) } else { Ok(()) }
}

fn show(arguments: &DeviceShowArguments) -> Result<(), Failure> {
    let server = AdminServer::of(&arguments.server)?;
    let path = path_of(&server, &arguments.device)?;
    let known: ProvisioningTokenBody = server.ask(Method::GET, &path, "")?;
    if arguments.server.json {
        return Ok(print_json(&known)?);
    }
    let said = known.set_at.map_or_else(|| "none\n".to_owned(), |at| format!("set {at}\n"));
    Ok(print(&said)?)
}

fn remove(arguments: &DeviceShowArguments) -> Result<(), Failure> {
    let server = AdminServer::of(&arguments.server)?;
    let path = path_of(&server, &arguments.device)?;
    let done: Success = server.ask(Method::DELETE, &path, "")?;
    if arguments.server.json { Ok(print_json(&done)?) } else { Ok(print("removed\n")?) }
}

fn path_of(server: &AdminServer, device: &super::device_ref::DeviceRef) -> Result<String, Failure> {
    Ok(format!("/devices/{}/provisioning-token", device.find(server)?))
}
