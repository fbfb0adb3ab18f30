//! Commands and flags of `ca` that are about keys and certificates which come from elsewhere, or go there.

use std::path::PathBuf;

use clap::Subcommand;
use countersign_authority::plan::{DistinguishedName, IssuerRole, KeyAlgorithm, Purpose};
use countersign_core::ids::{CaName, Environment};

use crate::config::ConfigFlags;

/// `ca root …`.
#[derive(Debug, Subcommand)]
pub(super) enum CaRootCommand {
    /// Take the root offline: write its key to a file under a passphrase, and remove it here
    #[command(
        after_help = "Example:\n  countersign ca root export --to /media/safe/root.pem --passphrase-file root-passphrase --data-dir /var/lib/countersign"
    )]
    Export(Box<CaRootExportArguments>),
    /// Bring the root back from its file
    #[command(
        after_help = "Example:\n  countersign ca root import --from /media/safe/root.pem --passphrase-file root-passphrase --data-dir /var/lib/countersign"
    )]
    Import(Box<CaRootImportArguments>),
}

/// `ca root export`.
#[derive(Debug, clap::Args)]
pub(super) struct CaRootExportArguments {
    /// Which root; needed only when there are several
    #[arg(value_name = "NAME")]
    pub(super) name: Option<CaName>,
    /// Where the key goes, with the certificate beside it, mode 0600
    #[arg(long, value_name = "FILE")]
    pub(super) to: PathBuf,
    /// A file, mode 0600, with the passphrase on one line, 12 characters or more
    #[arg(long, value_name = "FILE")]
    pub(super) passphrase_file: PathBuf,
    /// How long the root's revocation lists last, in days: they are signed now, before it goes
    #[arg(long, value_name = "DAYS", default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..=3650))]
    pub(super) crl_days: u32,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) config: ConfigFlags,
}

/// `ca root import`.
#[derive(Debug, clap::Args)]
pub(super) struct CaRootImportArguments {
    /// The file that `ca root export` wrote; it stays as it is
    #[arg(long, value_name = "FILE")]
    pub(super) from: PathBuf,
    /// A file, mode 0600, with the passphrase on one line
    #[arg(long, value_name = "FILE")]
    pub(super) passphrase_file: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) config: ConfigFlags,
}

/// What a CA below a root is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum RoleFlag {
    /// Makes devices.
    Device,
    /// Makes services and doors.
    Service,
    /// Makes services and CAs.
    Intermediate,
}

impl From<RoleFlag> for IssuerRole {
    fn from(role: RoleFlag) -> Self {
        match role {
            RoleFlag::Device => Self::Device,
            RoleFlag::Service => Self::Service,
            RoleFlag::Intermediate => Self::Intermediate,
        }
    }
}

/// What the certificates of an intermediate may be for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum PurposeFlag {
    /// TLS servers.
    #[value(name = "serverAuth")]
    ServerAuth,
    /// TLS clients.
    #[value(name = "clientAuth")]
    ClientAuth,
}

impl From<PurposeFlag> for Purpose {
    fn from(purpose: PurposeFlag) -> Self {
        match purpose {
            PurposeFlag::ServerAuth => Self::ServerAuth,
            PurposeFlag::ClientAuth => Self::ClientAuth,
        }
    }
}

/// What a CA is to be; said where its key is made and where its certificate is signed.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub(super) struct WantedCa {
    /// What the CA is for
    #[arg(long, value_enum)]
    pub(super) role: RoleFlag,
    /// Its subject
    #[arg(long, value_name = "NAME")]
    pub(super) subject: DistinguishedName,
    /// What an intermediate's certificates may be for; repeatable, anything when absent
    #[arg(long = "purpose", value_enum, value_name = "PURPOSE")]
    pub(super) purposes: Vec<PurposeFlag>,
    /// How many CAs may follow below an intermediate; any number when absent
    #[arg(long, value_name = "NUMBER")]
    pub(super) path_length: Option<u8>,
}

/// `ca csr`.
#[derive(Debug, clap::Args)]
pub(super) struct CaCsrArguments {
    /// What the new CA will be called
    #[arg(value_name = "NAME")]
    pub(super) name: CaName,
    #[command(flatten)]
    pub(super) wanted: WantedCa,
    /// The kind of key: p256, p384, ed25519, rsa-2048, rsa-3072 or rsa-4096
    #[arg(long, value_name = "KIND", default_value = "p256")]
    pub(super) key_algorithm: KeyAlgorithm,
    /// The environment for which it signs; the default one when absent
    #[arg(long, value_name = "NAME")]
    pub(super) environment: Option<Environment>,
    /// Where the signing request goes, PEM, mode 0644
    #[arg(long, value_name = "FILE")]
    pub(super) out: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) config: ConfigFlags,
}

