//! The agent of a device: it enrols, sends heartbeats and keeps the device's certificate fresh.
//!
//! It makes the device's key and never lets it go, it trusts a control plane only through a pinned
//! fingerprint or a given CA, and it can mint no certificate: the issuing side is another crate
//! that this one does not know. Whatever it needs to go on after being killed is on disk before it
//! is used.
//!
//! Start reading at [`enrol::enrol`], then [`renew::next_step`] for when and how a certificate is
//! renewed, [`renew::Renewal`] for doing it, and [`run::Agent`] for the loop around it.

pub mod advice;
pub mod backoff;
pub mod certificate;
mod clock_watch;
pub mod config;
pub mod connect;
pub mod disk;
pub mod enrol;
pub mod host;
pub mod key;
pub mod paths;
pub mod random;
pub mod renew;
pub mod run;
pub mod secret;
pub mod status;
