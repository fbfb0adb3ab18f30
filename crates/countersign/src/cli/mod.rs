//! The command line: one file per subcommand.

mod arguments;
mod audit_verify;
mod config_check;
mod config_sample;
mod explain;
mod failure;
mod healthcheck;
mod migrate;
pub(crate) mod output;
mod run;
mod serve;
mod store_copy;

pub(crate) use run::run;
