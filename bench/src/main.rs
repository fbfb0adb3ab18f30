//! `countersign-bench`: what a door and its control plane do in a second of a processor, beside nginx,
//! HAProxy, Envoy and others in the same run, on the same machine, with the same certificates.
//!
//! Rates are work ÷ processor seconds of the server, so that neither the load generator nor whatever
//! else the machine does sets them. Start reading at `run`, then `measures/`.

mod arguments;
mod chart;
mod client;
mod devices;
mod doors;
mod falls;
mod fleet;
mod installation;
mod machine;
mod measures;
mod mqtt;
mod peers;
mod pki;
mod postgres;
mod process;
mod program;
mod recorded;
mod report;
mod rules;
mod run;
mod servers;
mod site;
mod store;
mod table;
mod tcp;
mod upstream;
mod work;

use clap::Parser as _;

fn main() -> anyhow::Result<()> {
    run::run(&arguments::Arguments::parse())
}
