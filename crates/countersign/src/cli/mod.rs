//! The command line: one file per subcommand.

mod anchor_faults;
mod arguments;
mod audit_anchor;
mod audit_export;
mod audit_verify;
mod audit_verify_export;
mod ca_arguments;
mod ca_export;
mod ca_init;
mod ca_list;
mod ca_reseal;
mod ca_rotate;
mod ca_rotate_arguments;
mod cert_arguments;
mod cert_inspect;
mod cert_p12;
mod cert_verify;
mod config_check;
mod config_sample;
mod explain;
mod explain_advice;
mod failure;
mod healthcheck;
mod migrate;
pub(crate) mod output;
mod run;
mod serve;
mod server_call;
mod store_copy;
mod user_reset_password;

pub(crate) use run::run;
