//! `countersign telemetry …` and `countersign quarantine …`.

use clap::Subcommand;
use countersign_core::ids::{DeviceId, Tenant};
use countersign_core::time::Timestamp;

use super::server_flags::ServerFlags;

/// `telemetry …`.
#[derive(Debug, Subcommand)]
pub(super) enum TelemetryCommand {
    /// Print what comes, a line each, until it is interrupted
    #[command(
        after_help = "A token needs the scope telemetry:read.\n\nExample:\n  countersign telemetry tail --tenant acme --token-file viewer.token"
    )]
    Tail(Box<TelemetryTailArguments>),
    /// Print what came, newest first
    #[command(
        after_help = "A token needs the scope telemetry:read.\n\nExample:\n  countersign telemetry query --from 2027-01-15T08:00:00Z --limit 500 --token-file viewer.token --json\n\nMore than --limit: ask again with --before and the last number."
    )]
    Query(Box<TelemetryQueryArguments>),
}

/// `telemetry tail`.
#[derive(Debug, clap::Args)]
pub(super) struct TelemetryTailArguments {
    /// Of this tenant alone, by its slug
    #[arg(long, value_name = "TENANT")]
    pub(super) tenant: Option<Tenant>,
    /// Of this device alone, by its id
    #[arg(long, value_name = "ID")]
    pub(super) device: Option<DeviceId>,
    /// Begin with so many of the latest
    #[arg(long, value_name = "COUNT", default_value_t = 10, value_parser = clap::value_parser!(u32).range(0..=500))]
    pub(super) last: u32,
    /// End after so many lines
    #[arg(long, value_name = "COUNT")]
    pub(super) count: Option<u64>,
    #[command(flatten)]
    pub(super) server: ServerFlags,
}

/// `telemetry query`.
#[derive(Debug, clap::Args)]
pub(super) struct TelemetryQueryArguments {
    /// Of this tenant alone, by its slug
    #[arg(long, value_name = "TENANT")]
    pub(super) tenant: Option<Tenant>,
    /// Of this device alone, by its id
    #[arg(long, value_name = "ID")]
    pub(super) device: Option<DeviceId>,
    /// Received from this moment on, RFC 3339
    #[arg(long, value_name = "TIME", value_parser = Timestamp::parse)]
    pub(super) from: Option<Timestamp>,
    /// Received before this moment, RFC 3339
    #[arg(long, value_name = "TIME", value_parser = Timestamp::parse)]
    pub(super) to: Option<Timestamp>,
    /// Older than the message with this number
    #[arg(long, value_name = "NUMBER")]
    pub(super) before: Option<u64>,
    /// At most so many
    #[arg(long, value_name = "COUNT", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=500))]
    pub(super) limit: u32,
    #[command(flatten)]
    pub(super) server: ServerFlags,
}

/// `quarantine …`.
#[derive(Debug, Subcommand)]
pub(super) enum QuarantineCommand {
    /// Messages of devices that were set aside
    #[command(subcommand)]
    Messages(QuarantineMessagesCommand),
}

/// `quarantine messages …`.
#[derive(Debug, Subcommand)]
pub(super) enum QuarantineMessagesCommand {
    /// Show them, newest first
    #[command(
        after_help = "A token needs the scope telemetry:read.\n\nExample:\n  countersign quarantine messages list --reason SCHEMA_INVALID --token-file viewer.token"
    )]
    List(Box<QuarantineListArguments>),
    /// Show one, with what is kept of its payload
    #[command(
        after_help = "A token needs the scope telemetry:read.\n\nExample:\n  countersign quarantine messages show 7 --token-file viewer.token"
    )]
    Show(Box<QuarantineMessageArguments>),
    /// Take one as telemetry after all
    #[command(
        after_help = "A token needs the scope telemetry:write.\n\nExample:\n  countersign quarantine messages release 7 --token-file operator.token"
    )]
    Release(Box<QuarantineMessageArguments>),
}

/// `quarantine messages list`.
#[derive(Debug, clap::Args)]
pub(super) struct QuarantineListArguments {
    /// Of this tenant alone, by its slug
    #[arg(long, value_name = "TENANT")]
    pub(super) tenant: Option<Tenant>,
    /// With this reason alone
    #[arg(long, value_name = "CODE")]
    pub(super) reason: Option<String>,
    /// Older than the message with this number
    #[arg(long, value_name = "NUMBER")]
    pub(super) before: Option<u64>,
    /// At most so many
    #[arg(long, value_name = "COUNT", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=500))]
    pub(super) limit: u32,
    #[command(flatten)]
    pub(super) server: ServerFlags,
}

/// `quarantine messages show | release`.
#[derive(Debug, clap::Args)]
pub(super) struct QuarantineMessageArguments {
    /// The message's number
    #[arg(value_name = "NUMBER")]
    pub(super) id: u64,
    #[command(flatten)]
    pub(super) server: ServerFlags,
}
