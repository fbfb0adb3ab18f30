//! The side that faces clients: how much they may ask for, from where, and from which web pages.

pub(crate) mod access_log;
pub(crate) mod challenges;
pub(crate) mod cors;
pub(crate) mod entry;
pub(crate) mod meter;
pub(crate) mod rate;
pub(crate) mod redirect;
pub(crate) mod screen;
pub(crate) mod traces;
