//! `countersign-agent run`.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use countersign_agent::connect::Connect;
use countersign_agent::disk::Disk;
use countersign_agent::host::Host;
use countersign_agent::run::{Agent, Timing};
use countersign_agent::state::StateFile;
use countersign_core::time::Clock;
use countersign_supervisor::Supervisor;

use super::arguments::duration;
use super::start::Context;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  countersign-agent run --log-format json")]
pub(crate) struct Arguments {
    /// How long between heartbeats, a tenth more or less [default: what the server said].
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    heartbeat_interval: Option<Duration>,

    /// The first wait when the device is quarantined, refused or still without a certificate; later
    /// ones double, up to 15 times as much.
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "60s")]
    retry_base: Duration,
}

pub(crate) async fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<()> {
    let stop = stop_signal().context("listen for signals")?;
    let timing = Timing {
        heartbeat: arguments.heartbeat_interval,
        retry_base: arguments.retry_base,
        ..Timing::default()
    };
    let disk: Arc<dyn Disk> = Arc::clone(&context.disk);
    let clock: Arc<dyn Clock> = Arc::<countersign_core::time::SystemClock>::clone(&context.clock);
    let host = Host::this(&context.environment);
    let state = StateFile::beside(disk.path());
    let supervisor = Supervisor::new(&context.supervision);
    let agent = Agent::new(disk, clock, Connect::default(), timing, host)?;
    let _claim = state.claim()?;
    agent.with_supervisor(supervisor).run(stop).await;
    Ok(())
}

/// Completes when the process is asked to end: SIGTERM or ctrl-c.
#[cfg(unix)]
pub(super) fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Completes when the process is asked to end: ctrl-c, or the console or service closes.
#[cfg(windows)]
pub(super) fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::windows::{ctrl_c, ctrl_close, ctrl_shutdown};
    let (mut interrupt, mut close, mut shutdown) = (ctrl_c()?, ctrl_close()?, ctrl_shutdown()?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = close.recv() => {}
            _ = shutdown.recv() => {}
        }
    })
}
