//! Commands and flags of `ca`.

use std::path::PathBuf;

use clap::Subcommand;
use countersign_core::ids::CaName;

use super::ca_ceremony_arguments::{
    CaCrlRequestArguments, CaCsrArguments, CaCsrWithdrawArguments, CaImportArguments,
    CaImportSignedArguments, CaRootCommand, CaSignArguments, CaSignCrlArguments,
};
use super::ca_rotate_arguments::CaRotateArguments;
use crate::config::ConfigFlags;

/// `ca …`.
#[derive(Debug, Subcommand)]
pub(super) enum CaCommand {
    /// Make the CAs and certificates of a plan, those that are missing
    #[command(
        after_help = "Example:\n  countersign ca init --plan examples/ceneca.toml --data-dir /var/lib/countersign --out /etc/ceneca/certs"
    )]
    Init(Box<CaInitArguments>),
    /// Draw the CAs, each below the one that signed it
    #[command(after_help = "Example:\n  countersign ca tree --data-dir /var/lib/countersign")]
    Tree(Box<CaTreeArguments>),
    /// Show a CA
    #[command(after_help = "Example:\n  countersign ca show device --data-dir /var/lib/countersign")]
    Show(Box<CaShowArguments>),
    /// Write a CA's certificate, PEM
    #[command(
        after_help = "Example:\n  countersign ca export web-services --chain --to web-services.pem --data-dir /var/lib/countersign"
    )]
    Export(Box<CaExportArguments>),
    /// Write the revocation list that a CA has signed last, PEM, and say how old it is
    #[command(
        after_help = "Example:\n  countersign ca crl device --to device.crl.pem --data-dir /var/lib/countersign"
    )]
    Crl(Box<CaCrlArguments>),
    /// Seal the keys of CAs with another key-encryption key: a new passphrase, or another place
    #[command(
        after_help = "Example:\n  countersign ca reseal --to-passphrase-file new-passphrase --config /etc/countersign-server/countersign.toml"
    )]
    Reseal(Box<CaResealArguments>),
    /// Replace a CA by a new one, step by step, without refusing anybody
    #[command(after_help = "Example:\n  countersign ca rotate device --token-file owner.token\n  \
                      countersign ca rotate device --canary-percent 5 --renew-now --token-file owner.token")]
    Rotate(Box<CaRotateArguments>),
    /// Take the root offline, or bring it back
    #[command(subcommand)]
    Root(CaRootCommand),
    /// Make the key of a new CA here, and a signing request to be signed where the root is
    #[command(
        after_help = "Example:\n  countersign ca csr device-2 --role device --subject \"CN=Example device CA 2\" --out device-2.csr --data-dir /var/lib/countersign"
    )]
    Csr(Box<CaCsrArguments>),
    /// Give up a CA that waits for its certificate
    #[command(
        after_help = "Example:\n  countersign ca csr-withdraw device-2 --data-dir /var/lib/countersign"
    )]
    CsrWithdraw(Box<CaCsrWithdrawArguments>),
    /// Sign a new CA with a root that is offline; needs no database
    #[command(
        after_help = "Example:\n  countersign ca sign --csr device-2.csr --root-file root.pem --passphrase-file root-passphrase --role device --subject \"CN=Example device CA 2\" --out device-2.pem"
    )]
    Sign(Box<CaSignArguments>),
    /// Write down what the revocation lists of an offline root are to say
    #[command(
        after_help = "Example:\n  countersign ca crl-request root --to root-crl.json --data-dir /var/lib/countersign"
    )]
    CrlRequest(Box<CaCrlRequestArguments>),
    /// Sign the revocation lists of a root that is offline; needs no database
    #[command(
        after_help = "Example:\n  countersign ca sign-crl --request root-crl.json --root-file root.pem --passphrase-file root-passphrase --out root.crl.pem"
    )]
    SignCrl(Box<CaSignCrlArguments>),
    /// Take in a certificate or revocation lists that an offline root signed
    #[command(
        after_help = "Example:\n  countersign ca import-signed device-2.pem --data-dir /var/lib/countersign"
    )]
    ImportSigned(Box<CaImportSignedArguments>),
    /// Take in a CA that was made elsewhere, with its key
    #[command(
        after_help = "Example:\n  countersign ca import --cert ca.pem --key ca.key --chain root.pem --name corporate --role device --data-dir /var/lib/countersign"
    )]
    Import(Box<CaImportArguments>),
}

/// `ca init`.
#[derive(Debug, clap::Args)]
pub(super) struct CaInitArguments {
    /// The plan, TOML
    #[arg(long, value_name = "FILE")]
    pub(super) plan: PathBuf,
    /// Where certificates, and the keys of services, are written
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub(super) out: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) config: ConfigFlags,
}

/// `ca tree`.
#[derive(Debug, clap::Args)]
pub(super) struct CaTreeArguments {
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) config: ConfigFlags,
}

/// `ca show`.
#[derive(Debug, clap::Args)]
pub(super) struct CaShowArguments {
    /// The CA
    #[arg(value_name = "NAME")]
    pub(super) name: CaName,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) config: ConfigFlags,
}

/// `ca export`.
#[derive(Debug, clap::Args)]
pub(super) struct CaExportArguments {
    /// The CA
    #[arg(value_name = "NAME")]
    pub(super) name: CaName,
    /// Add the certificates of the CAs above it
    #[arg(long)]
    pub(super) chain: bool,
    /// Where to write it, mode 0644; stdout when absent
    #[arg(long, value_name = "FILE")]
    pub(super) to: Option<PathBuf>,
    #[command(flatten)]
    pub(super) config: ConfigFlags,
}

/// `ca crl`.
#[derive(Debug, clap::Args)]
pub(super) struct CaCrlArguments {
    /// The CA
    #[arg(value_name = "NAME")]
    pub(super) name: CaName,
    /// Where to write it, mode 0644; stdout when absent
    #[arg(long, value_name = "FILE")]
    pub(super) to: Option<PathBuf>,
    #[command(flatten)]
    pub(super) config: ConfigFlags,
}

/// `ca reseal`.
#[derive(Debug, clap::Args)]
pub(super) struct CaResealArguments {
    #[command(flatten)]
    pub(super) to: ResealTarget,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) config: ConfigFlags,
}

/// Where the key-encryption key comes from afterwards.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub(super) struct ResealTarget {
    /// A file, mode 0600, with the new passphrase on one line
    #[arg(long, value_name = "FILE")]
    pub(super) to_passphrase_file: Option<PathBuf>,
    /// A file with the new key, made if there is none
    #[arg(long, value_name = "FILE")]
    pub(super) to_file: Option<PathBuf>,
}
