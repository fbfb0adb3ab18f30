//! `countersign-agent forward`.

use std::sync::Arc;

use anyhow::Context as _;
use countersign_agent::disk::Disk;
use countersign_agent::forward::{ForwardError, ForwardSettings, source};
use countersign_core::ids::SpkiSha256;
use countersign_tls::tunnel::{Cargo, Destination, Forward, ForwardListen, Reach, pin};
use serde::Serialize;

use super::output;
use super::run::stop_signal;
use super::start::Context;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  countersign-agent forward --listen 127.0.0.1:5432 --to gateway.example.com:6432")]
pub(crate) struct Arguments {
    /// Where local programs connect: ADDRESS:PORT on loopback (port 0 takes a free one) or unix:/PATH, a
    /// socket of mode 0600.
    #[arg(long, value_name = "PLACE")]
    listen: String,

    /// The door: HOST:PORT.
    #[arg(long, value_name = "HOST:PORT")]
    to: Destination,

    /// The name that the door's certificate must be for [default: the host of --to].
    #[arg(long, value_name = "NAME")]
    server_name: Option<String>,

    /// Recognise the door by its public key or its CA's, not by the control plane's CAs: sha256/BASE64 or
    /// hex; repeatable.
    #[arg(long = "pin", value_name = "SHA256", value_parser = pin)]
    pins: Vec<SpkiSha256>,

    /// HTTP/1.1 goes through: requests are told the door's host, and those of web pages are refused.
    #[arg(long)]
    http: bool,

    /// Let others than this machine's programs use this device's identity.
    #[arg(long)]
    danger_listen_beyond_loopback: bool,

    /// Print one JSON object instead of text.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Opened {
    listen: String,
    to: String,
}

pub(crate) async fn forward(context: &Context, arguments: Arguments) -> anyhow::Result<()> {
    let stop = stop_signal().context("listen for signals")?;
    let json = arguments.json;
    let settings = settings(arguments)?;
    let disk: Arc<dyn Disk> = Arc::clone(&context.disk);
    let is_enrolled = disk.load()?.is_some_and(|config| config.enrolment.is_some());
    anyhow::ensure!(is_enrolled, ForwardError::NotEnrolled);
    let source = Arc::new(source(disk, settings.pins.clone()));
    let forward = Forward::bind(settings.config(), source).await?;
    let opened = Opened { listen: forward.listens_at(), to: settings.to.to_string() };
    if json {
        output::json(&opened)?;
    } else {
        output::text(&format!("forwarding {} to {}", opened.listen, opened.to))?;
    }
    tokio::select! {
        () = stop => {}
        () = forward.run() => {}
    }
    tracing::info!("forward closed");
    Ok(())
}

fn settings(arguments: Arguments) -> anyhow::Result<ForwardSettings> {
    let is_dangerous = arguments.danger_listen_beyond_loopback;
    let reach = if is_dangerous { Reach::DangerBeyondLoopback } else { Reach::Loopback };
    if is_dangerous {
        tracing::warn!("danger: whoever reaches the listener uses this device's identity");
    }
    Ok(ForwardSettings {
        listen: ForwardListen::parse(&arguments.listen, reach)?,
        reach,
        to: arguments.to.named(arguments.server_name.as_deref()),
        cargo: if arguments.http { Cargo::Http } else { Cargo::Bytes },
        pins: arguments.pins,
    })
}
