//! What goes to stdout.

use std::io::Write as _;

use anyhow::Context as _;
use serde::Serialize;

/// Prints lines of text.
pub(crate) fn text(text: &str) -> anyhow::Result<()> {
    writeln!(anstream::stdout().lock(), "{text}").context("write to stdout")
}

/// Prints one JSON object on a line.
pub(crate) fn json(value: &impl Serialize) -> anyhow::Result<()> {
    text(&serde_json::to_string(value).context("write JSON")?)
}
