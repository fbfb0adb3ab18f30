//! `countersign job create | list | show | cancel`: one thing to do for many devices.

use countersign_api::wire::jobs::{
    JobBody, JobCancelled, JobCreated, JobList, JobPartBody, JobProgressBody, JobRequest,
};
use countersign_core::command::CommandState;
use http::Method;

use super::admin_server::AdminServer;
use super::cert_inspect::printable;
use super::failure::Failure;
use super::job_arguments::{JobArguments, JobCommand, JobCreateArguments, JobListArguments};
use super::output::{print, print_json};

/// Does what was asked for.
pub(super) fn run(command: JobCommand) -> Result<(), Failure> {
    match command {
        JobCommand::Create(arguments) => create(*arguments),
        JobCommand::List(arguments) => list(&arguments),
        JobCommand::Show(arguments) => show(&arguments),
        JobCommand::Cancel(arguments) => cancel(&arguments),
    }
}

fn create(arguments: JobCreateArguments) -> Result<(), Failure> {
    let server = AdminServer::of(&arguments.server)?;
    let request = JobRequest {
        name: arguments.name,
        devices: arguments.devices,
        document: arguments.document,
        life_seconds: arguments.life,
    };
    let made: JobCreated = server.ask(Method::POST, "/jobs", &serde_json::json!(request).to_string())?;
    if arguments.server.json {
        return Ok(print_json(&made)?);
    }
    Ok(print(&format!("{}\n", made.id))?)
}

fn list(arguments: &JobListArguments) -> Result<(), Failure> {
    let server = AdminServer::of(&arguments.server)?;
    let mut path = format!("/jobs?limit={}", arguments.limit);
    if let Some(tenant) = &arguments.tenant {
        path.push_str(&format!("&tenant={tenant}"));
    }
    let found: JobList = server.ask(Method::GET, &path, "")?;
    if arguments.server.json {
        return Ok(print_json(&found)?);
    }
    Ok(print(&found.jobs.iter().map(line).collect::<String>())?)
}

fn show(arguments: &JobArguments) -> Result<(), Failure> {
    let server = AdminServer::of(&arguments.server)?;
    let found: JobProgressBody = server.ask(Method::GET, &format!("/jobs/{}", arguments.id), "")?;
    if arguments.server.json {
        return Ok(print_json(&found)?);
    }
    let done = found.parts.iter().filter(|part| part.status == CommandState::Completed).count();
    let mut text = line(&found.job);
    text.push_str(&format!("{done} of {} done\n", found.parts.len()));
    text.extend(found.parts.iter().map(part));
    Ok(print(&text)?)
}

fn cancel(arguments: &JobArguments) -> Result<(), Failure> {
    let server = AdminServer::of(&arguments.server)?;
    let ended: JobCancelled = server.ask(Method::POST, &format!("/jobs/{}/cancel", arguments.id), "")?;
    if arguments.server.json {
        return Ok(print_json(&ended)?);
    }
    Ok(print(&format!("called off; {} parts ended\n", ended.ended))?)
}

fn line(job: &JobBody) -> String {
    let cancelled = job.cancelled_at.map(|at| format!(" (called off {at})")).unwrap_or_default();
    format!("{} {} {} {} until {}{cancelled}\n", job.id, job.created_at, job.tenant, job.name, job.expires_at)
}

fn part(part: &JobPartBody) -> String {
    let status = match part.status {
        CommandState::Queued => "queued",
        CommandState::Delivered => "delivered",
        CommandState::Completed => "completed",
        CommandState::Failed => "failed",
        CommandState::Expired => "expired",
    };
    let error = part.error.as_deref().map(|error| format!(": {}", printable(error))).unwrap_or_default();
    format!("  {} {} {status}{error}\n", part.device_id, part.device)
}
