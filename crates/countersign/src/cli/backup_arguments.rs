//! Flags of `backup` and `restore`.

use std::path::PathBuf;

use crate::config::ConfigFlags;

/// `backup`.
#[derive(Debug, clap::Args)]
pub(super) struct BackupArguments {
    /// Where to write the backup, mode 0600; a file that is there is replaced once the new one is whole
    #[arg(long, value_name = "FILE")]
    pub(super) to: PathBuf,
    /// A file with the passphrase that is to open the backup, on one line, at least 12 characters
    #[arg(long, value_name = "FILE")]
    pub(super) passphrase_file: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) config: ConfigFlags,
}

/// `restore`.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(super) struct RestoreArguments {
    /// The backup
    #[arg(long, value_name = "FILE")]
    pub(super) from: PathBuf,
    /// A file with the passphrase of the backup
    #[arg(long, value_name = "FILE")]
    pub(super) passphrase_file: PathBuf,
    /// The last revocation list of a CA, PEM or DER: what is on it is revoked. Of every CA that signs
    /// devices or services its whole list is needed; repeatable
    #[arg(long = "crl", value_name = "FILE", required_unless_present = "accept_revocation_gap")]
    pub(super) crls: Vec<PathBuf>,
    /// There are no lists: what was revoked since the backup is not known, and every device waits in
    /// quarantine until it is approved
    #[arg(long, conflicts_with = "crls")]
    pub(super) accept_revocation_gap: bool,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) config: ConfigFlags,
}
