//! The control plane in this process, called as a service: what its own tests stand on.

mod answer;
mod document;
mod people;
mod plane;
mod schema;

pub(crate) use answer::Answer;
pub(crate) use document::{Document, Operation};
pub(crate) use people::{Person, Whose};
pub(crate) use plane::{ANOTHER, Call, Device, OWN, Plane};
