//! The HTTP door: from a finished handshake to an answer.

pub(crate) mod answering;
pub(crate) mod body;
pub(crate) mod changes;
pub(crate) mod connection;
pub(crate) mod deadline;
pub(crate) mod dial;
pub(crate) mod forward;
pub(crate) mod framing;
pub(crate) mod group;
pub(crate) mod host;
pub(crate) mod inside;
pub(crate) mod members;
pub(crate) mod multiplexed;
pub(crate) mod open;
pub(crate) mod refusal;
pub(crate) mod resets;
pub(crate) mod room;
pub(crate) mod route;
pub(crate) mod service;
pub(crate) mod told;
pub(crate) mod upgrade;
pub(crate) mod upkeep;
pub(crate) mod upstream_tls;
pub(crate) mod upstreams;
pub(crate) mod websocket;
pub(crate) mod wire;
