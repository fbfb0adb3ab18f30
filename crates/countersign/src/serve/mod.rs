//! `serve`: authority, admin API and HTTP door in one process.

mod door;
pub(crate) mod files;
mod ingest;
mod monitors;
mod mosquitto;
mod nearby;
mod observed;
pub(crate) mod reload;
mod reports;
mod rule_bench;
mod run;
mod successor;
mod tokens;

pub(crate) use files::make_private_directory;
pub(crate) use reports::of_request;
pub(crate) use run::{authority_config, give_life_signs, run, say_goodbye, stop_signals};
pub(crate) use successor::{Leaving, Succession};
