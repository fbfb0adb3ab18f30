//! The agent's WebSocket: how it is kept, and what the end of one means.

mod end;
mod link;

pub use end::{ConnectionState, End};
pub(crate) use link::{Event, Link, Opening};
