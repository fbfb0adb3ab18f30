//! The tap: where accepted messages go besides the broker, and what was set aside.

use std::fmt;
use std::pin::Pin;

use countersign_core::identity::Identity;
use countersign_core::ids::CertificateRef;
use countersign_core::time::Timestamp;
use thiserror::Error;

use super::wire::Qos;

/// A message that was let in, with what the door knows of its sender.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Who sent it: by its certificate, never by the topic.
    pub identity: Identity,
    /// With which certificate.
    pub certificate: CertificateRef,
    /// On which topic.
    pub topic: String,
    /// What of the topic follows the device's own prefix; all of it if it is another's.
    pub suffix: String,
    /// How hard it is delivered.
    pub qos: Qos,
    /// Whether it may have come before.
    pub is_dup: bool,
    /// When it came.
    pub received_at: Timestamp,
    /// What it says.
    pub payload: Vec<u8>,
}

/// A message that was not let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetAside {
    /// Who sent it, and what.
    pub message: Message,
    /// The stable code of why not.
    pub code: &'static str,
    /// How long its payload was, of which only the beginning may be here.
    pub payload_bytes: usize,
}

/// A message could not be kept.
#[derive(Debug, Error)]
#[error("keep a message")]
pub struct SinkError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// What became of a message that a sink took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is kept, and goes on to the broker, where there is one.
    Kept,
    /// It was set aside, and goes nowhere. Its device is told that it arrived.
    SetAside,
}

/// What a sink promises.
pub type Taking = Pin<Box<dyn Future<Output = Result<Fate, SinkError>> + Send>>;

/// Takes messages. A device hears that its message arrived only after the sink has it; a sink that is slow
/// slows the device down.
pub trait Sink: fmt::Debug + Send + Sync + 'static {
    /// Takes a message; it has it once the promise is kept.
    fn take(&self, message: Message) -> Taking;

    /// Takes note of what was not let in. Nobody waits for it.
    fn set_aside(&self, denied: SetAside);
}
