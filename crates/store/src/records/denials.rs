//! What a denied device leaves behind: its key is refused everywhere, its traits make look-alikes wait.

use countersign_core::ids::{DeviceId, DeviceName, SpkiSha256, Tenant, TenantId};
use countersign_core::time::Timestamp;

use super::LIST_LIMIT;
use super::cursor::Cursor;
use super::spelled::spelled_enum;
use crate::error::StoreError;
use crate::row::{FromRow, Item, Number, Row};
use crate::statement::{Conditions, sql};
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

/// A key that is denied, with what people know it by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedDeniedKey {
    /// The key.
    pub spki: SpkiSha256,
    /// The tenant of the device that was denied.
    pub tenant: Tenant,
    /// The device that was denied.
    pub device: DeviceId,
    /// Its name.
    pub device_name: DeviceName,
    /// When.
    pub at: Timestamp,
}

/// A host name or hardware serial that makes new devices of its tenant wait for approval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeniedTraitRow {
    /// Where.
    pub tenant: Tenant,
    /// Of which kind.
    pub kind: TraitKind,
    /// In lower case.
    pub value: String,
}

/// Which denied keys a list is about.
#[derive(Clone, Debug, Default)]
pub struct DeniedKeyFilter {
    /// The only tenant; `None`: all.
    pub tenant: Option<TenantId>,
    /// The only device.
    pub device: Option<DeviceId>,
    /// How many at most: 1 to [`LIST_LIMIT`].
    pub limit: u32,
    /// Where the page before ended.
    pub after: Option<Cursor<SpkiSha256>>,
}

/// A page of denied keys, latest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeniedKeyPage {
    /// The keys.
    pub keys: Vec<ListedDeniedKey>,
    /// Where the next page begins; `None`: this was the last.
    pub next: Option<Cursor<SpkiSha256>>,
}

impl FromRow for DeniedKeyRow {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            spki: row.parsed("spki_sha256")?,
            tenant: row.parsed("org_id")?,
            device: row.parsed("device_id")?,
            at: row.time("at")?,
        })
    }
}

impl FromRow for ListedDeniedKey {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            spki: row.parsed("spki_sha256")?,
            tenant: row.parsed("slug")?,
            device: row.parsed("device_id")?,
            device_name: row.parsed("name")?,
            at: row.time("at")?,
        })
    }
}

impl FromRow for DeniedTraitRow {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self { tenant: row.parsed("slug")?, kind: row.parsed("kind")?, value: row.text("value")? })
    }
}

impl Reading<'_> {
    /// The denial of a key, if it is denied.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn denied_key(&mut self, spki: SpkiSha256) -> Result<Option<DeniedKeyRow>, StoreError> {
        sql(
            KEYS,
            "SELECT spki_sha256, org_id, device_id, at FROM denied_keys
             WHERE spki_sha256 = $1 AND lifted_at IS NULL",
        )
        .bind(spki)
        .optional(&mut self.connection)
        .await
    }

    /// A page of the denied keys that match.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn list_denied_keys(&mut self, filter: &DeniedKeyFilter) -> Result<DeniedKeyPage, StoreError> {
        let limit = filter.limit.clamp(1, LIST_LIMIT);
        let mut keys: Vec<ListedDeniedKey> = Conditions::none()
            .and("k.org_id = ?", filter.tenant)
            .and("k.device_id = ?", filter.device)
            .and_pair("(k.at, k.spki_sha256) < (?, ?)", filter.after.map(|cursor| (cursor.at, cursor.id)))
            .select(
                KEYS,
                "SELECT k.spki_sha256, t.slug, k.device_id, d.name, k.at FROM denied_keys k
                 JOIN tenants t ON t.id = k.org_id
                 JOIN devices d ON d.id = k.device_id AND k.lifted_at IS NULL",
                "ORDER BY k.at DESC, k.spki_sha256 DESC",
                limit + 1,
            )
            .all(&mut self.connection)
            .await?;
        let more = keys.len() > limit as usize;
        keys.truncate(limit as usize);
        let next = keys.last().filter(|_last| more).map(|last| Cursor { at: last.at, id: last.spki });
        Ok(DeniedKeyPage { keys, next })
    }

    /// The traits that make new devices wait, by tenant; at most [`LIST_LIMIT`].
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn list_denied_traits(
        &mut self,
        tenant: Option<TenantId>,
    ) -> Result<Vec<DeniedTraitRow>, StoreError> {
        Conditions::none()
            .and("n.org_id = ?", tenant)
            .select(
                TRAITS,
                "SELECT t.slug, n.kind, n.value FROM denied_traits n JOIN tenants t ON t.id = n.org_id",
                "ORDER BY t.slug, n.kind, n.value",
                LIST_LIMIT,
            )
            .all(&mut self.connection)
            .await
    }

    /// Every key that proves nothing ever again: those of denied devices, and those of revoked
    /// certificates, even of such as have ended since.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn denied_keys(&mut self) -> Result<Vec<SpkiSha256>, StoreError> {
        let keys: Vec<Item<SpkiSha256>> = sql(
            KEYS,
            "SELECT spki_sha256 AS item FROM denied_keys WHERE lifted_at IS NULL
             UNION SELECT spki_sha256 AS item FROM revocations WHERE spki_sha256 IS NOT NULL",
        )
        .all(&mut self.connection)
        .await?;
        Ok(keys.into_iter().map(|Item(key)| key).collect())
    }

    /// Whether the key was denied.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn is_key_denied(&mut self, spki: SpkiSha256) -> Result<bool, StoreError> {
        let Number(found) = sql(
            KEYS,
            "SELECT count(*) AS number FROM denied_keys WHERE spki_sha256 = $1 AND lifted_at IS NULL",
        )
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
             ON CONFLICT (spki_sha256) DO UPDATE SET org_id = excluded.org_id,
                 device_id = excluded.device_id, at = excluded.at, lifted_at = NULL
             WHERE denied_keys.lifted_at IS NOT NULL",
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

    /// Denies a key no more; `false` when it is not denied. A revoked certificate's key proves nothing
    /// nevertheless.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn lift_denied_key(&mut self, spki: SpkiSha256, at: Timestamp) -> Result<bool, StoreError> {
        sql(KEYS, "UPDATE denied_keys SET lifted_at = $2 WHERE spki_sha256 = $1 AND lifted_at IS NULL")
            .bind(spki)
            .bind(at)
            .changed(&mut self.connection)
            .await
    }

    /// Holds a trait against new devices no more; `false` when it is not.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn remove_denied_trait(
        &mut self,
        tenant: TenantId,
        kind: TraitKind,
        value: &str,
    ) -> Result<bool, StoreError> {
        sql(TRAITS, "DELETE FROM denied_traits WHERE org_id = $1 AND kind = $2 AND value = $3")
            .bind(tenant)
            .bind(kind)
            .bind(normalised(value))
            .changed(&mut self.connection)
            .await
    }
}

/// A trait without its case and surrounding space.
pub(super) fn normalised(value: &str) -> String {
    value.trim().to_lowercase()
}
