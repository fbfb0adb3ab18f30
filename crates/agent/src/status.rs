//! What the agent knows about itself, for people and for scripts.

use countersign_core::ids::{AgentId, DeviceId, DeviceName};
use countersign_core::time::Timestamp;
use serde::Serialize;

use crate::config::Config;
use crate::renew::{Channel, Life, Situation, Stage, Step, Trigger, is_expired, next_step};
use crate::state::{RunState, StateFile};

/// The state of the agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Status {
    /// Whether the device has enrolled.
    pub enrolled: bool,
    /// Where the control plane is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_url: Option<String>,
    /// The device's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_name: Option<DeviceName>,
    /// Its id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_id: Option<DeviceId>,
    /// Its name in agent URLs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<AgentId>,
    /// `none`, `valid`, `renewal_due` or `expired`.
    pub certificate: CertificateStatus,
    /// The certificate's end, as it is saved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    /// From when on it is renewed by the agent's own clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub renewal_at: Option<Timestamp>,
    /// `none`, `key_made` or `unconfirmed`: how far a renewal on its way has come.
    pub renewal: RenewalStatus,
    /// How the agent gets on; absent when none has ever run here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentStatus>,
}

/// How the agent gets on, or got on when it last ran.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AgentStatus {
    /// Whether it is running.
    pub running: bool,
    /// What it has written down.
    #[serde(flatten)]
    pub state: RunState,
}

/// How good the certificate is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CertificateStatus {
    /// There is none.
    None,
    /// In the first two thirds of its life.
    Valid,
    /// After that.
    RenewalDue,
    /// Past its end, or its end cannot be read.
    Expired,
}

impl CertificateStatus {
    /// The spelling.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Valid => "valid",
            Self::RenewalDue => "renewal due",
            Self::Expired => "expired",
        }
    }
}

/// How far a renewal on its way has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RenewalStatus {
    /// None is on its way.
    None,
    /// A key has been made and a certificate is being asked for.
    KeyMade,
    /// A certificate has been issued and is not confirmed yet.
    Unconfirmed,
}

impl Status {
    /// The same, with how the agent gets on.
    #[must_use]
    pub fn with_agent(self, file: &StateFile) -> Self {
        let agent = file.read().map(|state| AgentStatus { running: file.is_claimed(), state });
        Self { agent, ..self }
    }

    /// The state that the saved configuration is in.
    #[must_use]
    pub fn of(config: Option<&Config>, now: Timestamp) -> Self {
        let mut status = Self {
            enrolled: false,
            server_url: config.map(|config| config.server.to_string()),
            device_name: None,
            device_id: None,
            agent_id: None,
            certificate: CertificateStatus::None,
            expires: None,
            renewal_at: None,
            renewal: RenewalStatus::None,
            agent: None,
        };
        let Some(enrolment) = config.and_then(|config| config.enrolment.as_ref()) else { return status };
        status.enrolled = true;
        status.device_name = Some(enrolment.name.clone());
        status.device_id = Some(enrolment.device);
        status.agent_id = Some(enrolment.agent);
        let situation = Situation::of(enrolment, Trigger::Clock, Channel::Handshake, 0);
        status.renewal = match situation.stage {
            Stage::Idle => RenewalStatus::None,
            Stage::Key => RenewalStatus::KeyMade,
            Stage::Certificate(_) => RenewalStatus::Unconfirmed,
        };
        if let Some(current) = &enrolment.current {
            let idle = Situation { stage: Stage::Idle, ..situation };
            let is_waiting = matches!(next_step(&idle, now), Step::Wait(_));
            status.expires = Some(current.certificate.expires.clone());
            status.renewal_at = Life::of(&current.certificate).renewal_at(0);
            status.certificate = match (is_expired(&current.certificate, now), is_waiting) {
                (true, _) => CertificateStatus::Expired,
                (false, true) => CertificateStatus::Valid,
                (false, false) => CertificateStatus::RenewalDue,
            };
        }
        status
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_that_has_not_enrolled_has_nothing() {
        let status = Status::of(None, Timestamp::from_secs(0));
        let json = serde_json::to_string(&status).unwrap();
        assert_eq!(json, r#"{"enrolled":false,"certificate":"none","renewal":"none"}"#);
    }
}
