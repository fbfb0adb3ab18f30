//! Log lines: `tracing` events to stderr, as text or JSON.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use crate::config::LogFormat;

/// A filter's text, if it can be read.
pub(crate) fn checked_filter(text: String) -> Result<String, String> {
    match EnvFilter::builder().parse(&text) {
        Ok(_readable) => Ok(text),
        Err(error) => Err(format!("cannot read the log directives {text:?}: {error}")),
    }
}

/// Starts logging; a second call changes nothing.
pub(crate) fn start(format: LogFormat, filter: &str) {
    let filter = EnvFilter::new(filter);
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match format {
        LogFormat::Text => builder.with_ansi(std::io::stderr().is_terminal()).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    if let Err(error) = started {
        tracing::debug!(%error, "logging was started before");
    }
}
