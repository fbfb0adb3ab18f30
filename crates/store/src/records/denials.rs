//! What a denied device leaves behind: its key is refused everywhere, its traits make look-alikes wait.

use countersign_core::ids::{DeviceId, SpkiSha256, TenantId};
use countersign_core::time::Timestamp;

use super::spelled::spelled_enum;
use crate::error::StoreError;
use crate::row::{Item, Number};
use crate::statement::sql;
use crate::transaction::{Reading, Writing};

const KEYS: &str = "denied_keys";
const TRAITS: &str = "denied_traits";

spelled_enum! {
    /// By what a denied device may be known again.
    TraitKind {
        /// Its host name.
        Hostname => "hostname",
        /// Its hardware's serial number.
        HardwareSerial => "hardware_serial",
    }
}

/// A key that is refused everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeniedKeyRow {
    /// The key.
    pub spki: SpkiSha256,
    /// The tenant of the device that was denied.
    pub tenant: TenantId,
    /// The device that was denied.
    pub device: DeviceId,
    /// When.
    pub at: Timestamp,
}

impl Reading<'_> {
    /// Every key that proves nothing ever again: those of denied devices, and those of revoked
    /// certificates, even of such as have ended since.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn denied_keys(&mut self) -> Result<Vec<SpkiSha256>, StoreError> {
        let keys: Vec<Item<SpkiSha256>> = sql(
            KEYS,
            "SELECT spki_sha256 AS item FROM denied_keys
             UNION SELECT spki_sha256 AS item FROM revocations WHERE spki_sha256 IS NOT NULL",
        )
        .all(&mut self.connection)
        .await?;
        Ok(keys.into_iter().map(|Item(key)| key).collect())
    }

    /// The keys that were denied because of one device.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn denied_keys_of(&mut self, device: DeviceId) -> Result<Vec<SpkiSha256>, StoreError> {
        let keys: Vec<Item<SpkiSha256>> =
            sql(KEYS, "SELECT spki_sha256 AS item FROM denied_keys WHERE device_id = $1")
                .bind(device)
                .all(&mut self.connection)
                .await?;
        Ok(keys.into_iter().map(|Item(key)| key).collect())
    }

    /// Whether the key was denied.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn is_key_denied(&mut self, spki: SpkiSha256) -> Result<bool, StoreError> {
        let Number(found) = sql(KEYS, "SELECT count(*) AS number FROM denied_keys WHERE spki_sha256 = $1")
            .bind(spki)
            .one(&mut self.connection)
            .await?;
        Ok(found > 0)
    }
}

impl Writing<'_> {
    /// Denies a key; without effect when it is denied already.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn insert_denied_key(&mut self, key: &DeniedKeyRow) -> Result<(), StoreError> {
        sql(
            KEYS,
            "INSERT INTO denied_keys (spki_sha256, org_id, device_id, at) VALUES ($1, $2, $3, $4)
             ON CONFLICT (spki_sha256) DO NOTHING",
        )
        .bind(key.spki)
        .bind(key.tenant)
        .bind(key.device)
        .bind(key.at)
        .run(&mut self.connection)
        .await
        .map(|_one| ())
    }

    /// Remembers a trait of a denied device, whatever its case and surrounding space. Which values
    /// mean nothing (placeholders) is for the caller to know.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn insert_denied_trait(
        &mut self,
        tenant: TenantId,
        kind: TraitKind,
        value: &str,
    ) -> Result<(), StoreError> {
        sql(
            TRAITS,
            "INSERT INTO denied_traits (org_id, kind, value) VALUES ($1, $2, $3)
             ON CONFLICT (org_id, kind, value) DO NOTHING",
        )
        .bind(tenant)
        .bind(kind)
        .bind(normalised(value))
        .run(&mut self.connection)
        .await
        .map(|_one| ())
    }
}

/// A trait without its case and surrounding space.
pub(super) fn normalised(value: &str) -> String {
    value.trim().to_lowercase()
}
