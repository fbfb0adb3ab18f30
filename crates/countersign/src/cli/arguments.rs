//! Commands and flags.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use countersign_core::ids::{RequestId, Tenant};
use countersign_core::time::Timestamp;

use super::account::AccountCommand;
use super::alert::AlertCommand;
use super::audit_list::AuditListArguments;
use super::backup_arguments::{BackupArguments, RestoreArguments};
use super::ca_arguments::CaCommand;
use super::cert_arguments::CertCommand;
use super::cloudflare_arguments::CloudflareCommand;
use super::denied::DeniedCommand;
use super::device_arguments::DeviceCommand;
use super::documents::{CompletionsArguments, ManArguments};
use super::edge_arguments::EdgeCommand;
use super::job_arguments::JobCommand;
use super::key::KeyCommand;
use super::monitor_arguments::MonitorCommand;
use super::mqtt_arguments::MqttCommand;
use super::rollout::RolloutCommand;
use super::rules_arguments::RulesCommand;
use super::server_flags::ServerFlags;
use super::service_arguments::ServiceCommand;
use super::session::{LoginArguments, LogoutArguments};
use super::settings::SettingsCommand;
use super::site::SiteCommand;
use super::telemetry_arguments::{QuarantineCommand, TelemetryCommand};
use super::tenant::TenantCommand;
use super::token::TokenCommand;
use super::trust_arguments::TrustCommand;
use super::tunnel::TunnelArguments;
use super::user::UserCommand;
use crate::config::ConfigFlags;

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  failed, the reason is on stderr
  2  the command line or the configuration is wrong
  3  a check gave a bad answer: not ready, audit chain broken, nothing known of the request";

/// Self-hosted mutual-TLS identity platform: issues an identity to every device, checks it at the
/// door, renews, quarantines and revokes it, and writes down who did what.
#[derive(Debug, Parser)]
#[command(name = "countersign", version, after_help = EXIT_CODES)]
pub(super) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(super) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run the authority, the admin API and the HTTP door
    #[command(
        after_help = "Example:\n  countersign serve --data-dir /var/lib/countersign --public-name gateway.example.com"
    )]
    Serve(Box<ServeArguments>),
    /// Give local programs that know nothing of certificates the identity of a certificate directory
    #[command(
        after_help = "Example:\n  countersign tunnel --listen 127.0.0.1:5432 --to gateway.example.com:6432 --dir /etc/acme/certs/web"
    )]
    Tunnel(Box<TunnelArguments>),
    /// Ask a running server whether it is ready
    #[command(after_help = "Example:\n  countersign healthcheck --ports-file /run/countersign/ports.json")]
    Healthcheck(Box<HealthcheckArguments>),
    /// Bring the database to this version, and stop
    #[command(after_help = "Example:\n  countersign migrate --data-dir /var/lib/countersign")]
    Migrate(Box<MigrateArguments>),
    /// Write every record to one encrypted file, beside a running server
    #[command(
        after_help = "Example:\n  countersign backup --to countersign.backup --passphrase-file backup.passphrase"
    )]
    Backup(Box<BackupArguments>),
    /// Make the installation of a backup, on an empty database
    #[command(
        after_help = "Example:\n  countersign restore --from countersign.backup --passphrase-file backup.passphrase --crl device.crl --crl service.crl --data-dir /var/lib/countersign"
    )]
    Restore(Box<RestoreArguments>),
    /// Check a configuration, or print a sample
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Show the facts behind a refused request, for seven days
    #[command(after_help = "Example:\n  countersign explain 0198f2c4-7c3e-7d11-9a55-2f1c3b7e9d40")]
    Explain(Box<ExplainArguments>),
    /// Sign in at the running server, for the commands that come
    #[command(
        after_help = "The session is kept for its server in ~/.config/countersign/sessions.json, 0600. --token-file wins over it.\n\nExample:\n  countersign login owner@example.com"
    )]
    Login(Box<LoginArguments>),
    /// End the session of `login`, here and at the server
    #[command(after_help = "Example:\n  countersign logout")]
    Logout(Box<LogoutArguments>),
    /// Say in whose name the commands ask
    #[command(after_help = "Example:\n  countersign whoami")]
    Whoami(Box<ServerFlags>),
    /// Your own account: password, one-time codes, recovery codes, passkeys
    #[command(subcommand)]
    Account(AccountCommand),
    /// Read, copy, anchor and check the audit log
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Make and look at CAs
    #[command(subcommand)]
    Ca(CaCommand),
    /// Read, judge and convert certificates; issue, renew and revoke those of services
    #[command(subcommand)]
    Cert(CertCommand),
    /// Run doors elsewhere than the authority: add edges, and run them
    #[command(subcommand)]
    Edge(EdgeCommand),
    /// Keep certificates of services with their keys
    #[command(subcommand)]
    Service(ServiceCommand),
    /// Watch certificates elsewhere: their ends, and whether they are the ones they should be
    #[command(subcommand)]
    Monitor(MonitorCommand),
    /// See what somebody must see to, and say who does
    #[command(subcommand)]
    Alert(AlertCommand),
    /// Let a Mosquitto serve devices on a port of its own
    #[command(subcommand)]
    Mqtt(MqttCommand),
    /// Look at devices, decide about them, and say what state they are to have
    #[command(subcommand)]
    Device(DeviceCommand),
    /// Make and revoke the keys with which devices enrol
    #[command(subcommand)]
    Key(KeyCommand),
    /// See and lift what denied devices left behind: keys, host names, hardware serials
    #[command(subcommand)]
    Denied(DeniedCommand),
    /// Make, suspend and resume tenants
    #[command(subcommand)]
    Tenant(TenantCommand),
    /// Make, rename and delete sites of tenants
    #[command(subcommand)]
    Site(SiteCommand),
    /// See and change settings of tenants
    #[command(subcommand)]
    Settings(SettingsCommand),
    /// See how far tenants are from enforcing certificates, and go back
    #[command(subcommand)]
    Rollout(RolloutCommand),
    /// Give many devices one thing to do, and see what became of it
    #[command(subcommand)]
    Job(JobCommand),
    /// Read what devices sent over MQTT
    #[command(subcommand)]
    Telemetry(TelemetryCommand),
    /// Look at messages of devices that were set aside, and release them
    #[command(subcommand)]
    Quarantine(QuarantineCommand),
    /// Let doors admit, on routes that ask for it, clients of CAs that somebody else runs
    #[command(subcommand)]
    Trust(TrustCommand),
    /// Invite people, change what they may do, and let locked-out ones back in
    #[command(subcommand)]
    User(UserCommand),
    /// Make and revoke API tokens for scripts
    #[command(subcommand)]
    Token(TokenCommand),
    /// Work on the database itself
    #[command(subcommand)]
    Store(StoreCommand),
    /// Test, check and import rules of doors, and change those of a running server
    #[command(subcommand)]
    Rules(RulesCommand),
    /// Work with Cloudflare, in front of our doors or as issuer
    #[command(subcommand)]
    Cloudflare(CloudflareCommand),
    /// Print what a shell needs to complete commands and flags
    #[command(after_help = "Example:\n  countersign completions bash > /etc/bash_completion.d/countersign")]
    Completions(Box<CompletionsArguments>),
    /// Print the man page, or write one for every command
    #[command(after_help = "Example:\n  countersign man --out /usr/local/share/man/man1")]
    Man(Box<ManArguments>),
}

