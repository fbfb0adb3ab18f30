//! `countersign job …`.

use clap::Subcommand;
use countersign_core::command::JobName;
use countersign_core::ids::{DeviceId, JobId, Tenant};

use super::device_arguments::json;
use super::server_flags::ServerFlags;

/// `job …`.
#[derive(Debug, Subcommand)]
pub(super) enum JobCommand {
    /// Make one: each device gets its part at once or as soon as it can
    #[command(
        after_help = "A token needs the scope commands:write.\n\nExample:\n  countersign job create firmware --device 0198f2c4-7c3e-7d11-9a55-2f1c3b7e9d40 --document '{\"version\":\"2.1\"}' --token-file operator.token"
    )]
    Create(Box<JobCreateArguments>),
    /// Show them, newest first
    #[command(
        after_help = "A token needs the scope commands:read.\n\nExample:\n  countersign job list --tenant acme --token-file viewer.token"
    )]
    List(Box<JobListArguments>),
    /// Show one, with what became of it at each device
    #[command(
        after_help = "A token needs the scope commands:read.\n\nExample:\n  countersign job show 0198f2c4-7c3e-7d11-9a55-2f1c3b7e9d40 --token-file viewer.token"
    )]
    Show(Box<JobArguments>),
    /// Call one off: what its devices have not done ends
    #[command(
        after_help = "A token needs the scope commands:write.\n\nExample:\n  countersign job cancel 0198f2c4-7c3e-7d11-9a55-2f1c3b7e9d40 --token-file operator.token"
    )]
    Cancel(Box<JobArguments>),
}

/// `job create`.
#[derive(Debug, clap::Args)]
pub(super) struct JobCreateArguments {
    /// What is to be done, in a word that the devices know
    #[arg(value_name = "NAME")]
    pub(super) name: JobName,
    /// By which device, by its id; may be given up to 500 times, all of one tenant
    #[arg(long = "device", value_name = "ID", required = true)]
    pub(super) devices: Vec<DeviceId>,
    /// The particulars: a JSON object
    #[arg(long, value_name = "JSON", value_parser = json)]
    pub(super) document: Option<serde_json::Value>,
    /// For how long it is offered, in seconds; a day unless told otherwise
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(60..=2_592_000))]
    pub(super) life: Option<u64>,
    #[command(flatten)]
    pub(super) server: ServerFlags,
}

/// `job list`.
#[derive(Debug, clap::Args)]
pub(super) struct JobListArguments {
    /// Of this tenant alone, by its slug
    #[arg(long, value_name = "TENANT")]
    pub(super) tenant: Option<Tenant>,
    /// At most so many
    #[arg(long, value_name = "COUNT", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=500))]
    pub(super) limit: u32,
    #[command(flatten)]
    pub(super) server: ServerFlags,
}

/// `job show` and `job cancel`.
#[derive(Debug, clap::Args)]
pub(super) struct JobArguments {
    /// The job's id
    #[arg(value_name = "ID")]
    pub(super) id: JobId,
    #[command(flatten)]
    pub(super) server: ServerFlags,
}
