//! Commands and flags of `edge …`.

use std::path::PathBuf;

use clap::Subcommand;
use countersign_api::client::ServerUrl;
use countersign_core::ids::EdgeName;

use super::server_flags::ServerFlags;
use crate::config::{ConfigFlags, PublicName, fingerprint_of};

/// `edge …`.
#[derive(Debug, Subcommand)]
pub(super) enum EdgeCommand {
    /// Run the doors of this machine, attached to an authority elsewhere
    #[command(
        after_help = "Example:\n  countersign edge run --authority https://gateway.example.com:8443 --ca-fingerprint 4dc3… --token-file edge.token --data-dir /var/lib/countersign-edge"
    )]
    Run(Box<EdgeRunArguments>),
    /// Let an edge enrol: its one-time token goes to stdout, and nothing else
    #[command(
        after_help = "A token needs the scope edges:write and to be an admin's.\n\nExample:\n  countersign edge add berlin-1 --door-name berlin.example.com --token-file admin.token > edge.token"
    )]
    Add(Box<EdgeAddArguments>),
    /// List edges and how they are doing
    #[command(
        after_help = "A token needs the scope edges:read.\n\nExample:\n  countersign edge list --token-file admin.token"
    )]
    List(Box<EdgeListArguments>),
    /// Revoke an edge: its certificates, and its connection
    #[command(
        after_help = "A token needs the scope edges:write and to be an admin's.\n\nExample:\n  countersign edge revoke berlin-1 --token-file admin.token"
    )]
    Revoke(Box<EdgeRevokeArguments>),
}

/// `edge run`.
#[derive(Debug, clap::Args)]
pub(super) struct EdgeRunArguments {
    /// HTTP door of the authority, `https://HOST:PORT` [config: edge.authority]
    #[arg(long, value_name = "URL")]
    pub(super) authority: Option<ServerUrl>,
    /// SHA-256 of the authority's root, needed to enrol [config: edge.ca_fingerprint]
    #[arg(long, value_name = "HEX", value_parser = fingerprint_of)]
    pub(super) ca_fingerprint: Option<Fingerprint>,
    /// File with the token of `edge add`, needed to enrol [config: edge.token_file]
    #[arg(long, value_name = "FILE")]
    pub(super) token_file: Option<PathBuf>,
    #[command(flatten)]
    pub(super) config: ConfigFlags,
}

/// A SHA-256.
pub(super) type Fingerprint = [u8; 32];

/// `edge add`.
#[derive(Debug, clap::Args)]
pub(super) struct EdgeAddArguments {
    /// What it is to be called
    #[arg(value_name = "NAME")]
    pub(super) name: EdgeName,
    /// A tenant that it serves, and is told about; repeatable. All when absent
    #[arg(long = "tenant", value_name = "TENANT")]
    pub(super) tenants: Vec<String>,
    /// A host name or address of its doors, for the certificate that they are given; repeatable. Without one
    /// they need a certificate of yours
    #[arg(long = "door-name", value_name = "NAME")]
    pub(super) door_names: Vec<PublicName>,
    /// How long its token works
    #[arg(long, value_name = "MINUTES", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=10_080))]
    pub(super) expires_in: u32,
    #[command(flatten)]
    pub(super) server: ServerFlags,
}

/// `edge list`.
#[derive(Debug, clap::Args)]
pub(super) struct EdgeListArguments {
    #[command(flatten)]
    pub(super) server: ServerFlags,
}

/// `edge revoke`.
#[derive(Debug, clap::Args)]
pub(super) struct EdgeRevokeArguments {
    /// Which one, by its name
    #[arg(value_name = "NAME")]
    pub(super) name: EdgeName,
    #[command(flatten)]
    pub(super) server: ServerFlags,
}
