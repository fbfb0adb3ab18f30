//! The agent's connection over which commands come at once, a WebSocket or a session at an MQTT door: how it is
//! kept, and what the end of one means.

mod end;
mod link;
mod mqtt;

pub use end::{ConnectionState, End};
pub(crate) use link::{Event, Link, Opening, Saying};
pub(crate) use mqtt::MqttOpening;
