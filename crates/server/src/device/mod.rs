//! The agent routes, behind doors.

pub(crate) mod channel;
pub(crate) mod commands;
pub(crate) mod credentials;
pub(crate) mod enroll;
pub(crate) mod heartbeat;
pub(crate) mod identify;
pub(crate) mod renew;
mod session;
