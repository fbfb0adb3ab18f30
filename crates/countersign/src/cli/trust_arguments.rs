//! `countersign trust …`.

use std::path::PathBuf;

use clap::Subcommand;
use countersign_core::ids::TrustName;

use super::server_flags::ServerFlags;

/// `trust …`.
#[derive(Debug, Subcommand)]
pub(super) enum TrustCommand {
    /// Let doors trust CAs that somebody else runs, on the routes that admit trust:NAME and nowhere else
    #[command(
        after_help = "They make no devices, and the control plane does not know them. Every certificate of the file \
                      is a CA at which a client's path may end.\n\nExample:\n  countersign trust add --name partner \
                      --ca partner-ca.pem --token-file admin.token"
    )]
    Add(Box<TrustAddArguments>),
    /// Show the CAs of others that doors trust
    #[command(
        after_help = "A token needs the scope trusts:read.\n\nExample:\n  countersign trust list --token-file viewer.token"
    )]
    List(Box<ServerFlags>),
    /// Trust them no more: live connections of their guests are cut
    #[command(
        after_help = "A token needs the scope trusts:write and to be an admin's.\n\nExample:\n  countersign trust remove partner --token-file admin.token"
    )]
    Remove(Box<TrustRemoveArguments>),
}

/// `trust add`.
#[derive(Debug, clap::Args)]
pub(super) struct TrustAddArguments {
    /// What routes call them: trust:NAME
    #[arg(long, value_name = "NAME")]
    pub(super) name: TrustName,
    /// The certificates of the CAs, PEM
    #[arg(long, value_name = "FILE")]
    pub(super) ca: PathBuf,
    #[command(flatten)]
    pub(super) server: ServerFlags,
}

/// `trust remove`.
#[derive(Debug, clap::Args)]
pub(super) struct TrustRemoveArguments {
    /// What they are called
    #[arg(value_name = "NAME")]
    pub(super) name: TrustName,
    #[command(flatten)]
    pub(super) server: ServerFlags,
}
