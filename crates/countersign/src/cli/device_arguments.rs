//! `countersign device …`.

use std::path::PathBuf;

use clap::Subcommand;
use countersign_core::ids::DeviceId;

use crate::config::ConfigFlags;

/// Reads JSON.
pub(super) fn json(text: &str) -> Result<serde_json::Value, serde_json::Error> {
    serde_json::from_str(text)
}

/// `device …`.
#[derive(Debug, Subcommand)]
pub(super) enum DeviceCommand {
    /// The state that a device is to have, and the one it says it has
    #[command(subcommand)]
    Shadow(ShadowCommand),
}

/// `device shadow …`.
#[derive(Debug, Subcommand)]
pub(super) enum ShadowCommand {
    /// Show both
    #[command(
        after_help = "Example:\n  countersign device shadow show 0198f2c4-7c3e-7d11-9a55-2f1c3b7e9d40 --token-file viewer.token"
    )]
    Show(Box<ShadowShowArguments>),
    /// Replace the state that it is to have
    #[command(
        after_help = "Example:\n  countersign device shadow desire 0198f2c4-7c3e-7d11-9a55-2f1c3b7e9d40 '{\"interval\":30}' --token-file operator.token"
    )]
    Desire(Box<ShadowDesireArguments>),
}

/// `device shadow show`.
#[derive(Debug, clap::Args)]
pub(super) struct ShadowShowArguments {
    /// The device's id
    #[arg(value_name = "ID")]
    pub(super) device: DeviceId,
    /// A file with a token that has the scope commands:read
    #[arg(long, value_name = "FILE")]
    pub(super) token_file: PathBuf,
    #[command(flatten)]
    pub(super) config: ConfigFlags,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// `device shadow desire`.
#[derive(Debug, clap::Args)]
pub(super) struct ShadowDesireArguments {
    /// The device's id
    #[arg(value_name = "ID")]
    pub(super) device: DeviceId,
    /// All of the state: a JSON object
    #[arg(value_name = "JSON", value_parser = json)]
    pub(super) state: serde_json::Value,
    /// A file with a token that has the scope commands:write
    #[arg(long, value_name = "FILE")]
    pub(super) token_file: PathBuf,
    #[command(flatten)]
    pub(super) config: ConfigFlags,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}
