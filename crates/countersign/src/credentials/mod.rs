//! Certificates of services and their keys on disk: where they are ([`slot`]), which of them end soon
//! ([`find`]), a copy of what they were ([`backup`]), and the one that rotates them ([`rotation`]).

mod backup;
mod find;
mod rotation;
mod slot;

pub(crate) use find::FoundCertificate;
pub(crate) use rotation::{Outcome, Renewal, Rotated, Rotation, rotate};
pub(crate) use slot::{Slot, Written};
