//! The one place that writes to stdout (data) and, outside logging, to stderr (failures).

use std::io::{ErrorKind, Write as _};

use anyhow::Context as _;

use super::failure::Failure;

/// Writes data to stdout. A reader that has gone away is not an error.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    let mut stdout = anstream::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error).context("write to stdout"),
        _ => Ok(()),
    }
}

/// Writes a value to stdout as JSON.
pub(super) fn print_json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(value).context("write the answer as JSON")?;
    print(&format!("{text}\n"))
}

/// Tells people on stderr about something that does not stop the command.
pub(super) fn warn(text: &str) {
    to_stderr(&format!("warning: {text}\n"));
}

/// Tells people on stderr how a long command is getting on.
pub(super) fn note(text: &str) {
    to_stderr(&format!("{text}\n"));
}

/// Asks people on stderr for something.
pub(super) fn prompt(text: &str) {
    to_stderr(text);
}

/// Tells people on stderr why the command failed.
pub(super) fn report(failure: &Failure) {
    to_stderr(&failure.text());
}

/// There is nowhere left to tell about a closed stderr.
fn to_stderr(text: &str) {
    let _told = anstream::stderr().lock().write_all(text.as_bytes());
}
