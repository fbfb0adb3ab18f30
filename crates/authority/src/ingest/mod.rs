//! Ingest: messages that came through an MQTT door are checked and taken, or set aside with the reason.
//! Whoever hands one over may acknowledge it once the call has returned: it is committed then.

mod check;
mod judge;
mod look;
mod release;
mod reported;
mod sender;
mod take;

pub use check::PAYLOAD_LIMIT;
pub use judge::Accepted;
pub use look::{MessagePart, SetAsideFilter, SetAsideRow, TelemetryFilter, TelemetryRow};
pub use release::ReleaseError;
pub use sender::TokenAsked;
pub use take::{Incoming, Rejection, Taken};

pub(crate) use take::KEPT;
