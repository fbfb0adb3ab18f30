//! `countersign cert …`.

use std::path::PathBuf;

use clap::{ArgGroup, Subcommand, ValueEnum};
use countersign_core::time::Timestamp;
use countersign_tls::ChainPurpose;

use super::service_arguments::{
    CertIssueArguments, CertListArguments, CertRevokeArguments, CertRotateArguments,
};

/// `cert …`.
#[derive(Debug, Subcommand)]
pub(super) enum CertCommand {
    /// Say what a certificate is, whom it names, until when it is good, and what is wrong with it
    #[command(after_help = "Example:\n  countersign cert inspect device.pem")]
    Inspect(Box<CertInspectArguments>),
    /// Judge a chain exactly as doors and clients do: exit 0 accepted, 1 refused, with the reason
    #[command(
        after_help = "Example:\n  countersign cert verify --chain device.pem --trust root.pem --purpose client"
    )]
    Verify(Box<CertVerifyArguments>),
    /// Put a certificate and its key into one PKCS #12 file, as browsers import them
    #[command(
        after_help = "Example:\n  countersign cert p12 --cert admin.pem --key admin-key.pem --chain ca.pem --out admin.p12 --password-file password"
    )]
    P12(Box<CertP12Arguments>),
    /// Have the running server issue a service's certificate; the key is made here and never sent
    #[command(
        after_help = "A token needs the scope service-certificates:write and to be an admin's.\n\nExample:\n  countersign cert issue web --profile server+client --dns web.example.com --out /etc/acme/certs --token-file admin.token"
    )]
    Issue(Box<CertIssueArguments>),
    /// List certificates of services, newest first
    #[command(
        after_help = "A token needs the scope service-certificates:read.\n\nExample:\n  countersign cert list --expires-within 30d --token-file admin.token"
    )]
    List(Box<CertListArguments>),
    /// Renew what ends soon below a directory, each certificate swapped with its key at once
    #[command(
        after_help = "A token needs the scopes service-certificates:read and service-certificates:write and to be an admin's.\n\nExample:\n  countersign cert rotate --dir /etc/acme/certs --grace 30d --reload 'systemctl reload nginx' --token-file admin.token"
    )]
    Rotate(Box<CertRotateArguments>),
    /// Revoke a service's certificate that was issued here
    #[command(
        after_help = "A token needs the scope service-certificates:write and to be an admin's.\n\nExample:\n  countersign cert revoke web/web-cert.pem --reason keyCompromise --token-file admin.token"
    )]
    Revoke(Box<CertRevokeArguments>),
}

/// `cert inspect`.
#[derive(Debug, clap::Args)]
pub(super) struct CertInspectArguments {
    /// A certificate or a chain, leaf first, PEM or DER
    #[arg(value_name = "FILE")]
    pub(super) file: PathBuf,
    /// Judge it at this moment, RFC 3339, instead of now
    #[arg(long, value_name = "TIME", value_parser = Timestamp::parse)]
    pub(super) at: Option<Timestamp>,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// `cert verify`.
#[derive(Debug, clap::Args)]
pub(super) struct CertVerifyArguments {
    /// The chain as a peer shows it, leaf first, PEM or DER
    #[arg(long, value_name = "FILE")]
    pub(super) chain: PathBuf,
    /// The CAs that are trusted, roots or below them, PEM or DER
    #[arg(long, value_name = "FILE")]
    pub(super) trust: PathBuf,
    /// Judge at this moment, RFC 3339, instead of now
    #[arg(long, value_name = "TIME", value_parser = Timestamp::parse)]
    pub(super) at: Option<Timestamp>,
    /// What the chain is to be good for
    #[arg(long, value_enum)]
    pub(super) purpose: Purpose,
    /// Revocation lists, PEM or DER; repeatable. With any, one must be about the leaf
    #[arg(long = "crl", value_name = "FILE")]
    pub(super) crls: Vec<PathBuf>,
    /// The DNS name or address that the leaf must be for
    #[arg(long, value_name = "NAME")]
    pub(super) host: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// What a chain is to be good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Purpose {
    /// A client; one that names a device is judged as a device
    Client,
    /// A server
    Server,
    /// A device at a door, and nothing else
    Device,
}

impl Purpose {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Server => "server",
            Self::Device => "device",
        }
    }
}

impl From<Purpose> for ChainPurpose {
    fn from(purpose: Purpose) -> Self {
        match purpose {
            Purpose::Client => Self::Client,
            Purpose::Server => Self::Server,
            Purpose::Device => Self::Device,
        }
    }
}

/// `cert p12`.
#[derive(Debug, clap::Args)]
#[command(group(ArgGroup::new("password").required(true)))]
pub(super) struct CertP12Arguments {
    /// The certificate, PEM or DER; CAs that follow it go into the file, too
    #[arg(long, value_name = "FILE")]
    pub(super) cert: PathBuf,
    /// Its private key, PKCS #8 without a passphrase, PEM
    #[arg(long, value_name = "FILE")]
    pub(super) key: PathBuf,
    /// The CAs above it, PEM or DER
    #[arg(long, value_name = "FILE")]
    pub(super) chain: Option<PathBuf>,
    /// Where to write it, mode 0600; a file that is there is replaced
    #[arg(long, value_name = "FILE")]
    pub(super) out: PathBuf,
    /// A file whose first line is the password
    #[arg(long, value_name = "FILE", group = "password")]
    pub(super) password_file: Option<PathBuf>,
    /// An environment variable that holds the password
    #[arg(long, value_name = "NAME", group = "password")]
    pub(super) password_env: Option<String>,
    /// What people see it under; without it, the subject
    #[arg(long, value_name = "TEXT")]
    pub(super) name: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}
