//! Commands to devices at the MQTT door's hub: offered once they are queued, and again whenever a device
//! subscribes, until it says what came of them.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use countersign_authority::Authority;
use countersign_authority::commands::CommandRow;
use countersign_core::ids::CommandId;
use countersign_core::snapshot::DeviceKey;
use countersign_edge::mqtt::{Hub, Layout};
use serde_json::json;

/// Where devices hear of commands, below their own prefix.
const COMMANDS: &str = "commands";

/// Offers commands for ever.
pub(super) async fn offer(authority: Arc<Authority>, hub: Arc<Hub>, layout: Layout) {
    let mut offers = Offers { authority, hub, layout, offered: HashMap::new() };
    loop {
        let told = tokio::select! {
            devices = offers.authority.devices_with_news() => Told::Queued(devices),
            device = offers.hub.next_listener() => Told::Listens(device),
        };
        if let Err(error) = offers.hear(told).await {
            tracing::error!(%error, "commands not offered over MQTT");
        }
    }
}

enum Told {
    Queued(HashSet<countersign_core::ids::DeviceId>),
    Listens(DeviceKey),
}

struct Offers {
    authority: Arc<Authority>,
    hub: Arc<Hub>,
    layout: Layout,
    /// What devices were offered since they last subscribed.
    offered: HashMap<DeviceKey, HashSet<CommandId>>,
}

impl Offers {
    async fn hear(&mut self, told: Told) -> Result<(), countersign_store::StoreError> {
        match told {
            Told::Listens(device) => {
                self.offered.remove(&device);
                self.offer(device).await
            }
            Told::Queued(devices) => {
                for device in devices {
                    if let Some(device) = self.authority.device_for_commands(device).await? {
                        self.offer(device).await?;
                    }
                }
                Ok(())
            }
        }
    }

    async fn offer(&mut self, device: DeviceKey) -> Result<(), countersign_store::StoreError> {
        let open = self.authority.commands_for(&device).await?;
        let known = self.offered.remove(&device).unwrap_or_default();
        let mut offered = HashSet::new();
        let topic = format!("{}{COMMANDS}", self.layout.prefix_of(&device));
        for command in &open {
            let is_offered = known.contains(&command.id)
                || self.hub.send(&device, &topic, payload(command).as_bytes()) > 0;
            if is_offered {
                offered.insert(command.id);
            }
        }
        if !offered.is_empty() {
            self.offered.insert(device, offered);
        }
        Ok(())
    }
}

/// A command in the words that agents hear over other ways.
fn payload(command: &CommandRow) -> String {
    json!({
        "id": command.id,
        "type": command.kind,
        "payload": command.payload,
        "expiresAt": command.expires_at,
    })
    .to_string()
}
