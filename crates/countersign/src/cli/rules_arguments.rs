//! `rules …`: commands and flags.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Subcommand, ValueEnum};
use countersign_core::snapshot::Standing;
use countersign_core::time::Timestamp;

use super::rules_history::RulesRestoreArguments;
use super::rules_kept::{RulesAddArguments, RulesChangeArguments, RulesMoveArguments, RulesRemoveArguments};
use super::server_flags::ServerFlags;
use crate::config::ConfigFlags;

/// `rules …`.
#[derive(Debug, Subcommand)]
pub(super) enum RulesCommand {
    /// Show what the rules say about a request, and the value of every part of them
    #[command(after_help = "\
Exit codes: 0 when the request is let through, 3 when a rule blocks it.

Examples:
  countersign rules test --rules countersign.toml --request 'POST /api/v1/agents/0a1b/heartbeat' --source 192.0.2.7
  countersign rules test --config /etc/countersign-server/countersign.toml --request request.http --cert device.pem --standing revoked")]
    Test(Box<RulesTestArguments>),
    /// Say what is wrong with rules and lists, with a caret under the place, and what is doubtful
    #[command(after_help = "Example:\n  countersign rules check countersign.toml")]
    Check(Box<RulesCheckArguments>),
    /// Print Cloudflare's custom rules, from a file of JSON, as rule entries
    #[command(after_help = "\
The file is what GET /zones/<zone>/rulesets/phases/http_request_firewall_custom/entrypoint answers. What
cannot be said here is named, as a comment and on stderr. `countersign cloudflare import-rules` asks the API.

Examples:
  countersign rules import ruleset.json >> countersign.toml
  countersign rules import ruleset.json --keep")]
    Import(Box<RulesImportArguments>),
    /// Show the rules that doors ask, those of the configuration first
    #[command(after_help = "A token needs the scope rules:read.\n\nExample:\n  countersign rules list")]
    List(Box<ServerFlags>),
    /// Add a rule to the database, behind those of the configuration; every door asks it at once
    #[command(after_help = "\
A token needs the scope rules:write and to be an admin's.

Example:
  countersign rules add 'no admin pages' --expression 'http.request.uri.path contains \"/admin\"'")]
    Add(Box<RulesAddArguments>),
    /// Put another rule in the place of one of the database
    #[command(after_help = "\
A token needs the scope rules:write and to be an admin's.

Example:
  countersign rules change 'no admin pages' --action log --expression 'http.request.uri.path contains \"/admin\"'")]
    Change(Box<RulesChangeArguments>),
    /// Remove a rule of the database
    #[command(
        after_help = "A token needs the scope rules:write and to be an admin's.\n\nExample:\n  countersign rules remove 'no admin pages'"
    )]
    Remove(Box<RulesRemoveArguments>),
    /// Move a rule of the database before another one, or to the end
    #[command(
        after_help = "A token needs the scope rules:write and to be an admin's.\n\nExample:\n  countersign rules move 'no admin pages' --before 'api needs a certificate'"
    )]
    Move(Box<RulesMoveArguments>),
    /// Show what the rules of the database were after each change
    #[command(
        after_help = "A token needs the scope rules:read and to see every tenant.\n\nExample:\n  countersign rules revisions"
    )]
    Revisions(Box<ServerFlags>),
    /// Go back to the rules of an earlier revision
    #[command(
        after_help = "A token needs the scope rules:write and to be an admin's.\n\nExample:\n  countersign rules restore 7"
    )]
    Restore(Box<RulesRestoreArguments>),
    /// Show how many devices each rule would have blocked in the last seven days, where rules are observed
    #[command(after_help = "A token needs the scope rules:read.\n\nExample:\n  countersign rules observed")]
    Observed(Box<ServerFlags>),
}

/// `rules test`.
#[derive(Debug, clap::Args)]
pub(super) struct RulesTestArguments {
    /// The request: `GET /path?query`, or a file with the head of an HTTP request
    #[arg(long, value_name = "REQUEST")]
    pub(super) request: String,
    /// A header, `Name: value`; repeatable
    #[arg(long = "header", value_name = "HEADER")]
    pub(super) headers: Vec<String>,
    /// The client certificate and its chain, PEM; its signature is not looked at
    #[arg(long, value_name = "FILE")]
    pub(super) cert: Option<PathBuf>,
    /// How the certificate stands; by its dates when absent
    #[arg(long, value_enum, value_name = "STANDING", requires = "cert")]
    pub(super) standing: Option<StandingArgument>,
    /// The client's address
    #[arg(long, value_name = "IP", default_value = "127.0.0.1")]
    pub(super) source: IpAddr,
    /// The door's port
    #[arg(long, value_name = "PORT", default_value_t = 443)]
    pub(super) port: u16,
    /// The moment of the request, RFC 3339; now when absent
    #[arg(long, value_name = "TIME", value_parser = Timestamp::parse)]
    pub(super) at: Option<Timestamp>,
    /// A file with rule and list entries, instead of the configuration
    #[arg(long, value_name = "FILE", conflicts_with = "config")]
    pub(super) rules: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) config: ConfigFlags,
}

/// How a certificate stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum StandingArgument {
    Valid,
    Pending,
    Superseded,
    Expired,
    NotYetValid,
    Revoked,
    Quarantined,
    Decommissioned,
    TenantSuspended,
    Unproved,
    Foreign,
}

impl From<StandingArgument> for Standing {
    fn from(argument: StandingArgument) -> Self {
        match argument {
            StandingArgument::Valid => Self::Valid,
            StandingArgument::Pending => Self::Pending,
            StandingArgument::Superseded => Self::Superseded,
            StandingArgument::Expired => Self::Expired,
            StandingArgument::NotYetValid => Self::NotYetValid,
            StandingArgument::Revoked => Self::Revoked,
            StandingArgument::Quarantined => Self::Quarantined,
            StandingArgument::Decommissioned => Self::Decommissioned,
            StandingArgument::TenantSuspended => Self::TenantSuspended,
            StandingArgument::Unproved => Self::Unproved,
            StandingArgument::Foreign => Self::Foreign,
        }
    }
}

/// `rules check`.
#[derive(Debug, clap::Args)]
pub(super) struct RulesCheckArguments {
    /// A configuration, or a file with nothing but rule and list entries
    #[arg(value_name = "FILE")]
    pub(super) file: PathBuf,
    /// Doubt rules as where several device CAs are trusted
    #[arg(long)]
    pub(super) several_cas: bool,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// `rules import`.
#[derive(Debug, clap::Args)]
pub(super) struct RulesImportArguments {
    /// The ruleset in JSON: an answer of the API, a ruleset or a list of rules
    #[arg(value_name = "FILE")]
    pub(super) file: PathBuf,
    /// A file with the list entries that the rules ask
    #[arg(long, value_name = "FILE")]
    pub(super) lists: Option<PathBuf>,
    /// Have the running server keep them at once, behind the rules that it has. A token needs the scope rules:write
    /// and to be an admin's
    #[arg(long, conflicts_with = "lists")]
    pub(super) keep: bool,
    #[command(flatten)]
    pub(super) server: ServerFlags,
}
