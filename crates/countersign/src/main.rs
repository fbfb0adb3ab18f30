//! THE binary: reads the command line and the configuration, and wires authority, control plane and
//! doors together.
//!
//! It decides nothing itself: what is allowed is in `countersign-core`, what happens in
//! `countersign-authority`. Start reading at [`cli`], then [`config`], then [`serve`], then [`doors`].

mod acme;
mod alerts;
mod audit_file;
mod audit_streams;
mod banner;
mod cli;
mod cloudflare;
mod config;
mod credentials;
mod doors;
mod edge;
mod files_limit;
mod hook;
mod http_client;
mod letters;
mod logging;
mod look;
mod metrics;
mod mosquitto;
mod oidc;
mod own_ca;
mod plan;
mod ports;
mod retention;
mod sandbox;
mod serve;
mod sinks;
mod system_roots;
mod traces;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run()
}
