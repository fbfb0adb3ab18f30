//! `countersign device …`.

use clap::Subcommand;
use countersign_core::certificate::RevocationReason;
use countersign_core::command::CommandKind;
use countersign_core::device::DeviceStatus;
use countersign_core::ids::{DeviceId, Tenant};

use super::device_ref::DeviceRef;
use super::server_flags::ServerFlags;
use super::service_arguments::PageFlags;

/// Reads JSON.
pub(super) fn json(text: &str) -> Result<serde_json::Value, serde_json::Error> {
    serde_json::from_str(text)
}

/// `device …`.
#[derive(Debug, Subcommand)]
pub(super) enum DeviceCommand {
    /// Show devices
    #[command(
        after_help = "A token needs the scope devices:read.\n\nExample:\n  countersign device list --status quarantined"
    )]
    List(Box<DeviceListArguments>),
    /// Show one device, and its certificates
    #[command(
        after_help = "A token needs the scope devices:read.\n\nExample:\n  countersign device show acme/ws-01"
    )]
    Show(Box<DeviceShowArguments>),
    /// Let devices out of quarantine: each may renew once, within a day, with the key that it had
    #[command(
        after_help = "A token needs the scope devices:write.\n\nExample:\n  countersign device approve acme/ws-01"
    )]
    Approve(Box<DevicesArguments>),
    /// Refuse devices for good: certificates and tokens are revoked, sessions closed, their keys denied
    #[command(
        after_help = "A token needs the scope devices:write. There is no way back: its name is never used again.\n\nExample:\n  countersign device deny acme/ws-01"
    )]
    Deny(Box<DevicesArguments>),
    /// Refuse devices everywhere until somebody approves or denies them
    #[command(
        after_help = "A token needs the scope devices:write.\n\nExample:\n  countersign device quarantine acme/ws-01 --reason 'reported stolen'"
    )]
    Quarantine(Box<DeviceQuarantineArguments>),
    /// Retire devices: as deny does, without denying their keys
    #[command(
        after_help = "A token needs the scope devices:write. There is no way back: its name is never used again.\n\nExample:\n  countersign device decommission acme/ws-01"
    )]
    Decommission(Box<DevicesArguments>),
    /// Revoke every usable certificate of devices, which quarantines them
    #[command(
        after_help = "A token needs the scopes devices:read and certificates:write.\n\nExample:\n  countersign device revoke acme/ws-01 --reason keyCompromise"
    )]
    Revoke(Box<DeviceRevokeArguments>),
    /// Move a device to another site, or set it aside
    #[command(
        after_help = "A token needs the scopes devices:read and devices:write.\n\nExample:\n  countersign device change acme/ws-01 --site berlin --maintenance on"
    )]
    Change(Box<DeviceChangeArguments>),
    /// Have a device fetch a new bearer token
    #[command(
        after_help = "A token needs the scope devices:write.\n\nExample:\n  countersign device rotate-token acme/ws-01"
    )]
    RotateToken(Box<DeviceRotateTokenArguments>),
    /// Ask a device to do something; it does so when it is next there
    #[command(
        after_help = "A token needs the scope commands:write.\n\nExample:\n  countersign device command acme/ws-01 renew_certificate"
    )]
    Command(Box<DeviceCommandArguments>),
    /// Show what a device was asked to do, and what came of it
    #[command(
        after_help = "A token needs the scope commands:read.\n\nExample:\n  countersign device commands acme/ws-01"
    )]
    Commands(Box<DeviceCommandsArguments>),
    /// The state that a device is to have, and the one it says it has
    #[command(subcommand)]
    Shadow(ShadowCommand),
    /// What a device without a certificate shows at the MQTT door's token listener
    #[command(subcommand)]
    ProvisioningToken(ProvisioningTokenCommand),
}

/// `device list`.
#[derive(Debug, clap::Args)]
pub(super) struct DeviceListArguments {
    /// With this in their name or host name
    #[arg(value_name = "TEXT")]
    pub(super) text: Option<String>,
    /// That stand there: pending, online, offline, maintenance, quarantined or decommissioned
    #[arg(long, value_name = "STATUS")]
    pub(super) status: Option<DeviceStatus>,
    /// Of this tenant alone, by its slug
    #[arg(long, value_name = "TENANT")]
    pub(super) tenant: Option<Tenant>,
    /// At this site alone, by its slug
    #[arg(long, value_name = "SITE")]
    pub(super) site: Option<String>,
    #[command(flatten)]
    pub(super) page: PageFlags,
    #[command(flatten)]
    pub(super) server: ServerFlags,
}

/// `device show`.
#[derive(Debug, clap::Args)]
pub(super) struct DeviceShowArguments {
    /// Which one: its id, NAME or TENANT/NAME
    #[arg(value_name = "DEVICE")]
    pub(super) device: DeviceRef,
    #[command(flatten)]
    pub(super) server: ServerFlags,
}

/// `device approve | deny | decommission`.
#[derive(Debug, clap::Args)]
pub(super) struct DevicesArguments {
    /// Which ones: their ids, NAMEs or TENANT/NAMEs
    #[arg(value_name = "DEVICE", required = true)]
    pub(super) devices: Vec<DeviceRef>,
    #[command(flatten)]
    pub(super) server: ServerFlags,
}

