//! The doors of a process, opened from its configuration wherever their trust comes from: `serve` has it
//! from the authority beside them, an edge from one elsewhere.

mod adoption;
mod certificates;
mod changes;
mod egress;
mod http;
mod listening;
mod log;
mod message_file;
mod meters;
mod mqtt;
mod open;
mod redirect;
mod tcp;
mod tcp_doors;

pub(crate) use certificates::{Acquiring, Shown, Stamps, from_files};
pub(crate) use changes::Changes;
pub(crate) use listening::ADMIN;
pub(crate) use meters::Meters;
pub(crate) use mqtt::password_in;
pub(crate) use mqtt::upstream_of as mqtt_upstream;
pub(crate) use open::{Doors, Given, Turn, open};
pub(crate) use tcp::upstream as server;
