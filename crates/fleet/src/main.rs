//! `countersign-fleet`: a fleet of simulated devices, to see what an installation does under it.

use std::io::{IsTerminal as _, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser;
use countersign_fleet::{Admin, Plan, Profile, Site, run};

/// A fleet of simulated devices: they enrol over the door with keys of their own, and then behave as the profile says
#[derive(Debug, Parser)]
#[command(
    name = "countersign-fleet",
    version,
    after_help = "Example:\n  countersign-fleet steady --devices 1000 --duration 60 --admin 127.0.0.1:8080 --door 127.0.0.1:8443 \\\n    --token-file owner.token --roots roots.pem\n\nIt ends with 1 when something was let in, or kept out, that must not be."
)]
struct Arguments {
    /// What the fleet does
    profile: Profile,
    /// How many devices enrol
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    devices: u32,
    /// How many of them do something at a time, where all of them do
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..))]
    at_once: u32,
    /// How many seconds it goes on, where it has no end of its own
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    duration: u64,
    /// Seconds between two heartbeats of a device
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    interval: u64,
    /// The tenant that they enrol with, made if there is none
    #[arg(long, default_value = "fleet")]
    tenant: String,
    /// The HTTP door
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8443")]
    door: SocketAddr,
    /// What the door is trusted by, PEM: /pki/bundle.pem of the admin listener
    #[arg(long, value_name = "FILE")]
    roots: PathBuf,
    /// The admin listener
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    admin: SocketAddr,
    /// The file with an owner's token
    #[arg(long, value_name = "FILE")]
    token_file: PathBuf,
    /// The report as JSON
    #[arg(long)]
    json: bool,
}

impl Arguments {
    fn site(&self) -> anyhow::Result<Site> {
        let token = fs_err::read_to_string(&self.token_file).context("read the token")?;
        let admin = Admin { address: self.admin, token: token.trim().to_owned() };
        let roots_pem = fs_err::read_to_string(&self.roots).context("read the roots")?;
        Ok(Site { door: self.door, roots_pem, admin })
    }

    fn plan(&self) -> Plan {
        Plan {
            profile: self.profile,
            devices: usize::try_from(self.devices).unwrap_or(usize::MAX),
            tenant: self.tenant.clone(),
            at_once: usize::try_from(self.at_once).unwrap_or(usize::MAX),
            duration: Duration::from_secs(self.duration),
            interval: Duration::from_secs(self.interval),
        }
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    let quiet = !std::io::stderr().is_terminal() && arguments.json;
    let tell = |said: &str| {
        if !quiet {
            // Nobody listens when this fails.
            drop(writeln!(std::io::stderr(), "{said}"));
        }
    };
    let report = run(&arguments.site()?, &arguments.plan(), tell).await?;
    let text = if arguments.json {
        format!("{}\n", serde_json::to_string_pretty(&report).context("write the report")?)
    } else {
        report.to_string()
    };
    std::io::stdout().write_all(text.as_bytes()).context("print the report")?;
    Ok(if report.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
