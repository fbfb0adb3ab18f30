//! Log lines go to stderr: as text or JSON, and as the journal wants them when it reads stderr.

use std::io::IsTerminal as _;

use countersign_agent::config::Environment;
use countersign_supervisor::{Journal, Variables};
use tracing_subscriber::EnvFilter;

use super::arguments::{Arguments, Command, LogFormat};

/// Starts logging.
pub(crate) fn start(
    arguments: &Arguments,
    environment: &Environment,
    supervision: &Variables,
) -> anyhow::Result<()> {
    let default =
        if matches!(arguments.command, Command::Run(_) | Command::Forward(_)) { "info" } else { "warn" };
    let filter = arguments.log.as_deref().or(environment.log.as_deref()).unwrap_or(default);
    let lines = tracing_subscriber::fmt().with_env_filter(EnvFilter::try_new(filter)?);
    match (Journal::behind_stderr(supervision), arguments.log_format) {
        // The journal knows the time and the level.
        (Some(journal), LogFormat::Text) => {
            lines.with_writer(journal).with_ansi(false).without_time().with_level(false).init();
        }
        (Some(journal), LogFormat::Json) => lines.with_writer(journal).json().init(),
        (None, LogFormat::Text) => {
            lines.with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal()).init();
        }
        (None, LogFormat::Json) => lines.with_writer(std::io::stderr).json().init(),
    }
    Ok(())
}
