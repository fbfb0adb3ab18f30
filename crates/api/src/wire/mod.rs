//! The wire types, in the seeds' spelling.

pub mod admin;
pub mod agent;
pub mod agent_settings;
pub mod alerts;
pub mod anchors;
pub mod api_tokens;
pub mod audit_streams;
pub mod command;
pub mod command_queue;
pub mod credentials;
pub mod edges;
pub mod fleet;
pub mod jobs;
pub mod messages;
pub mod monitors;
pub mod provisioning_tokens;
pub mod reported;
pub mod rotation;
pub mod rules;
pub mod schema;
pub mod second_factors;
pub mod service_certificates;
pub mod shadows;
pub mod sites;
pub mod trusts;
pub mod users;
