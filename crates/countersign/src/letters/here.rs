//! What there is for devices, from the authority in this process.

use std::collections::HashSet;
use std::sync::Arc;

use anyhow::Context as _;
use countersign_authority::Authority;
use countersign_authority::commands::Ear;
use countersign_authority::errands::Errand;
use countersign_core::ids::DeviceId;
use countersign_core::snapshot::DeviceKey;

use super::offers::{Source, Whom};

/// The authority in this process.
#[derive(Debug)]
pub(crate) struct Here {
    authority: Arc<Authority>,
    ear: Ear,
}

impl Here {
    /// This authority.
    pub(crate) fn new(authority: Arc<Authority>) -> Self {
        Self { ear: authority.hear_of_news(), authority }
    }
}

impl Source for Here {
    type News = HashSet<DeviceId>;

    async fn news(&self) -> Self::News {
        self.ear.heard().await
    }

    async fn whom(&self, devices: Self::News) -> Whom {
        let mut keys = Vec::with_capacity(devices.len());
        for device in devices {
            match self.authority.device_for_commands(device).await {
                Ok(key) => keys.extend(key),
                Err(error) => tracing::error!(%device, %error, "device not told over MQTT"),
            }
        }
        Whom::These(keys)
    }

    async fn errands(&self, devices: &[DeviceKey]) -> anyhow::Result<Vec<Vec<Errand>>> {
        let mut all = Vec::with_capacity(devices.len());
        for device in devices {
            all.push(self.authority.errands_for(device).await.context("look up what there is for a device")?);
        }
        Ok(all)
    }
}
