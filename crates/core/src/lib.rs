//! The rules of Countersign as pure functions: identifiers, the identity codec, the device and
//! certificate state machines, the two-thirds rule, the trust snapshot with its verdict, the
//! who-may-reach-what table and the audit vocabulary.
//!
//! This crate does no I/O and names no runtime, database, HTTP or TLS type: every function takes
//! what it needs, `now` included, so that property tests run it in microseconds.
//!
//! Start reading at [`identity`], then [`device`] and [`certificate`], then [`snapshot`] and
//! [`access`].

pub mod access;
pub mod agent_settings;
pub mod alternative_names;
pub mod anchor;
pub mod audit;
pub mod certificate;
pub mod command;
pub mod crl_scope;
pub mod device;
pub mod door_work;
pub mod edge;
pub mod expiry;
pub mod guest;
pub mod identity;
pub mod ids;
pub mod name_pattern;
pub mod proof;
pub mod renewal;
pub mod rotation;
pub mod scope;
pub mod settings;
pub mod snapshot;
pub mod time;

pub use identity::{Identity, TrustDomain};
