//! The plan file of a tree of CAs and certificates: what people wrote ([`raw`]), what it means
//! ([`resolve`]), and the files that come of it ([`layout`]).

mod layout;
mod raw;
mod resolve;

pub(crate) use layout::{Layout, Readers, replace};
pub(crate) use resolve::read;
