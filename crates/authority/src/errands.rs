//! Errands: what a device at an MQTT door is to be told, whichever door that is. Commands, parts of jobs and the
//! state that it is to have, each in the words that go over MQTT.

use std::time::Duration;

use countersign_core::snapshot::DeviceKey;
use countersign_core::time::Timestamp;
use countersign_store::{CommandRow, DesiredState, StoreError};
use serde_json::{Value, json};

use crate::authority::Authority;

/// Where devices hear of commands, below their own prefix.
const COMMANDS: &str = "commands";

/// Where devices hear of their parts of jobs; the job's id follows.
const JOBS: &str = "jobs/";

/// Where devices hear of the state that they are to have.
const DESIRED: &str = "shadow/desired";

/// Something that a device is to be told.
#[derive(Clone, Debug, PartialEq)]
pub struct Errand {
    /// What it is about: of two that say the same it is the same.
    pub about: String,
    /// On which topic, below the device's own prefix.
    pub topic: String,
    /// What it says.
    pub payload: Value,
    /// For how long it is worth telling; `None`: always.
    pub life: Option<Duration>,
}

impl Authority {
    /// What the device of this tenant and name is to be told now.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn errands_for(&self, device: &DeviceKey) -> Result<Vec<Errand>, StoreError> {
        let now = self.now();
        let commands = self.commands_for(device).await?;
        let desired = self.desired_state_for(device).await?;
        Ok(commands.iter().map(|command| told(command, now)).chain(desired.map(wanted)).collect())
    }
}

/// A command in the words that agents hear over other ways.
fn told(command: &CommandRow, now: Timestamp) -> Errand {
    let mut said = json!({
        "id": command.id,
        "type": command.kind,
        "payload": command.payload,
        "createdAt": command.created_at,
        "expiresAt": command.expires_at,
    });
    let topic = match command.job {
        None => COMMANDS.to_owned(),
        Some(job) => {
            if let (Some(members), Some(part)) = (said.as_object_mut(), command.payload.clone()) {
                members.remove("payload");
                members.extend(part.as_object().cloned().unwrap_or_default());
            }
            format!("{JOBS}{job}")
        }
    };
    let life = Some(command.expires_at.since(now));
    Errand { about: format!("command:{}", command.id), topic, payload: said, life }
}

/// The state that a device is to have.
fn wanted(desired: DesiredState) -> Errand {
    let DesiredState { version, state, at } = desired;
    let payload = json!({ "version": version, "desired": state, "at": at });
    Errand { about: format!("desired:{version}"), topic: DESIRED.to_owned(), payload, life: None }
}
