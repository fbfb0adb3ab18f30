//! What devices at the MQTT door are told: commands, parts of jobs and the state that they are to have. Offered
//! once it is there, and again whenever a device begins to listen, until the device says what came of it.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use countersign_authority::Authority;
use countersign_authority::commands::CommandRow;
use countersign_authority::shadows::DesiredState;
use countersign_core::ids::{CommandId, DeviceId};
use countersign_core::snapshot::DeviceKey;
use countersign_core::time::Timestamp;
use countersign_edge::mqtt::{Layout, Letter, Listeners, MqttUpstream, PostError, Posted};
use countersign_store::StoreError;
use serde_json::json;
use thiserror::Error;
use tokio::time::{Instant, MissedTickBehavior};

/// Where devices hear of commands, below their own prefix.
const COMMANDS: &str = "commands";

/// Where devices hear of their parts of jobs; the job's id follows.
const JOBS: &str = "jobs/";

/// Where devices hear of the state that they are to have.
const DESIRED: &str = "shadow/desired";

/// How long the broker may take to take what there is for one device.
const PATIENCE: Duration = Duration::from_secs(5);

/// After how long it is tried again where a broker or the database failed.
const AGAIN: Duration = Duration::from_secs(5);

/// Something was not offered.
#[derive(Debug, Error)]
enum OfferError {
    #[error("look up what there is for a device")]
    Store(#[from] StoreError),
    #[error("deliver to a device")]
    Post(#[from] PostError),
}

/// Offers for ever.
pub(super) async fn offer(
    authority: Arc<Authority>,
    (upstream, layout): (MqttUpstream, Layout),
    listeners: Arc<Listeners>,
) {
    let (offered, failed) = (HashMap::new(), BTreeSet::new());
    let mut offers = Offers { authority, upstream, layout, offered, failed };
    let mut again = tokio::time::interval_at(Instant::now() + AGAIN, AGAIN);
    again.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            devices = offers.authority.devices_with_news() => offers.queued(devices).await,
            device = listeners.next() => {
                offers.offered.remove(&device);
                offers.offer_or_note(device).await;
            }
            _tick = again.tick() => {
                for device in std::mem::take(&mut offers.failed) {
                    offers.offer_or_note(device).await;
                }
            }
        }
    }
}

/// What a device was offered since it began to listen.
#[derive(Default)]
struct Offered {
    commands: HashSet<CommandId>,
    desired: Option<u64>,
}

/// What a letter is about.
enum Subject {
    Command(CommandId),
    Desired(u64),
}

struct Offers {
    authority: Arc<Authority>,
    upstream: MqttUpstream,
    layout: Layout,
    offered: HashMap<DeviceKey, Offered>,
    /// Devices at which it failed.
    failed: BTreeSet<DeviceKey>,
}

impl Offers {
    async fn queued(&mut self, devices: HashSet<DeviceId>) {
        for device in devices {
            match self.authority.device_for_commands(device).await {
                Ok(Some(device)) => self.offer_or_note(device).await,
                Ok(None) => {}
                Err(error) => tracing::error!(%device, %error, "device not told over MQTT"),
            }
        }
    }

    async fn offer_or_note(&mut self, device: DeviceKey) {
        if let Err(error) = self.offer(&device).await {
            let reason = std::error::Error::source(&error).map(tracing::field::display);
            tracing::error!(tenant = %device.0, device = %device.1, %error, reason, "device not told over MQTT");
            self.failed.insert(device);
        }
    }

    async fn offer(&mut self, device: &DeviceKey) -> Result<(), OfferError> {
        let now = self.authority.now();
        let open = self.authority.commands_for(device).await?;
        let desired = self.authority.desired_state_for(device).await?;
        let mut known = self.offered.remove(device).unwrap_or_default();
        known.commands.retain(|id| open.iter().any(|command| command.id == *id));
        let prefix = self.layout.prefix_of(device);
        let fresh = open.iter().filter(|command| !known.commands.contains(&command.id));
        let mut letters: Vec<(Subject, Letter)> =
            fresh.map(|command| (Subject::Command(command.id), letter(&prefix, command, now))).collect();
        if let Some(desired) = desired.filter(|desired| known.desired != Some(desired.version)) {
            letters.push((Subject::Desired(desired.version), wanted(&prefix, &desired)));
        }
        let (subjects, letters): (Vec<Subject>, Vec<Letter>) = letters.into_iter().unzip();
        let posted = self.upstream.post(device, &letters, PATIENCE).await?;
        for (subject, posted) in subjects.into_iter().zip(posted) {
            match (subject, posted) {
                (_, Posted::Unheard) => {}
                (Subject::Command(id), Posted::Taken) => {
                    known.commands.insert(id);
                }
                (Subject::Desired(version), Posted::Taken) => known.desired = Some(version),
            }
        }
        if !known.commands.is_empty() || known.desired.is_some() {
            self.offered.insert(device.clone(), known);
        }
        Ok(())
    }
}

/// A command in the words that agents hear over other ways.
fn letter(prefix: &str, command: &CommandRow, now: Timestamp) -> Letter {
    let mut said = json!({
        "id": command.id,
        "type": command.kind,
        "payload": command.payload,
        "createdAt": command.created_at,
        "expiresAt": command.expires_at,
    });
    let topic = match command.job {
        None => format!("{prefix}{COMMANDS}"),
        Some(job) => {
            if let (Some(members), Some(part)) = (said.as_object_mut(), command.payload.clone()) {
                members.remove("payload");
                members.extend(part.as_object().cloned().unwrap_or_default());
            }
            format!("{prefix}{JOBS}{job}")
        }
    };
    let life = Some(command.expires_at.since(now));
    Letter { topic, payload: said.to_string().into_bytes(), life }
}

/// The state that a device is to have.
fn wanted(prefix: &str, desired: &DesiredState) -> Letter {
    let said = json!({ "version": desired.version, "desired": desired.state, "at": desired.at });
    Letter { topic: format!("{prefix}{DESIRED}"), payload: said.to_string().into_bytes(), life: None }
}
