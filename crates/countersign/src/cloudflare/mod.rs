//! Cloudflare's API over the network: the transport that the issuing side asks through.

mod api;
mod transport;

pub(crate) use api::{NotConfigured, api};
