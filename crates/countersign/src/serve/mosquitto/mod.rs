//! Mosquitto itself at the devices' port: its accounts follow what the authority decides.

mod accounts;
mod driver;
mod dynsec;
mod purge;
mod subscriber;

pub(super) use driver::{Broker, drive};
pub(super) use subscriber::subscribe;
