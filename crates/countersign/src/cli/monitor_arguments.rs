//! `countersign monitor …`.

use clap::Subcommand;
use countersign_core::ids::{MonitorName, SpkiSha256};

use super::server_flags::ServerFlags;

use crate::config::{PublicName, pin};

/// `monitor …`.
#[derive(Debug, Subcommand)]
pub(super) enum MonitorCommand {
    /// Show how the certificates are doing that a running server watches
    #[command(
        after_help = "A token needs the scope certificates:read.\n\nExample:\n  countersign monitor list --token-file viewer.token"
    )]
    List(Box<MonitorListArguments>),
    /// Look at a certificate once, at a server or in a file; print what it says, and the pin of its key
    #[command(
        after_help = "It is taken as it is, trusted for nothing, and nothing is sent to the server. Exit 3: it has \
                      another key than --pin.\n\nExample:\n  countersign monitor check www.example.com:443"
    )]
    Check(Box<MonitorCheckArguments>),
    /// Accept the key that a watched certificate has now as the one that it must have
    #[command(
        after_help = "Example:\n  countersign monitor accept web --spki 0b4d…e1 --token-file admin.token\n\nWithout --spki whatever key is there is accepted."
    )]
    Accept(Box<MonitorAcceptArguments>),
}

/// `monitor list`.
#[derive(Debug, clap::Args)]
pub(super) struct MonitorListArguments {
    #[command(flatten)]
    pub(super) server: ServerFlags,
}

/// `monitor check`.
#[derive(Debug, clap::Args)]
pub(super) struct MonitorCheckArguments {
    /// A file, PEM or DER, or a TLS server
    #[arg(value_name = "FILE|HOST:PORT")]
    pub(super) place: String,
    /// The name that the server is asked for, instead of its host
    #[arg(long, value_name = "NAME")]
    pub(super) server_name: Option<PublicName>,
    /// The SHA-256 of the public key that it must have, hex or base64
    #[arg(long, value_name = "PIN", value_parser = pin)]
    pub(super) pin: Option<SpkiSha256>,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// `monitor accept`.
#[derive(Debug, clap::Args)]
pub(super) struct MonitorAcceptArguments {
    /// The monitor's name
    #[arg(value_name = "NAME")]
    pub(super) name: MonitorName,
    /// Only if its key is this one, by the SHA-256, hex or base64
    #[arg(long, value_name = "PIN", value_parser = pin)]
    pub(super) spki: Option<SpkiSha256>,
    #[command(flatten)]
    pub(super) server: ServerFlags,
}
