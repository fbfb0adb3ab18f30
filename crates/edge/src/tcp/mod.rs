//! The TCP door: from a finished handshake to bytes both ways.

pub(crate) mod changes;
pub(crate) mod counters;
pub(crate) mod door;
pub(crate) mod hearing;
pub(crate) mod proxy_header;
pub(crate) mod session;
pub(crate) mod upstream;
