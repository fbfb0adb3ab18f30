//! The agent at work: heartbeats, renewals, commands, the WebSocket, and patience when something
//! does not work.

mod agent;
mod commanded;
mod connection;
mod forwards;
mod heartbeat;
mod report;
mod timing;

pub use agent::{Agent, RunError};
pub use timing::Timing;
