//! The wire types, in the seeds' spelling.

pub mod admin;
pub mod agent;
pub mod schema;
