//! Sending the audit elsewhere as it is written: to syslog or to a webhook, in order, again until it has arrived.

mod send;
mod syslog;

pub(crate) use send::{Sender, wanted};
