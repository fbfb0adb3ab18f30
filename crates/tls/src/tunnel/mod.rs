//! Bytes both ways: what a TCP door does behind its handshake, and what stands at the other end of it.

mod buffers;
mod source;
mod splice;

pub use source::{SourceError, TlsMaterial, TlsSource};
pub use splice::{Ended, SpliceLimits, Traffic, splice};
