//! What stands behind the door where there is no broker: devices publish to the sink, and are sent commands.
//! There is no routing between devices. Everything is in memory.

mod end;
mod rooms;
mod session;

pub use rooms::Hub;

pub(super) use end::HubEnd;
