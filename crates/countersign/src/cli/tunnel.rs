//! `countersign tunnel`: for machines with a certificate and no agent.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use countersign_core::ids::SpkiSha256;
use countersign_supervisor::Variables;
use countersign_tls::tunnel::{
    Cargo, Destination, Forward, ForwardConfig, ForwardListen, ForwardListenError, Reach, TlsMaterial,
    TlsSource, pin,
};
use countersign_tls::{ClientIdentity, ServerTrust};
use serde::Serialize;
use tokio::signal::unix::{SignalKind, signal};

use super::failure::Failure;
use super::output;
use super::run::block_on;
use crate::config::LogFormat;
use crate::credentials::Slot;
use crate::{files_limit, logging};

/// `tunnel`.
#[derive(Debug, clap::Args)]
pub(super) struct TunnelArguments {
    /// Where local programs connect: ADDRESS:PORT on loopback (port 0 takes a free one) or unix:/PATH, a
    /// socket of mode 0600
    #[arg(long, value_name = "PLACE")]
    listen: String,
    /// The door: HOST:PORT
    #[arg(long, value_name = "HOST:PORT")]
    to: Destination,
    /// The directory NAME that holds NAME-cert.pem, NAME-key.pem and NAME-chain.pem, as `cert issue` and
    /// `cert rotate` keep them; looked at with every connection
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// The CA by which the door is recognised, PEM; the last certificate of NAME-chain.pem when absent
    #[arg(long, value_name = "FILE", conflicts_with = "pins")]
    ca: Option<PathBuf>,
    /// Recognise the door by its public key or its CA's instead: sha256/BASE64 or hex; repeatable
    #[arg(long = "pin", value_name = "SHA256", value_parser = pin)]
    pins: Vec<SpkiSha256>,
    /// The name that the door's certificate must be for; the host of --to when absent
    #[arg(long, value_name = "NAME")]
    server_name: Option<String>,
    /// HTTP/1.1 goes through: requests are told the door's host, and those of web pages are refused
    #[arg(long)]
    http: bool,
    /// Let others than this machine's programs use the identity
    #[arg(long)]
    danger_listen_beyond_loopback: bool,
    /// Which log lines are written, such as info or warn
    #[arg(long, value_name = "FILTER", default_value = "info", value_parser = filter)]
    log_filter: String,
    /// How log lines look
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

fn filter(text: &str) -> Result<String, String> {
    logging::checked_filter(text.to_owned())
}

#[derive(Serialize)]
struct Opened {
    listen: String,
    to: String,
}

/// Listens and forwards until SIGTERM or SIGINT.
pub(super) fn run(arguments: TunnelArguments) -> Result<(), Failure> {
    logging::start(arguments.log_format, &arguments.log_filter, &Variables::of_process());
    files_limit::raise();
    block_on(async move { open(arguments).await.map_err(Failure::from) })
}

async fn open(arguments: TunnelArguments) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listen for SIGINT")?;
    let is_dangerous = arguments.danger_listen_beyond_loopback;
    let reach = if is_dangerous { Reach::DangerBeyondLoopback } else { Reach::Loopback };
    let listen = ForwardListen::parse(&arguments.listen, reach).map_err(hinted)?;
    if is_dangerous {
        tracing::warn!("danger: whoever reaches the listener uses this identity");
    }
    let to = arguments.to.clone().named(arguments.server_name.as_deref());
    let cargo = if arguments.http { Cargo::Http } else { Cargo::Bytes };
    let files = Files::of(&arguments)?;
    let source = Arc::new(TlsSource::new(move || Ok(files.read()?)));
    source.current().context("use the certificate")?;
    let config = ForwardConfig { cargo, ..ForwardConfig::new(listen, to.clone()) };
    let forward = Forward::bind(config, source).await?;
    let opened = Opened { listen: forward.listens_at(), to: to.to_string() };
    if arguments.json {
        output::print_json(&opened)?;
    } else {
        output::print(&format!("forwarding {} to {}\n", opened.listen, opened.to))?;
    }
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        () = forward.run() => {}
    }
    tracing::info!("tunnel closed");
    Ok(())
}

fn hinted(error: ForwardListenError) -> anyhow::Error {
    match error {
        ForwardListenError::BeyondLoopback(_) => anyhow::Error::new(error)
            .context("listen on 127.0.0.1, or say --danger-listen-beyond-loopback where that is meant"),
        ForwardListenError::Unreadable(_) => error.into(),
    }
}

/// What the tunnel shows, and whom it trusts.
struct Files {
    slot: Slot,
    ca: Option<PathBuf>,
    pins: Vec<SpkiSha256>,
}

impl Files {
    fn of(arguments: &TunnelArguments) -> anyhow::Result<Self> {
        let directory = fs_err::canonicalize(&arguments.dir).context("find the certificate's directory")?;
        let slot = Slot::of(&directory)
            .filter(|slot| slot.file("cert").is_file() && slot.file("key").is_file())
            .with_context(|| {
                let name = directory.file_name().unwrap_or_default().display();
                format!("{} holds no {name}-cert.pem with its {name}-key.pem", directory.display())
            })?;
        Ok(Self { slot, ca: arguments.ca.clone(), pins: arguments.pins.clone() })
    }

    fn read(&self) -> anyhow::Result<TlsMaterial> {
        let text = |path: &Path| fs_err::read_to_string(path);
        let trust = match (&self.ca, self.pins.as_slice()) {
            (None, []) => ServerTrust::Roots(last(&text(&self.slot.file("chain"))?)?),
            (Some(ca), _) => ServerTrust::Roots(text(ca)?),
            (None, pins) => ServerTrust::Keys(pins.to_vec()),
        };
        let (certificate, key) = (text(&self.slot.file("cert"))?, text(&self.slot.file("key"))?);
        Ok(TlsMaterial { trust, identity: Some(ClientIdentity::from_pem(certificate, key)) })
    }
}

/// The last certificate of a chain: its root.
fn last(chain: &str) -> anyhow::Result<String> {
    const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
    let (_, root) = chain.rsplit_once(BEGIN).context("read the chain: there is no certificate in it")?;
    Ok(format!("{BEGIN}{root}"))
}
