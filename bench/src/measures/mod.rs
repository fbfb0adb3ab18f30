//! What is measured, a file each.

pub(crate) mod bulk;
mod crowd;
pub(crate) mod cut;
pub(crate) mod handshakes;
pub(crate) mod idle;
pub(crate) mod messages;
pub(crate) mod requests;
pub(crate) mod sessions;
pub(crate) mod streams;
