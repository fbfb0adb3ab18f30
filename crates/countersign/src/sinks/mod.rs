//! Where accepted messages go besides the database: each sink has them before their device hears that they
//! arrived, at least once.

mod mqtt;
mod nats;
mod open;
mod queue;
mod record;
mod webhook;

pub(crate) use open::open;
pub(crate) use queue::{Deliver, Delivering, SinkEnded, SinkQueue};
pub(crate) use record::Record;
