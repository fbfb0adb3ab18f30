//! The agent of a device: it enrols, sends heartbeats and keeps the device's certificate fresh.
//!
//! It makes the device's key and never lets it go, it trusts a control plane only through a pinned
//! fingerprint or a given CA, and it can mint no certificate: the issuing side is another crate
//! that this one does not know. Whatever it needs to go on after being killed is on disk before it
//! is used.
//!
//! Start reading at [`enrol::enrol`], then [`renew::next_step`] for when and how a certificate is
//! renewed, [`renew::Renewal`] for doing it, [`run::Agent`] for the loop around it,
//! and [`channel`] for its WebSocket.

pub mod advice;
pub mod backoff;
pub mod certificate;
mod chain;
pub mod channel;
mod clock_watch;
mod commands;
pub mod config;
pub mod connect;
pub mod disk;
pub mod enrol;
pub mod facts;
pub mod forward;
pub mod host;
pub mod key;
pub mod paths;
pub mod possession;
pub mod random;
pub mod renew;
pub mod run;
pub mod secret;
pub mod state;
pub mod status;
pub mod token;
pub mod trust;
pub mod unenrol;
