//! `countersign device approve | deny | quarantine | decommission | revoke | rotate-token`: decisions about
//! one device or several, each by itself.

use anyhow::anyhow;
use countersign_api::wire::admin::{
    AppliedEdges, CertificateList, Decided, QuarantineRequest, RevokeRequest, RevokeResponse,
};
use countersign_api::wire::credentials::RotateTokenRequest;
use countersign_core::certificate::CertificateState;
use countersign_core::ids::{CertificateId, DeviceId};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::admin_server::{AdminServer, refused};
use super::device_arguments::{
    DeviceQuarantineArguments, DeviceRevokeArguments, DeviceRotateTokenArguments, DevicesArguments,
};
use super::device_ref::DeviceRef;
use super::failure::Failure;
use super::output::{print, print_json, report};

/// What became of one device.
struct Done {
    said: String,
    answer: Value,
}

/// Lets devices out of quarantine.
pub(super) fn approve(arguments: &DevicesArguments) -> Result<(), Failure> {
    decide(arguments, "/agents/ID/approve", "", "approved: it may renew once, within a day, with its key")
}

/// Refuses devices for good.
pub(super) fn deny(arguments: &DevicesArguments) -> Result<(), Failure> {
    let said = "denied: its certificates and tokens are revoked, its sessions closed, its key refused";
    decide(arguments, "/agents/ID/deny", "", said)
}

/// Refuses devices until somebody decides.
pub(super) fn quarantine(arguments: &DeviceQuarantineArguments) -> Result<(), Failure> {
    let body = json!(QuarantineRequest { reason: arguments.reason.clone() }).to_string();
    decide(&arguments.which, "/devices/ID/quarantine", &body, "quarantined: refused at every door")
}

/// Retires devices.
pub(super) fn decommission(arguments: &DevicesArguments) -> Result<(), Failure> {
    let said = "decommissioned: its certificates and tokens are revoked, its sessions closed";
    decide(arguments, "/devices/ID/decommission", "", said)
}

/// Has devices fetch new bearer tokens.
pub(super) fn rotate_token(arguments: &DeviceRotateTokenArguments) -> Result<(), Failure> {
    let body = json!(RotateTokenRequest { revoke: arguments.revoke }).to_string();
    let said = if arguments.revoke { "its token is revoked" } else { "asked to fetch a new token" };
    each(&arguments.which, |server, id| {
        let answer: Value = server.ask(Method::POST, &format!("/devices/{id}/rotate-token"), &body)?;
        Ok(Done { said: said.to_owned(), answer })
    })
}

/// Revokes every usable certificate of devices.
pub(super) fn revoke(arguments: &DeviceRevokeArguments) -> Result<(), Failure> {
    let body = json!(RevokeRequest { reason: Some(arguments.reason.to_string()) }).to_string();
    each(&arguments.which, |server, id| revoke_all(server, id, &body))
}

fn revoke_all(server: &AdminServer, id: DeviceId, body: &str) -> Result<Done, Failure> {
    let list: CertificateList = server.ask(Method::GET, &format!("/devices/{id}/certificates"), "")?;
    let usable = |state| match state {
        CertificateState::Active | CertificateState::PendingActivation | CertificateState::Superseded => true,
        CertificateState::Revoked | CertificateState::Expired => false,
    };
    let usable: Vec<CertificateId> =
        list.certificates.iter().filter(|one| usable(one.state)).map(|one| one.id).collect();
    if usable.is_empty() {
        return Err(Failure::from(anyhow!("it has no usable certificate")));
    }
    let mut revoked: Vec<RevokeResponse> = Vec::new();
    for certificate in usable {
        let (status, answer) =
            server.call(Method::POST, &format!("/certificates/{certificate}/revoke"), body)?;
        // The revocation of one may have taken the others along.
        if status == StatusCode::CONFLICT {
            continue;
        }
        if !status.is_success() {
            return Err(refused(status, &answer));
        }
        revoked.push(serde_json::from_str(&answer).map_err(anyhow::Error::new)?);
    }
    let reach = revoked.last().map(|last| reached(last.applied_edges)).unwrap_or_default();
    let said = format!("certificates revoked: {}{reach}", revoked.len());
    Ok(Done { said, answer: json!({ "revoked": revoked }) })
}

fn decide(arguments: &DevicesArguments, path: &str, body: &str, said: &str) -> Result<(), Failure> {
    each(arguments, |server, id| {
        let decided: Decided = server.ask(Method::POST, &path.replace("ID", &id.to_string()), body)?;
        let said = format!("{said}{}", reached(decided.applied_edges));
        Ok(Done { said, answer: json!(decided) })
    })
}

/// Fails closed: one that could not be done fails the command, after the others were done.
fn each(
    arguments: &DevicesArguments,
    act: impl Fn(&AdminServer, DeviceId) -> Result<Done, Failure>,
) -> Result<(), Failure> {
    let server = AdminServer::of(&arguments.server)?;
    let mut answers = Vec::new();
    let mut failed = Vec::new();
    for device in &arguments.devices {
        match device.find(&server).and_then(|id| Ok((id, act(&server, id)?))) {
            Ok((id, done)) if arguments.server.json => {
                answers.push(json!({ "id": id, "answer": done.answer }));
            }
            Ok((_, done)) => print(&format!("{device}  {}\n", done.said))?,
            Err(failure) => failed.push((device, failure)),
        }
    }
    if arguments.server.json {
        print_json(&json!({ "devices": answers }))?;
    }
    ended(failed, arguments.devices.len())
}

fn ended(mut failed: Vec<(&DeviceRef, Failure)>, all: usize) -> Result<(), Failure> {
    if all == 1
        && let Some((_, failure)) = failed.pop()
    {
        return Err(failure);
    }
    if failed.is_empty() {
        return Ok(());
    }
    let names: Vec<String> = failed.iter().map(|(device, _)| device.to_string()).collect();
    failed.iter().for_each(|(_, failure)| report(failure));
    Err(Failure::from(anyhow!("not done for {} of {all}: {}", names.len(), names.join(", "))))
}

fn reached(edges: AppliedEdges) -> String {
    format!("; {} of {} edges know", edges.applied, edges.total)
}
