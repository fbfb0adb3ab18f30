//! What the agent is told and what it remembers: `agent.yaml`, and the process's environment.

mod document;
mod environment;
mod forwards;
mod model;

pub use document::{ConfigError, from_yaml, to_yaml};
pub use environment::Environment;
pub use model::{
    Config, Credential, Enrolment, HeldCertificate, MqttServer, Pending, PendingCertificate,
    StartedEnrolment, Transport,
};
