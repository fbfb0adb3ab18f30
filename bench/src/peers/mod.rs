//! The programs that Countersign is measured beside, each as its documentation would set it up.

mod caddy;
mod envoy;
mod haproxy;
mod nginx;
mod peer;
mod stunnel;
mod traefik;

pub(crate) use peer::{Front, Peer, prepared};
