//! A fleet of simulated devices: they enrol, beat, renew and are cut off over the doors as agents do, each with a
//! key pair and connections of its own, so that it can be seen what an installation does under thousands of them.
//! For development; not shipped.
//!
//! What they say and show is the protocol to the letter. What they leave out is the machine: nothing is on disk,
//! and a fleet is one process.

mod crowd;
mod device;
mod profiles;
mod report;
mod site;

pub use device::{Device, Refused};
pub use profiles::{Plan, Profile, run};
pub use report::{Act, Report};
pub use site::{Admin, Site};
