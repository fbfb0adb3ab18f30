//! From the process's arguments to its exit code.

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser as _;
use countersign_agent::config::Environment;
use countersign_agent::disk::{ConfigFile, Disk};
use countersign_agent::{advice, paths};
use countersign_core::time::SystemClock;
use countersign_supervisor::Variables;

use super::arguments::{Arguments, Command};
use super::{documents, enroll, forward, logging, renew, run, status, unenroll};

/// What every command works with.
pub(crate) struct Context {
    pub(crate) environment: Environment,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) clock: Arc<SystemClock>,
    pub(crate) supervision: Variables,
}

/// Runs the command line. Exit codes: 0 done, 1 not done, 2 the command line is wrong.
pub(crate) fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let environment = Environment::of_process();
    let supervision = Variables::of_process();
    let outcome = logging::start(&arguments, &environment, &supervision)
        .and_then(|()| execute(arguments, environment, supervision));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report(&error);
            ExitCode::FAILURE
        }
    }
}

fn execute(arguments: Arguments, environment: Environment, supervision: Variables) -> anyhow::Result<()> {
    let path = arguments
        .config
        .or_else(|| environment.config.clone())
        .unwrap_or_else(|| paths::default_config(&environment));
    let disk = Arc::new(ConfigFile::new(path));
    let context = Context { environment, disk, clock: Arc::new(SystemClock), supervision };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        match arguments.command {
            Command::Enroll(arguments) => enroll::enroll(&context, arguments).await,
            Command::Run(arguments) => run::run(&context, &arguments).await,
            Command::Forward(arguments) => forward::forward(&context, arguments).await,
            Command::Status(json) => status::status(&context, json),
            Command::Renew(json) => renew::renew(&context, json).await,
            Command::Unenroll(arguments) => unenroll::unenroll(&context, &arguments).await,
            Command::Completions(arguments) => documents::completions(&arguments),
            Command::Man(arguments) => documents::man(&arguments),
        }
    })
}

/// The error with its causes, and what to do about it.
fn report(error: &anyhow::Error) {
    let mut stderr = anstream::stderr().lock();
    let mut text = format!("\u{1b}[1;31merror\u{1b}[0m: {error}");
    for cause in error.chain().skip(1) {
        text.push_str(": ");
        text.push_str(&cause.to_string());
    }
    if let Some(hint) = error.chain().next().and_then(advice::hint) {
        text.push_str("\n\u{1b}[1mhint\u{1b}[0m: ");
        text.push_str(&hint);
    }
    // When stderr is closed there is nobody left to tell.
    drop(writeln!(stderr, "{text}"));
}
