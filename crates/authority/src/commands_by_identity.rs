//! Commands to devices that are known by their certificate alone, as at an MQTT door: the same queue, the same
//! words, no bearer token.

use std::collections::HashSet;
use std::sync::{Arc, Weak};

use countersign_core::identity::Identity;
use countersign_core::ids::{CommandId, DeviceId};
use countersign_core::snapshot::DeviceKey;
use countersign_store::{CommandRow, DeviceRow, StoreError};
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::Notify;

use crate::authority::Authority;
use crate::commands::{CommandReport, OFFERED_AT_ONCE, RecordResultError, ReportedVerdict};

/// Devices for which something was queued, for whoever waits for such.
#[derive(Debug, Default)]
pub(crate) struct Rung {
    /// `None`: nobody waits.
    devices: Mutex<Option<HashSet<DeviceId>>>,
    arrived: Notify,
}

impl Rung {
    pub(crate) fn ring(&self, device: DeviceId) {
        if let Some(devices) = self.devices.lock().as_mut() {
            devices.insert(device);
            self.arrived.notify_one();
        }
    }

    /// From now on somebody waits.
    pub(crate) fn listen(&self) {
        self.devices.lock().get_or_insert_default();
    }

    pub(crate) async fn heard(&self) -> HashSet<DeviceId> {
        loop {
            let devices = self.devices.lock().replace(HashSet::new()).unwrap_or_default();
            if !devices.is_empty() {
                return devices;
            }
            self.arrived.notified().await;
        }
    }
}

/// Everybody who waits for such devices: each hears of all of them.
#[derive(Debug, Default)]
pub(crate) struct Ears(Mutex<Vec<Weak<Rung>>>);

impl Ears {
    pub(crate) fn ring(&self, device: DeviceId) {
        let ears: Vec<Arc<Rung>> = self.0.lock().iter().filter_map(Weak::upgrade).collect();
        ears.iter().for_each(|ear| ear.ring(device));
    }

    /// Whether somebody waits.
    pub(crate) fn are_open(&self) -> bool {
        self.0.lock().iter().any(|ear| ear.strong_count() > 0)
    }

    fn open(&self) -> Ear {
        let rung = Arc::new(Rung::default());
        rung.listen();
        let mut ears = self.0.lock();
        ears.retain(|ear| ear.strong_count() > 0);
        ears.push(Arc::downgrade(&rung));
        Ear(rung)
    }
}

/// Hears of devices for which something was queued, from its beginning on.
#[derive(Debug)]
pub struct Ear(Arc<Rung>);

impl Ear {
    /// Waits until something was queued for devices, and says which.
    pub async fn heard(&self) -> HashSet<DeviceId> {
        self.0.heard().await
    }
}

/// What a device says of a command in a message.
#[derive(Clone, Debug, PartialEq)]
pub struct CommandWord {
    id: CommandId,
    /// `None`: it got it.
    report: Option<CommandReport>,
}

impl CommandWord {
    /// Reads `{"id", "status": "received" | "completed" | "failed", "result"?, "error"?}`.
    ///
    /// # Errors
    /// Says what is wrong.
    pub fn read(payload: &[u8]) -> Result<Self, &'static str> {
        let members: Value = serde_json::from_slice(payload).map_err(|_not_json| "no JSON")?;
        let text = |name: &str| members.get(name).and_then(Value::as_str);
        let id = text("id").and_then(|text| text.parse().ok()).ok_or("id is no id of a command")?;
        let verdict = match text("status") {
            Some("received") => return Ok(Self { id, report: None }),
            Some("completed") => ReportedVerdict::Completed,
            Some("failed") => ReportedVerdict::Failed,
            Some(_) | None => return Err("status is neither received nor completed nor failed"),
        };
        let result = members.get("result").filter(|result| !result.is_null()).cloned();
        let report = CommandReport::new(verdict, result, text("error"))?;
        Ok(Self { id, report: Some(report) })
    }
}

impl Authority {
    /// Hears from now on of devices for which something is queued.
    #[must_use]
    pub fn hear_of_news(&self) -> Ear {
        self.ears.open()
    }

    /// The device, if it is one that may have commands.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn device_for_commands(&self, device: DeviceId) -> Result<Option<DeviceKey>, StoreError> {
        let row = self.store.read(move |r| Box::pin(async move { r.device(device).await })).await?;
        Ok(row.filter(|row| !row.status.is_barred()).map(|row| (row.tenant_slug, row.name)))
    }

    /// What the device of this tenant and name is to be offered now.
    ///
    /// # Errors
    /// When the store fails.
    pub(crate) async fn commands_for(
        &self,
        (tenant, name): &DeviceKey,
    ) -> Result<Vec<CommandRow>, StoreError> {
        let (identity, now) =
            (Identity::new(self.trust_domain().clone(), tenant.clone(), name.clone()), self.now());
        self.store
            .read(move |r| {
                Box::pin(async move {
                    match r.device_by_identity(&identity).await? {
                        Some(device) if !device.status.is_barred() && device.commands_until.is_some() => {
                            r.open_commands(device.id, now, OFFERED_AT_ONCE).await
                        }
                        Some(_) | None => Ok(Vec::new()),
                    }
                })
            })
            .await
    }

    /// Takes what the device of an identity says of a command of its own.
    ///
    /// # Errors
    /// See [`RecordResultError`]. Fails closed: another device's command is unknown.
    pub async fn take_command_word(
        &self,
        identity: Identity,
        word: CommandWord,
    ) -> Result<(), RecordResultError> {
        let found = self.store.read(move |r| Box::pin(async move { r.device_by_identity(&identity).await }));
        let device: DeviceRow = found.await?.ok_or(RecordResultError::Unknown)?;
        match word.report {
            None => Ok(self.deliver((device.id, device.tenant_slug), vec![word.id]).await?),
            Some(report) => self.finish_command((device.id, device.tenant_slug), word.id, report).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_ear_hears_of_every_device_and_one_that_is_gone_of_none() {
        let ears = Ears::default();
        assert!(!ears.are_open());
        let (one, other, device) = (ears.open(), ears.open(), DeviceId::random());
        ears.ring(device);
        assert_eq!(one.heard().await, HashSet::from([device]));
        assert_eq!(other.heard().await, HashSet::from([device]));
        drop((one, other));
        assert!(!ears.are_open());
    }

    #[test]
    fn a_word_is_read_and_nothing_else_is() {
        let id = CommandId::random();
        let word = |rest: &str| CommandWord::read(format!("{{\"id\":\"{id}\"{rest}}}").as_bytes());
        assert_eq!(word(",\"status\":\"received\"").unwrap(), CommandWord { id, report: None });
        assert!(word(",\"status\":\"completed\",\"result\":{\"a\":1}").unwrap().report.is_some());
        assert!(word(",\"status\":\"failed\",\"error\":\"no\"").unwrap().report.is_some());
        assert!(word("").is_err());
        assert!(word(",\"status\":\"done\"").is_err());
        for payload in ["", "[]", "{}", "{\"id\":\"x\",\"status\":\"received\"}"] {
            assert!(CommandWord::read(payload.as_bytes()).is_err(), "{payload}");
        }
    }
}