/// `device quarantine`.
#[derive(Debug, clap::Args)]
pub(super) struct DeviceQuarantineArguments {
    /// Why, for people
    #[arg(long, value_name = "TEXT")]
    pub(super) reason: String,
    #[command(flatten)]
    pub(super) which: DevicesArguments,
}

/// `device revoke`.
#[derive(Debug, clap::Args)]
pub(super) struct DeviceRevokeArguments {
    /// Why, in RFC 5280's spelling: keyCompromise, cessationOfOperation, superseded, …
    #[arg(long, value_name = "REASON", default_value_t = RevocationReason::Unspecified)]
    pub(super) reason: RevocationReason,
    #[command(flatten)]
    pub(super) which: DevicesArguments,
}

/// `device change`.
#[derive(Debug, clap::Args)]
pub(super) struct DeviceChangeArguments {
    /// Which one: its id, NAME or TENANT/NAME
    #[arg(value_name = "DEVICE")]
    pub(super) device: DeviceRef,
    /// The site of its tenant where it goes, by its slug
    #[arg(long, value_name = "SITE", required_unless_present = "maintenance")]
    pub(super) site: Option<String>,
    /// Whether it is set aside: heartbeats do not change its status meanwhile
    #[arg(long, value_name = "on|off", value_parser = on_or_off, action = clap::ArgAction::Set)]
    pub(super) maintenance: Option<bool>,
    #[command(flatten)]
    pub(super) server: ServerFlags,
}

/// `device rotate-token`.
#[derive(Debug, clap::Args)]
pub(super) struct DeviceRotateTokenArguments {
    /// Revoke the old one at once instead of once the new one is confirmed: the device must enrol again
    #[arg(long)]
    pub(super) revoke: bool,
    #[command(flatten)]
    pub(super) which: DevicesArguments,
}

/// `device command`.
#[derive(Debug, clap::Args)]
pub(super) struct DeviceCommandArguments {
    /// Which one: its id, NAME or TENANT/NAME
    #[arg(value_name = "DEVICE")]
    pub(super) device: DeviceRef,
    /// What: ping, renew_certificate, refresh_config or collect_facts
    #[arg(value_name = "TYPE")]
    pub(super) kind: CommandKind,
    /// The particulars: a JSON object
    #[arg(long, value_name = "JSON", value_parser = json)]
    pub(super) payload: Option<serde_json::Value>,
    #[command(flatten)]
    pub(super) server: ServerFlags,
}

/// `device commands`.
#[derive(Debug, clap::Args)]
pub(super) struct DeviceCommandsArguments {
    /// Which one: its id, NAME or TENANT/NAME
    #[arg(value_name = "DEVICE")]
    pub(super) device: DeviceRef,
    #[command(flatten)]
    pub(super) page: PageFlags,
    #[command(flatten)]
    pub(super) server: ServerFlags,
}

/// Reads `on` and `off`.
pub(super) fn on_or_off(text: &str) -> Result<bool, String> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err("must be on or off".to_owned()),
    }
}

/// `device provisioning-token …`.
#[derive(Debug, Subcommand)]
pub(super) enum ProvisioningTokenCommand {
    /// Give a device a token, in the place of the one that it has: the sessions that one opened end
    #[command(
        after_help = "A token needs the scope devices:write.\n\nExample:\n  countersign device provisioning-token set acme/ws-01"
    )]
    Set(Box<ProvisioningTokenSetArguments>),
    /// Show whether there is one, and since when
    #[command(
        after_help = "A token needs the scope devices:read.\n\nExample:\n  countersign device provisioning-token show acme/ws-01"
    )]
    Show(Box<DeviceShowArguments>),
    /// Take it away: the sessions that it opened end
    #[command(
        after_help = "A token needs the scope devices:write.\n\nExample:\n  countersign device provisioning-token remove acme/ws-01"
    )]
    Remove(Box<DeviceShowArguments>),
}

/// `device provisioning-token set`.
#[derive(Debug, clap::Args)]
pub(super) struct ProvisioningTokenSetArguments {
    /// Which one: its id, NAME or TENANT/NAME
    #[arg(value_name = "DEVICE")]
    pub(super) device: DeviceRef,
    /// File with the token that the device has already; without it a fresh one is made and printed
    #[arg(long, value_name = "FILE")]
    pub(super) own_token_file: Option<std::path::PathBuf>,
    #[command(flatten)]
    pub(super) server: ServerFlags,
}

/// `device shadow …`.
#[derive(Debug, Subcommand)]
pub(super) enum ShadowCommand {
    /// Show both
    #[command(
        after_help = "A token needs the scope commands:read.\n\nExample:\n  countersign device shadow show 0198f2c4-7c3e-7d11-9a55-2f1c3b7e9d40 --token-file viewer.token"
    )]
    Show(Box<ShadowShowArguments>),
    /// Replace the state that it is to have
    #[command(
        after_help = "A token needs the scope commands:write.\n\nExample:\n  countersign device shadow desire 0198f2c4-7c3e-7d11-9a55-2f1c3b7e9d40 '{\"interval\":30}' --token-file operator.token"
    )]
    Desire(Box<ShadowDesireArguments>),
}

/// `device shadow show`.
#[derive(Debug, clap::Args)]
pub(super) struct ShadowShowArguments {
    /// The device's id
    #[arg(value_name = "ID")]
    pub(super) device: DeviceId,
    #[command(flatten)]
    pub(super) server: ServerFlags,
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
    #[command(flatten)]
    pub(super) server: ServerFlags,
}