/// `config …`.
#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Say everything that is wrong with the configuration, with key and line
    #[command(
        after_help = "Example:\n  countersign config check --config /etc/countersign-server/countersign.toml"
    )]
    Check(Box<CheckArguments>),
    /// Print the annotated sample: every setting with its flag, variable and default
    #[command(after_help = "Example:\n  countersign config sample > countersign.toml")]
    Sample,
}

/// `audit …`.
#[derive(Debug, Subcommand)]
pub(super) enum AuditCommand {
    /// Show entries, newest first, or follow them as they come
    #[command(
        after_help = "A token needs the scope audit:read.\n\nExample:\n  countersign audit list --tenant acme --event device.denied\n  countersign audit list --follow"
    )]
    List(Box<AuditListArguments>),
    /// Recompute every hash chain from its beginning, and hold it against anchors
    #[command(
        after_help = "Example:\n  countersign audit verify --data-dir /var/lib/countersign --anchor anchor.json"
    )]
    Verify(Box<AuditVerifyArguments>),
    /// Copy entries to a file, in the order in which they were written
    #[command(
        after_help = "Example:\n  countersign audit export --tenant acme --from 2026-01-01T00:00:00Z --output audit.jsonl"
    )]
    Export(Box<AuditExportArguments>),
    /// Sign the ends of all hash chains, and write the anchor to a file
    #[command(
        after_help = "Example:\n  countersign audit anchor --token-file operator.token --output anchor.json"
    )]
    Anchor(Box<AuditAnchorArguments>),
    /// Show how far the copies are that are sent elsewhere as the log is written
    #[command(after_help = "A token needs the scope audit:read.\n\nExample:\n  countersign audit streams")]
    Streams(Box<ServerFlags>),
}

