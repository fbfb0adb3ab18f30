//! `countersign edge run | add | list | revoke`.

use std::fmt::Write as _;
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use countersign_api::wire::edges::{
    CreateEdgeRequest, EdgeBody, EdgeCreated, EdgeList, EdgeLoadBody, EdgeRevoked,
};
use countersign_supervisor::{Sockets, Supervisor, Variables};
use http::Method;
use serde_json::json;

use super::admin_server::AdminServer;
use super::edge_arguments::{
    EdgeAddArguments, EdgeCommand, EdgeListArguments, EdgeRevokeArguments, EdgeRunArguments,
};
use super::failure::Failure;
use super::output::{note, print, print_json};
use super::run::loaded;
use crate::config::ConfigError;
use crate::serve::make_private_directory;
use crate::{files_limit, logging, sandbox};

/// Does what was asked for.
pub(super) fn run(command: EdgeCommand) -> Result<(), Failure> {
    match command {
        EdgeCommand::Run(arguments) => serve(*arguments),
        EdgeCommand::Add(arguments) => add(&arguments),
        EdgeCommand::List(arguments) => list(&arguments),
        EdgeCommand::Revoke(arguments) => revoke(&arguments),
    }
}

fn serve(arguments: EdgeRunArguments) -> Result<(), Failure> {
    let read_again = Arc::new(move || {
        let mut loaded = loaded(arguments.config.clone())?;
        let edge = &mut loaded.resolved.edge;
        edge.authority = arguments.authority.clone().or_else(|| edge.authority.take());
        edge.ca_fingerprint = arguments.ca_fingerprint.or(edge.ca_fingerprint);
        edge.token_file = arguments.token_file.clone().or_else(|| edge.token_file.take());
        Ok::<_, ConfigError>(loaded)
    });
    let loaded = read_again()?;
    let supervision = Variables::of_process();
    logging::start(loaded.resolved.log_format, &loaded.resolved.log_filter, &supervision);
    for notice in &loaded.notices {
        tracing::warn!(notice, "configuration notice");
    }
    files_limit::raise();
    let sockets = Sockets::of_process(&supervision).context("take over sockets")?;
    make_private_directory(&loaded.resolved.data_dir)?;
    // Before there is a second thread: it holds for what this one starts.
    sandbox::enter(&loaded.resolved, &supervision)?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("start the runtime")?;
    let supervisor = Supervisor::new(&supervision);
    Ok(runtime.block_on(crate::edge::run(loaded.resolved, supervisor, sockets, read_again))?)
}

/// The token goes to stdout, and nothing else: it goes into a file.
fn add(arguments: &EdgeAddArguments) -> Result<(), Failure> {
    let named: Vec<String> = arguments.door_names.iter().map(ToString::to_string).collect();
    let some = |list: Vec<String>| (!list.is_empty()).then_some(list);
    let request = CreateEdgeRequest {
        name: arguments.name.clone(),
        tenants: some(arguments.tenants.clone()),
        public_names: some(named),
        expires_in_minutes: Some(arguments.expires_in),
    };
    let created: EdgeCreated =
        AdminServer::of(&arguments.server)?.ask(Method::POST, "/edges", &json!(request).to_string())?;
    if arguments.server.json {
        return Ok(print_json(&created)?);
    }
    note(&format!("its token works once, until {}; on the machine of the edge:", created.token_expires_at));
    note(&format!("  {}", created.command));
    Ok(print(&format!("{}\n", created.token))?)
}

fn list(arguments: &EdgeListArguments) -> Result<(), Failure> {
    let list: EdgeList = AdminServer::of(&arguments.server)?.ask(Method::GET, "/edges", "")?;
    if arguments.server.json {
        return Ok(print_json(&list)?);
    }
    let mut text = String::new();
    for edge in &list.edges {
        // Writing to a String cannot fail.
        let _written = writeln!(text, "{}", line(edge));
    }
    Ok(print(&text)?)
}

fn line(edge: &EdgeBody) -> String {
    let tenants = edge.tenants.as_ref().map_or_else(
        || "all tenants".to_owned(),
        |tenants| tenants.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
    );
    let seen = edge.seen_at.map(|at| format!("  seen {at}")).unwrap_or_default();
    let load = edge.load.map(|load| {
        let EdgeLoadBody { connections, handshakes_per_minute, requests_per_minute, .. } = load;
        format!(
            "  {connections} open, {handshakes_per_minute} handshakes/min, {requests_per_minute} requests/min"
        )
    });
    let load = load.filter(|_load| edge.status == "attached").unwrap_or_default();
    format!("{}  {}  epoch {}  {tenants}{load}{seen}", edge.name, edge.status, edge.applied_epoch)
}

fn revoke(arguments: &EdgeRevokeArguments) -> Result<(), Failure> {
    let server = AdminServer::of(&arguments.server)?;
    let list: EdgeList = server.ask(Method::GET, "/edges", "")?;
    let found = list.edges.iter().find(|edge| edge.name == arguments.name);
    let edge = found.ok_or_else(|| {
        Failure::from(anyhow!("there is no edge {}", arguments.name))
            .hint("`countersign edge list` has them all")
    })?;
    let revoked: EdgeRevoked = server.ask(Method::DELETE, &format!("/edges/{}", edge.id), "")?;
    if arguments.server.json {
        return Ok(print_json(&revoked)?);
    }
    note("its doors go on by what they know: stop the process where it runs");
    let applied = revoked.applied_edges;
    Ok(print(&format!(
        "{} is revoked; {} of {} edges know\n",
        arguments.name, applied.applied, applied.total
    ))?)
}
