//! `serve`: authority, admin API and HTTP door in one process.

use crate::config::Resolved;

/// Runs until SIGTERM or SIGINT, then drains.
#[expect(clippy::unused_async, reason = "wired with the authority and the door")]
pub(crate) async fn run(config: Resolved) -> anyhow::Result<()> {
    drop(config);
    anyhow::bail!("serve is not wired yet")
}