/// `audit export`.
#[derive(Debug, clap::Args)]
pub(super) struct AuditExportArguments {
    /// Where to write them, mode 0600; stdout when absent
    #[arg(long, value_name = "FILE")]
    pub(super) output: Option<PathBuf>,
    /// jsonl, which `audit verify --export` checks, or csv
    #[arg(long, value_enum, default_value_t = AuditExportFormat::Jsonl)]
    pub(super) format: AuditExportFormat,
    /// Only this tenant's chain, by its slug
    #[arg(long, value_name = "TENANT")]
    pub(super) tenant: Option<Tenant>,
    /// From this moment on, RFC 3339
    #[arg(long, value_name = "TIME", value_parser = Timestamp::parse)]
    pub(super) from: Option<Timestamp>,
    /// Before this moment, RFC 3339
    #[arg(long, value_name = "TIME", value_parser = Timestamp::parse)]
    pub(super) to: Option<Timestamp>,
    #[command(flatten)]
    pub(super) config: ConfigFlags,
}

/// How entries are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum AuditExportFormat {
    /// A JSON object a line.
    Jsonl,
    /// For spreadsheets.
    Csv,
}

/// `audit anchor`.
#[derive(Debug, clap::Args)]
pub(super) struct AuditAnchorArguments {
    /// Where to write the anchor, mode 0600; stdout when absent
    #[arg(long, value_name = "FILE")]
    pub(super) output: Option<PathBuf>,
    /// A file with an operator's token: the running server makes the anchor. Without it the database
    /// is opened, which a server on SQLite prevents
    #[arg(long, value_name = "FILE")]
    pub(super) token_file: Option<PathBuf>,
    #[command(flatten)]
    pub(super) config: ConfigFlags,
}

/// `store …`.
#[derive(Debug, Subcommand)]
pub(super) enum StoreCommand {
    /// Copy every record of an SQLite database into an empty PostgreSQL database
    #[command(
        after_help = "Example:\n  countersign store copy --from sqlite:/var/lib/countersign/countersign.db --to postgresql://countersign@db.example.com/countersign"
    )]
    Copy(Box<StoreCopyArguments>),
}

/// `serve`.
#[derive(Debug, clap::Args)]
pub(super) struct ServeArguments {
    #[command(flatten)]
    pub(super) config: ConfigFlags,
}

/// `healthcheck`.
#[derive(Debug, clap::Args)]
pub(super) struct HealthcheckArguments {
    /// Print the server's answer as JSON
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) config: ConfigFlags,
}

/// `migrate`.
#[derive(Debug, clap::Args)]
pub(super) struct MigrateArguments {
    #[command(flatten)]
    pub(super) config: ConfigFlags,
}

/// `config check`.
#[derive(Debug, clap::Args)]
pub(super) struct CheckArguments {
    #[command(flatten)]
    pub(super) config: ConfigFlags,
}

/// `explain`.
#[derive(Debug, clap::Args)]
pub(super) struct ExplainArguments {
    /// The `requestId` of the answer
    #[arg(value_name = "REQUEST-ID")]
    pub(super) request: RequestId,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) config: ConfigFlags,
}

/// `audit verify`.
#[derive(Debug, clap::Args)]
pub(super) struct AuditVerifyArguments {
    /// An anchor that was kept elsewhere; repeatable
    #[arg(long = "anchor", value_name = "FILE")]
    pub(super) anchors: Vec<PathBuf>,
    /// The public key that anchors must be signed by, PEM; without it the database's own is believed
    #[arg(long, value_name = "FILE")]
    pub(super) anchor_key: Option<PathBuf>,
    /// Check an export in JSON lines, by itself and against the anchors, without any database
    #[arg(long, value_name = "FILE")]
    pub(super) export: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) config: ConfigFlags,
}

/// `user reset-password`.
#[derive(Debug, clap::Args)]
pub(super) struct UserResetPasswordArguments {
    /// The e-mail address with which the person signs in
    #[arg(value_name = "EMAIL")]
    pub(super) email: String,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) config: ConfigFlags,
}

/// `user reset-second-factor`.
#[derive(Debug, clap::Args)]
pub(super) struct UserResetSecondFactorArguments {
    /// The e-mail address with which the person signs in
    #[arg(value_name = "EMAIL")]
    pub(super) email: String,
    #[command(flatten)]
    pub(super) config: ConfigFlags,
}

/// `store copy`.
#[derive(Debug, clap::Args)]
pub(super) struct StoreCopyArguments {
    /// The database to copy, `sqlite:PATH`; no server may have it open
    #[arg(long, value_name = "URL")]
    pub(super) from: String,
    /// The database to fill, `postgresql://USER@HOST/DATABASE`; it is migrated first
    #[arg(long, value_name = "URL")]
    pub(super) to: String,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        <Cli as clap::CommandFactory>::command().debug_assert();
    }
}
