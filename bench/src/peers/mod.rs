//! The programs that Countersign is measured beside, each as its documentation would set it up.

mod envoy;
mod haproxy;
mod nginx;
mod peer;

pub(crate) use peer::Peer;
