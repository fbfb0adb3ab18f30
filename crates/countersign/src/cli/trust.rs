//! `countersign trust`: CAs of somebody else's that doors trust.

use anyhow::{Context as _, anyhow};
use countersign_api::wire::admin::AppliedEdges;
use countersign_api::wire::trusts::{AddTrustRequest, TrustAdded, TrustBody, TrustRemoved, TrustsBody};
use http::Method;
use serde_json::json;

use super::admin_server::{AdminServer, said};
use super::cert_inspect::printable;
use super::failure::Failure;
use super::output::{note, print, print_json};
use super::server_flags::ServerFlags;
use super::trust_arguments::{TrustAddArguments, TrustCommand, TrustRemoveArguments};

/// What to do when CAs are refused.
const REFUSED: &str = "the file holds the certificates of their CAs, PEM, and no others; `countersign trust list` \
                       shows the names that are taken";

/// Does what was asked for.
pub(super) fn run(command: TrustCommand) -> Result<(), Failure> {
    match command {
        TrustCommand::Add(arguments) => add(*arguments),
        TrustCommand::List(arguments) => list(&arguments),
        TrustCommand::Remove(arguments) => remove(*arguments),
    }
}

fn add(arguments: TrustAddArguments) -> Result<(), Failure> {
    let TrustAddArguments { name, ca, server: flags } = arguments;
    let certificates = fs_err::read_to_string(&ca).context("read the certificates of the CAs")?;
    let server = AdminServer::of(&flags)?;
    let body = json!(AddTrustRequest { name, certificates }).to_string();
    let (status, answer) = server.call(Method::POST, "/trusts", &body)?;
    if !status.is_success() {
        let error = anyhow!("the server answered {status}: {}", said(&answer));
        return Err(Failure::from(error).hint(REFUSED));
    }
    let added: TrustAdded = serde_json::from_str(&answer).context("read the server's answer")?;
    if flags.json {
        return Ok(print_json(&added)?);
    }
    let name = &added.trust.name;
    note(&format!(
        "a route admits their guests with admit = [\"trust:{name}\"]; {}",
        reached(&added.applied_edges)
    ));
    Ok(print(&text(&added.trust))?)
}

fn list(flags: &ServerFlags) -> Result<(), Failure> {
    let server = AdminServer::of(flags)?;
    let found: TrustsBody = server.ask(Method::GET, "/trusts", "")?;
    if flags.json {
        return Ok(print_json(&found)?);
    }
    if found.trusts.is_empty() {
        return Ok(print("doors trust nobody else's CA\n")?);
    }
    Ok(print(&found.trusts.iter().map(text).collect::<String>())?)
}

fn remove(arguments: TrustRemoveArguments) -> Result<(), Failure> {
    let TrustRemoveArguments { name, server: flags } = arguments;
    let server = AdminServer::of(&flags)?;
    let removed: TrustRemoved = server.ask(Method::DELETE, &format!("/trusts/{name}"), "")?;
    if flags.json {
        return Ok(print_json(&removed)?);
    }
    Ok(print(&format!("{}: trusted no more; {}\n", removed.name, reached(&removed.applied_edges)))?)
}

fn reached(edges: &AppliedEdges) -> String {
    format!("{} of {} doors have heard of it", edges.applied, edges.total)
}

fn text(trust: &TrustBody) -> String {
    let head = format!("{}: since {}\n", trust.name, trust.added_at);
    let cas = trust
        .cas
        .iter()
        .map(|ca| format!("  {} until {}, key {}\n", printable(&ca.subject), ca.not_after, ca.spki_sha256));
    std::iter::once(head).chain(cas).collect()
}
