//! What a device is told to do, how it says what came of it, and the frames of its WebSocket.

use countersign_core::ids::CommandId;
use countersign_core::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::schema;

/// The longest frame on an agent's WebSocket, and the longest result of a command, in bytes.
pub const FRAME_LIMIT: usize = 64 * 1024;

/// Why the control plane closes an agent's WebSocket.
pub mod close {
    /// The device is not authorised any more: revoked, denied, decommissioned, token replaced.
    pub const UNAUTHORIZED: u16 = 4001;
    /// A newer connection of the same device has taken its place.
    pub const SUPERSEDED: u16 = 4002;
    /// No pong came in time.
    pub const PONG_TIMEOUT: u16 = 4008;
    /// The device is quarantined.
    pub const QUARANTINED: u16 = 4041;
}

/// A command. It is offered again until its result is recorded or it expires.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Command {
    /// Which command.
    #[schema(value_type = uuid::Uuid)]
    pub id: CommandId,
    /// `ping`, `renew_certificate`, `refresh_config`, `collect_facts` or `rotate_token`; an agent
    /// answers one that it does not know as failed.
    #[serde(rename = "type")]
    #[schema(value_type = schema::CommandType)]
    pub kind: String,
    /// What the type asks for, or null.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub payload: Option<serde_json::Value>,
    /// When it was queued.
    #[schema(value_type = schema::Moment)]
    pub created_at: Timestamp,
    /// Until when it is offered.
    #[schema(value_type = schema::Moment)]
    pub expires_at: Timestamp,
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CommandStatus {
    /// It was carried out.
    Completed,
    /// It was not.
    Failed,
}

/// POST `/agents/:agentId/commands/:id/result`. The first result counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CommandResult {
    /// How it ended.
    pub status: CommandStatus,
    /// What came of it: any JSON, at most 64 KiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Value, required = false)]
    pub result: Option<serde_json::Value>,
    /// Why it failed; kept up to 4,096 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// A frame from the control plane. Both sides ignore types that they do not know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ToAgent {
    /// Carry this out.
    Command {
        /// The command.
        command: Command,
    },
    /// The result is stored: do not repeat it.
    Recorded {
        /// Whose result.
        id: CommandId,
    },
    /// A newer control plane's word.
    #[serde(other)]
    Unknown,
}

/// A frame from an agent. Both sides ignore types that they do not know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum FromAgent {
    /// The command has arrived.
    Ack {
        /// Which command.
        id: CommandId,
    },
    /// What came of a command.
    Result {
        /// Which command.
        id: CommandId,
        /// What came of it.
        #[serde(flatten)]
        result: CommandResult,
    },
    /// A newer agent's word.
    #[serde(other)]
    Unknown,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn frames_are_spelt_as_agreed() {
        let id = CommandId::random();
        let command = Command {
            id,
            kind: "ping".to_owned(),
            payload: None,
            created_at: Timestamp::from_secs(0),
            expires_at: Timestamp::from_secs(60),
        };
        let wire = json!({
            "type": "command",
            "command": {
                "id": id, "type": "ping", "payload": null,
                "createdAt": "1970-01-01T00:00:00Z", "expiresAt": "1970-01-01T00:01:00Z",
            },
        });
        assert_eq!(serde_json::to_value(ToAgent::Command { command }).unwrap(), wire);
        let result = CommandResult { status: CommandStatus::Completed, result: Some(json!(1)), error: None };
        let frame = FromAgent::Result { id, result };
        let wire = json!({ "type": "result", "id": id, "status": "completed", "result": 1 });
        assert_eq!(serde_json::to_value(&frame).unwrap(), wire);
        assert_eq!(serde_json::from_value::<FromAgent>(wire).unwrap(), frame);
    }

    #[test]
    fn a_word_that_is_not_known_is_no_error() {
        let frame = json!({ "type": "upgrade", "to": "2.0" });
        assert_eq!(serde_json::from_value::<ToAgent>(frame.clone()).unwrap(), ToAgent::Unknown);
        assert_eq!(serde_json::from_value::<FromAgent>(frame).unwrap(), FromAgent::Unknown);
    }
}
