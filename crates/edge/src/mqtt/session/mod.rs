//! One device's conversation, packet by packet: what goes on to the broker, what is answered here, and what
//! ends it. No I/O happens here.

mod downlink;
mod greeting;
mod stamp;
mod state;
mod uplink;

pub(super) use greeting::{Greeted, Greeting, Turned};
pub(super) use stamp::Stamp;
pub(super) use state::{Context, End, Incident, Out, State, Step, Tapped};
