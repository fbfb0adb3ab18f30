//! The flags of every command that asks a running server.

use std::path::PathBuf;

use crate::config::ConfigFlags;

/// Where the running server is, with what to call it, and how to show what it says.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct ServerFlags {
    /// A file with a token; without it the session that `countersign login` began is used
    #[arg(long, value_name = "FILE")]
    pub(super) token_file: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) config: ConfigFlags,
}