/// `ca csr-withdraw`.
#[derive(Debug, clap::Args)]
pub(super) struct CaCsrWithdrawArguments {
    /// The CA that waits for its certificate
    #[arg(value_name = "NAME")]
    pub(super) name: CaName,
    #[command(flatten)]
    pub(super) config: ConfigFlags,
}

/// A root in its file.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(super) struct OfflineRoot {
    /// The file that `ca root export` wrote
    #[arg(long, value_name = "FILE")]
    pub(super) root_file: PathBuf,
    /// A file, mode 0600, with its passphrase on one line
    #[arg(long, value_name = "FILE")]
    pub(super) passphrase_file: PathBuf,
    /// Where what is signed is written down, mode 0600; FILE.ledger beside the root's file when absent
    #[arg(long, value_name = "FILE")]
    pub(super) ledger: Option<PathBuf>,
}

/// `ca sign`.
#[derive(Debug, clap::Args)]
pub(super) struct CaSignArguments {
    /// The signing request that `ca csr` wrote; of it, the key alone is used
    #[arg(long, value_name = "FILE")]
    pub(super) csr: PathBuf,
    #[command(flatten)]
    pub(super) root: OfflineRoot,
    #[command(flatten)]
    pub(super) wanted: WantedCa,
    /// How long the CA lives, in days; at most to the root's end
    #[arg(long, value_name = "DAYS", default_value_t = 1825, value_parser = clap::value_parser!(u32).range(1..=36_500))]
    pub(super) lifetime_days: u32,
    /// The installation's public_base_url, if it has one: the base of the URLs in the certificate
    #[arg(long, value_name = "URL")]
    pub(super) public_base_url: Option<String>,
    /// Where the certificate goes, PEM, mode 0644
    #[arg(long, value_name = "FILE")]
    pub(super) out: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// `ca crl-request`.
#[derive(Debug, clap::Args)]
pub(super) struct CaCrlRequestArguments {
    /// The CA whose key is offline
    #[arg(value_name = "NAME")]
    pub(super) name: CaName,
    /// Where the request goes, JSON, mode 0644
    #[arg(long, value_name = "FILE")]
    pub(super) to: PathBuf,
    #[command(flatten)]
    pub(super) config: ConfigFlags,
}

/// `ca sign-crl`.
#[derive(Debug, clap::Args)]
pub(super) struct CaSignCrlArguments {
    /// The request that `ca crl-request` wrote
    #[arg(long, value_name = "FILE")]
    pub(super) request: PathBuf,
    #[command(flatten)]
    pub(super) root: OfflineRoot,
    /// How long the lists last, in days; at most to the root's end
    #[arg(long, value_name = "DAYS", default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..=3650))]
    pub(super) days: u32,
    /// Where the lists go, PEM, mode 0644
    #[arg(long, value_name = "FILE")]
    pub(super) out: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// `ca import-signed`.
#[derive(Debug, clap::Args)]
pub(super) struct CaImportSignedArguments {
    /// What `ca sign` or `ca sign-crl` wrote, PEM
    #[arg(value_name = "FILE")]
    pub(super) file: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) config: ConfigFlags,
}

/// `ca import`.
#[derive(Debug, clap::Args)]
pub(super) struct CaImportArguments {
    /// The CA's certificate, PEM or DER; certificates of CAs above it may follow
    #[arg(long, value_name = "FILE")]
    pub(super) cert: PathBuf,
    /// Its key, PKCS #8 in PEM
    #[arg(long, value_name = "FILE")]
    pub(super) key: PathBuf,
    /// A file, mode 0600, with the passphrase of the key, if it has one
    #[arg(long, value_name = "FILE")]
    pub(super) key_passphrase_file: Option<PathBuf>,
    /// What it will be called here
    #[arg(long, value_name = "NAME")]
    pub(super) name: CaName,
    /// What it is for
    #[arg(long, value_enum)]
    pub(super) role: RoleFlag,
    /// Certificates of the CAs above it, up to the root
    #[arg(long, value_name = "FILE")]
    pub(super) chain: Option<PathBuf>,
    /// The environment for which it signs; the default one when absent
    #[arg(long, value_name = "NAME")]
    pub(super) environment: Option<Environment>,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) config: ConfigFlags,
}
