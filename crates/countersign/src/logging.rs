//! Log lines: `tracing` events to stderr, as text or JSON.

use std::io::IsTerminal as _;

use countersign_supervisor::{Journal, Variables};
use tracing_subscriber::EnvFilter;

use crate::config::LogFormat;

/// A filter's text, if it can be read.
pub(crate) fn checked_filter(text: String) -> Result<String, String> {
    match EnvFilter::builder().parse(&text) {
        Ok(_readable) => Ok(text),
        Err(error) => Err(format!("cannot read the log directives {text:?}: {error}")),
    }
}

/// Starts logging; a second call changes nothing. Lines for the journal carry their priority, and
/// neither time nor level, which it knows.
pub(crate) fn start(format: LogFormat, filter: &str, supervision: &Variables) {
    let builder = tracing_subscriber::fmt().with_env_filter(EnvFilter::new(filter));
    let started = match (Journal::behind_stderr(supervision), format) {
        (Some(journal), LogFormat::Text) => {
            builder.with_writer(journal).with_ansi(false).without_time().with_level(false).try_init()
        }
        (Some(journal), LogFormat::Json) => {
            builder.with_writer(journal).json().flatten_event(true).try_init()
        }
        (None, LogFormat::Text) => {
            builder.with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal()).try_init()
        }
        (None, LogFormat::Json) => builder.with_writer(std::io::stderr).json().flatten_event(true).try_init(),
    };
    if let Err(error) = started {
        tracing::debug!(%error, "logging was started before");
    }
}
