//! Commands as people queue them and see what came of them.

use countersign_core::command::{CommandKind, CommandState};
use countersign_core::ids::CommandId;
use countersign_core::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::schema;

/// POST `/devices/:id/commands`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CommandRequest {
    /// What the device is asked to do.
    #[serde(rename = "type")]
    #[schema(value_type = schema::CommandForPeople)]
    pub kind: CommandKind,
    /// The particulars, at most 16 KiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub payload: Option<Value>,
}

/// A command was queued.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
pub struct CommandQueued {
    /// Its id.
    #[schema(value_type = uuid::Uuid)]
    pub id: CommandId,
}

/// A command, and what came of it.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CommandBody {
    /// Its id.
    #[schema(value_type = uuid::Uuid)]
    pub id: CommandId,
    /// What the device is asked to do.
    #[serde(rename = "type")]
    #[schema(value_type = schema::CommandType)]
    pub kind: CommandKind,
    /// Where it stands.
    #[schema(value_type = schema::CommandState)]
    pub status: CommandState,
    /// The particulars.
    #[schema(value_type = Option<Object>)]
    pub payload: Option<Value>,
    /// When it was queued.
    #[schema(value_type = schema::Moment)]
    pub created_at: Timestamp,
    /// Until when it is offered to the device.
    #[schema(value_type = schema::Moment)]
    pub expires_at: Timestamp,
    /// When the device first got it.
    #[schema(value_type = Option<schema::Moment>)]
    pub delivered_at: Option<Timestamp>,
    /// When its result came, or its time had passed.
    #[schema(value_type = Option<schema::Moment>)]
    pub finished_at: Option<Timestamp>,
    /// What came of it, in the device's words.
    #[schema(value_type = Value)]
    pub result: Option<Value>,
    /// Why it failed, in the device's words.
    pub error: Option<String>,
}

/// One page of a device's commands, newest first.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CommandList {
    /// The commands.
    pub commands: Vec<CommandBody>,
    /// Where the next page begins; null: this was the last.
    pub next_cursor: Option<String>,
}
