//! Devices as a broker keeps them that has an account for each: all of them, and what became of some.

use std::collections::HashSet;
use std::time::Duration;

use countersign_core::identity::Identity;
use countersign_core::ids::{CertificateRef, DeviceId};
use countersign_store::StoreError;
pub use countersign_store::{BrokeredDevice, Enrolled, Enrolments};

use crate::authority::Authority;

/// How many devices are read at once.
const PART: u32 = 1000;

impl Authority {
    /// From now on [`Self::newcomers`] hears of devices that enrol in this process.
    pub fn expect_newcomers(&self) {
        self.newcomers.listen();
    }

    /// Waits until devices have enrolled, or got their first certificate, and says which. For one caller.
    pub async fn newcomers(&self) -> HashSet<DeviceId> {
        self.newcomers.heard().await
    }

    /// Hears of devices that enrol at any authority of the same database.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn enrolments(&self) -> Result<Enrolments, StoreError> {
        self.store.enrolments().await
    }

    /// Every device, and the epoch up to which that is true.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn brokered_devices(&self) -> Result<(u64, Vec<BrokeredDevice>), StoreError> {
        // What changes while it is read is read again by whoever asks for what changed since.
        let epoch = self.store.read(|r| Box::pin(async move { r.snapshot_version().await })).await?.epoch;
        let (now, mut devices) = (self.now(), Vec::new());
        loop {
            let after = devices.last().map(|last: &BrokeredDevice| last.id);
            let part = self
                .store
                .read(move |r| Box::pin(async move { r.brokered_devices(now, after, PART).await }))
                .await?;
            let is_last = part.len() < PART as usize;
            devices.extend(part);
            if is_last {
                return Ok((epoch, devices));
            }
        }
    }

    /// The devices of which doors had to hear after `epoch`, themselves or because of their tenant, and the
    /// epoch up to which that is true.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn brokered_devices_since(&self, epoch: u64) -> Result<(u64, Vec<BrokeredDevice>), StoreError> {
        let now = self.now();
        self.store
            .read(move |r| {
                Box::pin(async move {
                    let until = r.snapshot_version().await?.epoch;
                    let mut devices = r.brokered_devices_since(now, epoch).await?;
                    devices.extend(r.brokered_devices_of_tenants_since(now, epoch).await?);
                    Ok((until, devices))
                })
            })
            .await
    }

    /// The devices that enrolled within this time, at whatever authority.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn brokered_devices_enrolled_within(
        &self,
        time: Duration,
    ) -> Result<Vec<BrokeredDevice>, StoreError> {
        let now = self.now();
        self.store
            .read(move |r| Box::pin(async move { r.brokered_devices_enrolled_since(now, now - time).await }))
            .await
    }

    /// The certificate that a device got last; `None` when it has none, or is not on record.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn last_certificate_of(
        &self,
        identity: Identity,
    ) -> Result<Option<CertificateRef>, StoreError> {
        let found =
            self.store.read(move |r| Box::pin(async move { r.device_by_identity(&identity).await })).await?;
        let last = found.and_then(|device| device.certificate);
        Ok(last.and_then(|last| Some(CertificateRef { issuer: last.issuer?, serial: last.serial })))
    }

    /// These devices.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn brokered(&self, ids: HashSet<DeviceId>) -> Result<Vec<BrokeredDevice>, StoreError> {
        let now = self.now();
        self.store
            .read(move |r| {
                Box::pin(async move {
                    let mut devices = Vec::with_capacity(ids.len());
                    for id in ids {
                        devices.extend(r.brokered_device(now, id).await?);
                    }
                    Ok(devices)
                })
            })
            .await
    }
}
