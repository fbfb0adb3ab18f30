//! The programs that Countersign is measured beside, each as its documentation would set it up.

mod caddy;
mod envoy;
mod haproxy;
mod mosquitto;
mod nginx;
mod peer;
mod stunnel;
mod traefik;

pub(crate) use mosquitto::Broker;
pub(crate) use peer::{Front, Peer, prepared};
