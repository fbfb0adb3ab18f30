//! Cloudflare's API over the network: the transport that the issuing side asks through.

mod api;
mod roots;
mod transport;

pub(crate) use api::{NotConfigured, api};
