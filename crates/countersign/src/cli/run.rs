//! Reads the command line and runs the command.

use std::process::ExitCode;

use clap::Parser as _;

use super::arguments::{AuditCommand, Cli, Command, ConfigCommand, StoreCommand};
use super::ca_arguments::CaCommand;
use super::cert_arguments::CertCommand;
use super::failure::Failure;
use super::{
    account, alert, audit_anchor, audit_export, audit_list, audit_streams, audit_verify, backup, ca_csr,
    ca_export, ca_import, ca_import_signed, ca_init, ca_list, ca_reseal, ca_root, ca_rotate, ca_sign,
    ca_sign_crl, cert_inspect, cert_issue, cert_list, cert_p12, cert_revoke, cert_rotate, cert_verify,
    cloudflare, config_check, config_sample, denied, device, documents, edge, explain, healthcheck, job, key,
    migrate, monitor, mosquitto_config, output, quarantine_messages, restore, rollout, rules, serve, service,
    session, settings, site, store_copy, telemetry, tenant, token, trust, tunnel, user,
};
use crate::config::{ConfigError, ConfigFlags, Environment, Loaded, Machine, load};

/// Runs the command of this process and gives its exit code.
pub(crate) fn run() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Serve(arguments) => serve::run(*arguments),
        Command::Tunnel(arguments) => tunnel::run(*arguments),
        Command::Healthcheck(arguments) => healthcheck::run(*arguments),
        Command::Migrate(arguments) => migrate::run(*arguments),
        Command::Backup(arguments) => backup::run(*arguments),
        Command::Restore(arguments) => restore::run(*arguments),
        Command::Config(ConfigCommand::Check(arguments)) => config_check::run(*arguments),
        Command::Config(ConfigCommand::Sample) => config_sample::run(),
        Command::Explain(arguments) => explain::run(*arguments),
        Command::Login(arguments) => session::log_in(*arguments),
        Command::Logout(arguments) => session::log_out(*arguments),
        Command::Whoami(flags) => session::who_am_i(&flags),
        Command::Account(command) => account::run(command),
        Command::Audit(command) => audit(command),
        Command::Ca(command) => ca(command),
        Command::Cert(command) => cert(command),
        Command::Edge(command) => edge::run(command),
        Command::Service(command) => service::run(&command),
        Command::Monitor(command) => monitor::run(command),
        Command::Alert(command) => alert::run(command),
        Command::Mqtt(command) => mosquitto_config::run(command),
        Command::Device(command) => device::run(command),
        Command::Key(command) => key::run(command),
        Command::Denied(command) => denied::run(command),
        Command::Tenant(command) => tenant::run(command),
        Command::Site(command) => site::run(command),
        Command::Settings(command) => settings::run(command),
        Command::Rollout(command) => rollout::run(command),
        Command::Job(command) => job::run(command),
        Command::Telemetry(command) => telemetry::run(command),
        Command::Quarantine(command) => quarantine_messages::run(command),
        Command::Trust(command) => trust::run(command),
        Command::User(command) => user::run(command),
        Command::Token(command) => token::run(command),
        Command::Store(StoreCommand::Copy(arguments)) => store_copy::run(&arguments),
        Command::Rules(command) => rules::run(command),
        Command::Cloudflare(command) => cloudflare::run(command),
        Command::Completions(arguments) => documents::completions(&arguments),
        Command::Man(arguments) => documents::man(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output::report(&failure);
            failure.exit_code()
        }
    }
}

fn audit(command: AuditCommand) -> Result<(), Failure> {
    match command {
        AuditCommand::List(arguments) => audit_list::run(&arguments),
        AuditCommand::Anchor(arguments) => audit_anchor::run(*arguments),
        AuditCommand::Streams(flags) => audit_streams::run(&flags),
        AuditCommand::Export(arguments) => audit_export::run(*arguments),
        AuditCommand::Verify(arguments) => audit_verify::run(*arguments),
    }
}

fn ca(command: CaCommand) -> Result<(), Failure> {
    match command {
        CaCommand::Init(arguments) => ca_init::run(*arguments),
        CaCommand::Tree(arguments) => ca_list::tree(*arguments),
        CaCommand::Show(arguments) => ca_list::show(*arguments),
        CaCommand::Export(arguments) => ca_export::export(*arguments),
        CaCommand::Crl(arguments) => ca_export::crl(*arguments),
        CaCommand::Reseal(arguments) => ca_reseal::run(*arguments),
        CaCommand::Rotate(arguments) => ca_rotate::run(&arguments),
        CaCommand::Root(command) => ca_root::run(command),
        CaCommand::Csr(arguments) => ca_csr::run(*arguments),
        CaCommand::CsrWithdraw(arguments) => ca_csr::withdraw(*arguments),
        CaCommand::Sign(arguments) => ca_sign::run(&arguments),
        CaCommand::CrlRequest(arguments) => ca_sign_crl::request(*arguments),
        CaCommand::SignCrl(arguments) => ca_sign_crl::sign(&arguments),
        CaCommand::ImportSigned(arguments) => ca_import_signed::run(*arguments),
        CaCommand::Import(arguments) => ca_import::run(*arguments),
    }
}

fn cert(command: CertCommand) -> Result<(), Failure> {
    match command {
        CertCommand::Inspect(arguments) => cert_inspect::run(&arguments),
        CertCommand::P12(arguments) => cert_p12::run(&arguments),
        CertCommand::Verify(arguments) => cert_verify::run(&arguments),
        CertCommand::Issue(arguments) => cert_issue::run(&arguments),
        CertCommand::List(arguments) => cert_list::run(&arguments),
        CertCommand::Rotate(arguments) => cert_rotate::run(&arguments),
        CertCommand::Revoke(arguments) => cert_revoke::run(&arguments),
    }
}

/// The configuration of this process.
pub(super) fn loaded(flags: ConfigFlags) -> Result<Loaded, ConfigError> {
    load(flags, &Environment::of_process(), &Machine::this())
}

/// Runs a short command's future on a runtime of one thread.
pub(super) fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| anyhow::Error::new(error).context("start the runtime"))?.block_on(work)
}
