//! Bytes both ways: what a TCP door does behind its handshake ([`splice()`]), and the other end of it
//! ([`Forward`]), which the agent and `countersign tunnel` are made of.

mod address;
mod forward;
mod http;
mod listen;
mod source;
mod splice;
mod status;

pub use address::{Destination, DestinationError, PinError, pin};
pub use forward::{Cargo, Forward, ForwardConfig, ForwardWatch, KeyChange};
pub use listen::{ForwardListen, ForwardListenError, ListenError, Reach};
pub use source::{SourceError, TlsMaterial, TlsSource};
pub use splice::{Ended, SpliceLimits, Traffic, splice};
pub use status::ForwardStatus;
