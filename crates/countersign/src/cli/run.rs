//! Reads the command line and runs the command.

use std::process::ExitCode;

use clap::Parser as _;

use super::arguments::{AuditCommand, Cli, Command, ConfigCommand, StoreCommand, UserCommand};
use super::ca_arguments::CaCommand;
use super::cert_arguments::CertCommand;
use super::device_arguments::DeviceCommand;
use super::failure::Failure;
use super::{
    audit_anchor, audit_export, audit_verify, backup, ca_csr, ca_export, ca_import, ca_import_signed,
    ca_init, ca_list, ca_reseal, ca_root, ca_rotate, ca_sign, ca_sign_crl, cert_inspect, cert_issue,
    cert_list, cert_p12, cert_revoke, cert_rotate, cert_verify, cloudflare, config_check, config_sample,
    device, edge, explain, healthcheck, job, migrate, monitor, mosquitto_config, output, quarantine_messages,
    restore, rules, serve, service, store_copy, telemetry, trust, tunnel, user_reset_password,
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
        Command::Audit(AuditCommand::Anchor(arguments)) => audit_anchor::run(*arguments),
        Command::Audit(AuditCommand::Export(arguments)) => audit_export::run(*arguments),
        Command::Audit(AuditCommand::Verify(arguments)) => audit_verify::run(*arguments),
        Command::Ca(CaCommand::Init(arguments)) => ca_init::run(*arguments),
        Command::Ca(CaCommand::Tree(arguments)) => ca_list::tree(*arguments),
        Command::Ca(CaCommand::Show(arguments)) => ca_list::show(*arguments),
        Command::Ca(CaCommand::Export(arguments)) => ca_export::export(*arguments),
        Command::Ca(CaCommand::Crl(arguments)) => ca_export::crl(*arguments),
        Command::Ca(CaCommand::Reseal(arguments)) => ca_reseal::run(*arguments),
        Command::Ca(CaCommand::Rotate(arguments)) => ca_rotate::run(&arguments),
        Command::Ca(CaCommand::Root(command)) => ca_root::run(command),
        Command::Ca(CaCommand::Csr(arguments)) => ca_csr::run(*arguments),
        Command::Ca(CaCommand::CsrWithdraw(arguments)) => ca_csr::withdraw(*arguments),
        Command::Ca(CaCommand::Sign(arguments)) => ca_sign::run(&arguments),
        Command::Ca(CaCommand::CrlRequest(arguments)) => ca_sign_crl::request(*arguments),
        Command::Ca(CaCommand::SignCrl(arguments)) => ca_sign_crl::sign(&arguments),
        Command::Ca(CaCommand::ImportSigned(arguments)) => ca_import_signed::run(*arguments),
        Command::Ca(CaCommand::Import(arguments)) => ca_import::run(*arguments),
        Command::Cert(CertCommand::Inspect(arguments)) => cert_inspect::run(&arguments),
        Command::Cert(CertCommand::P12(arguments)) => cert_p12::run(&arguments),
        Command::Cert(CertCommand::Verify(arguments)) => cert_verify::run(&arguments),
        Command::Cert(CertCommand::Issue(arguments)) => cert_issue::run(&arguments),
        Command::Cert(CertCommand::List(arguments)) => cert_list::run(&arguments),
        Command::Cert(CertCommand::Rotate(arguments)) => cert_rotate::run(&arguments),
        Command::Cert(CertCommand::Revoke(arguments)) => cert_revoke::run(&arguments),
        Command::Edge(command) => edge::run(command),
        Command::Service(command) => service::run(&command),
        Command::Monitor(command) => monitor::run(command),
        Command::Mqtt(command) => mosquitto_config::run(command),
        Command::Device(DeviceCommand::Shadow(command)) => device::run(command),
        Command::Job(command) => job::run(command),
        Command::Telemetry(command) => telemetry::run(command),
        Command::Quarantine(command) => quarantine_messages::run(command),
        Command::Trust(command) => trust::run(command),
        Command::User(UserCommand::ResetPassword(arguments)) => user_reset_password::run(*arguments),
        Command::Store(StoreCommand::Copy(arguments)) => store_copy::run(&arguments),
        Command::Rules(command) => rules::run(command),
        Command::Cloudflare(command) => cloudflare::run(command),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output::report(&failure);
            failure.exit_code()
        }
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
