//! `cloudflare …`: commands and flags.

use std::path::PathBuf;

use clap::Subcommand;
use countersign_ca::upstream::ZoneId;

use crate::config::ConfigFlags;

const VARIABLES: &str = "The token and the zone are in CLOUDFLARE_API_TOKEN and CLOUDFLARE_ZONE_ID.";

/// `cloudflare …`.
#[derive(Debug, Subcommand)]
pub(super) enum CloudflareCommand {
    /// Upload a CA certificate of ours, so that Cloudflare verifies what it signed
    #[command(
        after_help = format!("{VARIABLES}\nA CA of one's own needs an Enterprise plan; its CRL is not looked at there.\n\n\
            Example:\n  countersign cloudflare push-ca --ca device-ca.pem --account-id 01a7362d577a6c3019a474fd6f485823 --hostname gateway.example.com")
    )]
    PushCa(Box<PushCaArguments>),
    /// Put the rules of the configuration among the zone's custom rules; those of others stay
    #[command(
        after_help = format!("{VARIABLES}\n\nExample:\n  countersign cloudflare push-rules --config /etc/countersign-server/countersign.toml --dry-run")
    )]
    PushRules(Box<PushRulesArguments>),
    /// Print the zone's custom rules as rules of ours
    #[command(
        after_help = format!("{VARIABLES}\n\nExample:\n  countersign cloudflare import-rules --file ruleset.json >> countersign.toml")
    )]
    ImportRules(Box<ImportRulesArguments>),
    /// Say whether the token works, and what the zone has
    #[command(after_help = format!("{VARIABLES}\n\nExample:\n  countersign cloudflare status --json"))]
    Status(Box<StatusArguments>),
}

/// `cloudflare push-ca`.
#[derive(Debug, clap::Args)]
pub(super) struct PushCaArguments {
    /// The CA certificate to upload, PEM: the device CA's, which signs devices and nothing else
    #[arg(long, value_name = "FILE")]
    pub(super) ca: PathBuf,
    /// The account that it is uploaded to, on the zone's overview page under API
    #[arg(long, value_name = "ID")]
    pub(super) account_id: ZoneId,
    /// A host name at which clients are asked for its certificates; repeatable. Without any, those that
    /// are set stay
    #[arg(long = "hostname", value_name = "NAME")]
    pub(super) hostnames: Vec<String>,
    /// What it is called there
    #[arg(long, value_name = "NAME", default_value = "countersign devices")]
    pub(super) name: String,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) config: ConfigFlags,
}

/// `cloudflare push-rules`.
#[derive(Debug, clap::Args)]
pub(super) struct PushRulesArguments {
    /// Say what would be changed, and change nothing
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) config: ConfigFlags,
}

/// `cloudflare import-rules`.
#[derive(Debug, clap::Args)]
pub(super) struct ImportRulesArguments {
    /// A ruleset in JSON, as the API gives it, instead of the zone's
    #[arg(long, value_name = "FILE")]
    pub(super) file: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) config: ConfigFlags,
}

/// `cloudflare status`.
#[derive(Debug, clap::Args)]
pub(super) struct StatusArguments {
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) config: ConfigFlags,
}
