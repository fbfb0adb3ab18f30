//! Commands and flags about certificates of services: those of `cert …` that a server is asked for, and
//! `service …`.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Subcommand, ValueEnum};
use countersign_ca::{DistinguishedName, KeyAlgorithm};
use countersign_core::certificate::RevocationReason;
use countersign_core::ids::{CaName, CertificateId, ServiceLabel};

use super::ca_rotate_arguments::seconds;
use super::server_flags::ServerFlags;

/// `cert issue`.
#[derive(Debug, clap::Args)]
pub(super) struct CertIssueArguments {
    /// What it is called: the directory, its files, and the label on record
    #[arg(value_name = "NAME")]
    pub(super) name: ServiceLabel,
    /// The CA that signs it; the active service CA when absent
    #[arg(long, value_name = "NAME")]
    pub(super) ca: Option<CaName>,
    /// What it is for
    #[arg(long, value_enum)]
    pub(super) profile: IssuedProfile,
    /// Its subject, as in "CN=web,O=Example"; its first name that fits when absent
    #[arg(long, value_name = "NAME")]
    pub(super) subject: Option<DistinguishedName>,
    /// A host name; repeatable
    #[arg(long, value_name = "NAME")]
    pub(super) dns: Vec<String>,
    /// An address; repeatable
    #[arg(long, value_name = "ADDRESS")]
    pub(super) ip: Vec<IpAddr>,
    /// A URI; repeatable. Not for a server that is no client
    #[arg(long, value_name = "URI")]
    pub(super) uri: Vec<String>,
    /// How long it lives, cut at its CA's end: 365 when absent
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=36_500))]
    pub(super) days: Option<u32>,
    /// The kind of key that is made: p256, p384, ed25519, rsa-2048, rsa-3072 or rsa-4096
    #[arg(long, value_name = "KIND", default_value_t = KeyAlgorithm::default(), conflicts_with = "csr")]
    pub(super) key_algorithm: KeyAlgorithm,
    /// A signing request, PEM: the key stays where it is. Without it a key is made here
    #[arg(long, value_name = "FILE")]
    pub(super) csr: Option<PathBuf>,
    /// Where the directory NAME is made
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub(super) out: PathBuf,
    #[command(flatten)]
    pub(super) server: ServerFlags,
}

/// What a certificate is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum IssuedProfile {
    /// A server
    ServiceServer,
    /// A client of others
    ServiceClient,
    /// Both
    #[value(name = "server+client")]
    ServerAndClient,
}

impl IssuedProfile {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::ServiceServer => "service-server",
            Self::ServiceClient => "service-client",
            Self::ServerAndClient => "server+client",
        }
    }
}

/// `cert list`.
#[derive(Debug, clap::Args)]
pub(super) struct CertListArguments {
    /// Of this CA
    #[arg(long, value_name = "NAME")]
    pub(super) ca: Option<CaName>,
    /// With this label
    #[arg(long, value_name = "NAME")]
    pub(super) label: Option<ServiceLabel>,
    /// That stand there
    #[arg(long, value_enum)]
    pub(super) state: Option<ListedState>,
    /// That end within this time: seconds, or with m, h or d behind
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    pub(super) expires_within: Option<u64>,
    #[command(flatten)]
    pub(super) page: PageFlags,
    #[command(flatten)]
    pub(super) server: ServerFlags,
}

/// Which part of a list.
#[derive(Debug, clap::Args)]
pub(super) struct PageFlags {
    /// How many to list
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=500))]
    pub(super) limit: u32,
    /// Where the list before ended
    #[arg(long)]
    pub(super) cursor: Option<String>,
}

/// Where a certificate stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ListedState {
    /// In use
    Active,
    /// Replaced by a newer one
    Superseded,
    /// Revoked
    Revoked,
}

impl ListedState {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Superseded => "superseded",
            Self::Revoked => "revoked",
        }
    }
}

/// `cert revoke`.
#[derive(Debug, clap::Args)]
pub(super) struct CertRevokeArguments {
    /// Its id, its serial number in hex, or a file with it, PEM
    #[arg(value_name = "ID|SERIAL|FILE")]
    pub(super) certificate: String,
    /// Why, in RFC 5280's spelling: keyCompromise, cessationOfOperation, superseded, …
    #[arg(long, value_name = "REASON", default_value_t = RevocationReason::Unspecified)]
    pub(super) reason: RevocationReason,
    #[command(flatten)]
    pub(super) server: ServerFlags,
}

/// `cert rotate`.
#[derive(Debug, clap::Args)]
pub(super) struct CertRotateArguments {
    /// Every NAME/NAME-cert.pem with its key below this directory is looked at
    #[arg(long, value_name = "DIR")]
    pub(super) dir: PathBuf,
    /// What ends within this time is renewed: seconds, or with m, h or d behind
    #[arg(long, value_name = "TIME", default_value = "30d", value_parser = seconds)]
    pub(super) grace: u64,
    /// Where copies of the old files go, in a directory of the moment, 0700; DIR/.backup when absent
    #[arg(long, value_name = "DIR")]
    pub(super) backup: Option<PathBuf>,
    /// Run by sh, once, when anything was renewed; COUNTERSIGN_RENEWED has the names
    #[arg(long, value_name = "COMMAND")]
    pub(super) reload: Option<String>,
    /// Say what would be renewed, and change nothing
    #[arg(long)]
    pub(super) dry_run: bool,
    #[command(flatten)]
    pub(super) server: ServerFlags,
}

/// `service …`.
#[derive(Debug, Subcommand)]
pub(super) enum ServiceCommand {
    /// Bring a certificate along with its key, which is sealed; prints the certificate's id
    #[command(
        after_help = "A token needs the scope service-certificates:write and to be an admin's.\n\nExample:\n  countersign service import --cert client.crt --key client.key --label peer --token-file admin.token"
    )]
    Import(Box<ServiceImportArguments>),
    /// List the certificates whose keys are here
    #[command(
        after_help = "A token needs the scope service-certificates:read.\n\nExample:\n  countersign service list --token-file admin.token"
    )]
    List(Box<ServiceListArguments>),
    /// Delete an imported certificate with its key; of one that was issued here its key is forgotten
    #[command(
        after_help = "A token needs the scope service-certificates:write and to be an admin's.\n\nExample:\n  countersign service remove 0198f2c4-7c3e-7d11-9a55-2f1c3b7e9d40 --token-file admin.token"
    )]
    Remove(Box<ServiceRemoveArguments>),
}

/// `service import`.
#[derive(Debug, clap::Args)]
pub(super) struct ServiceImportArguments {
    /// The certificate, PEM; the CAs above it may follow
    #[arg(long, value_name = "FILE")]
    pub(super) cert: PathBuf,
    /// Its private key, PKCS #8 without a passphrase, PEM
    #[arg(long, value_name = "FILE")]
    pub(super) key: PathBuf,
    /// What people call it; an older one with this label is superseded
    #[arg(long, value_name = "NAME")]
    pub(super) label: Option<ServiceLabel>,
    #[command(flatten)]
    pub(super) server: ServerFlags,
}

/// `service list`.
#[derive(Debug, clap::Args)]
pub(super) struct ServiceListArguments {
    #[command(flatten)]
    pub(super) page: PageFlags,
    #[command(flatten)]
    pub(super) server: ServerFlags,
}

/// `service remove`.
#[derive(Debug, clap::Args)]
pub(super) struct ServiceRemoveArguments {
    /// The certificate's id
    #[arg(value_name = "ID")]
    pub(super) id: CertificateId,
    #[command(flatten)]
    pub(super) server: ServerFlags,
}
