//! The wire types, in the seeds' spelling.

pub mod admin;
pub mod agent;
pub mod command;
pub mod credentials;
pub mod schema;
