//! Rotations of CAs.

use std::time::Duration;

use countersign_core::ids::{DeviceId, IssuerKeyId, RotationId};
use countersign_core::rotation::{Canary, RenewalCall, RotationStep};
use countersign_core::time::Timestamp;

use crate::error::StoreError;
use crate::row::{FromRow, Item, Row};
use crate::rows::Rows;
use crate::statement::sql;
use crate::transaction::{Reading, Writing};

const TABLE: &str = "ca_rotations";

/// The rotation of a CA.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RotationRow {
    /// Its id.
    pub id: RotationId,
    /// The CA that is replaced.
    pub old: IssuerKeyId,
    /// The one that comes in its place.
    pub new: IssuerKeyId,
    /// How far it is.
    pub step: RotationStep,
    /// Who goes first; at the step canary alone.
    pub canary: Option<Canary>,
    /// When the new CA was made.
    pub prepared_at: Timestamp,
    /// The epoch from which on doors trust it.
    pub prepared_epoch: u64,
    /// When it began to sign for all, the last time.
    pub activated_at: Option<Timestamp>,
    /// When it was over.
    pub ended_at: Option<Timestamp>,
    /// When devices at the other CA are asked to follow.
    pub renewal: Option<RenewalCall>,
}

impl FromRow for RotationRow {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        let renewal = match row.optional_time("renew_from")? {
            None => None,
            Some(from) => Some(RenewalCall { from, over: Duration::from_millis(row.number("renew_over")?) }),
        };
        Ok(Self {
            id: row.parsed("id")?,
            old: row.parsed("old_key_id")?,
            new: row.parsed("new_key_id")?,
            step: row.parsed("step")?,
            canary: row.optional_parsed("canary")?,
            prepared_at: row.time("prepared_at")?,
            prepared_epoch: row.number("prepared_epoch")?,
            activated_at: row.optional_time("activated_at")?,
            ended_at: row.optional_time("ended_at")?,
            renewal,
        })
    }
}

impl RotationRow {
    fn renew_over(&self) -> Option<u64> {
        self.renewal.map(|call| u64::try_from(call.over.as_millis()).unwrap_or(u64::MAX))
    }
}

impl Reading<'_> {
    /// Every rotation that goes on, oldest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn open_rotations(&mut self) -> Result<Vec<RotationRow>, StoreError> {
        sql(
            TABLE,
            "SELECT * FROM ca_rotations WHERE step IN ('prepared', 'canary', 'active')
             ORDER BY prepared_at, id LIMIT 1000",
        )
        .all(&mut self.connection)
        .await
    }

    /// The rotation that a CA goes through, as the old or as the new one; without one that goes on, the
    /// latest.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn rotation_of(&mut self, issuer: IssuerKeyId) -> Result<Option<RotationRow>, StoreError> {
        sql(
            TABLE,
            "SELECT * FROM ca_rotations WHERE old_key_id = $1 OR new_key_id = $1
             ORDER BY CASE WHEN step IN ('prepared', 'canary', 'active') THEN 0 ELSE 1 END,
                 prepared_at DESC, id LIMIT 1",
        )
        .bind(issuer)
        .optional(&mut self.connection)
        .await
    }

    /// The devices that were chosen to go first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn rotation_devices(&mut self, rotation: RotationId) -> Result<Vec<DeviceId>, StoreError> {
        let devices: Vec<Item<DeviceId>> = sql(
            "ca_rotation_devices",
            "SELECT device_id AS item FROM ca_rotation_devices WHERE rotation_id = $1 ORDER BY device_id",
        )
        .bind(rotation)
        .all(&mut self.connection)
        .await?;
        Ok(devices.into_iter().map(|Item(device)| device).collect())
    }

    /// So many devices with a certificate of a CA, those first that were seen last.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn devices_to_go_first(
        &mut self,
        issuer: IssuerKeyId,
        count: u32,
    ) -> Result<Vec<DeviceId>, StoreError> {
        let devices: Vec<Item<DeviceId>> = sql(
            "devices",
            "SELECT id AS item FROM devices
             WHERE certificate_issuer = $1 AND last_seen_at IS NOT NULL
                 AND status NOT IN ('quarantined', 'decommissioned')
             ORDER BY last_seen_at DESC, id LIMIT $2",
        )
        .bind(issuer)
        .bind(count)
        .all(&mut self.connection)
        .await?;
        Ok(devices.into_iter().map(|Item(device)| device).collect())
    }
}

impl Writing<'_> {
    /// Records a rotation.
    ///
    /// # Errors
    /// [`StoreError`], also when another one of the same CA goes on.
    pub async fn insert_rotation(&mut self, row: &RotationRow) -> Result<(), StoreError> {
        sql(
            TABLE,
            "INSERT INTO ca_rotations (id, old_key_id, new_key_id, step, canary, prepared_at,
                 prepared_epoch, activated_at, ended_at, renew_from, renew_over)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        )
        .bind(row.id)
        .bind(row.old)
        .bind(row.new)
        .bind(row.step)
        .bind(row.canary.as_ref())
        .bind(row.prepared_at)
        .bind(row.prepared_epoch)
        .bind(row.activated_at)
        .bind(row.ended_at)
        .bind(row.renewal.map(|call| call.from))
        .bind(row.renew_over())
        .run(&mut self.connection)
        .await
        .map(|_one| ())
    }

    /// Moves a rotation on to what `row` says; `false` when it is not at the step `from` any more. Of its
    /// beginning nothing changes.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn move_rotation(&mut self, row: &RotationRow, from: RotationStep) -> Result<bool, StoreError> {
        sql(
            TABLE,
            "UPDATE ca_rotations SET step = $3, canary = $4, activated_at = $5, ended_at = $6,
                 renew_from = $7, renew_over = $8
             WHERE id = $1 AND step = $2",
        )
        .bind(row.id)
        .bind(from)
        .bind(row.step)
        .bind(row.canary.as_ref())
        .bind(row.activated_at)
        .bind(row.ended_at)
        .bind(row.renewal.map(|call| call.from))
        .bind(row.renew_over())
        .changed(&mut self.connection)
        .await
    }

    /// Replaces the devices that go first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn set_rotation_devices(
        &mut self,
        rotation: RotationId,
        devices: &[DeviceId],
    ) -> Result<(), StoreError> {
        const CHOSEN: &str = "ca_rotation_devices";
        sql(CHOSEN, "DELETE FROM ca_rotation_devices WHERE rotation_id = $1")
            .bind(rotation)
            .run(&mut self.connection)
            .await?;
        let mut rows = Rows::of(CHOSEN, &["rotation_id", "device_id"]);
        for device in devices {
            rows.add([rotation.into(), (*device).into()]);
        }
        rows.insert(&mut self.connection, "").await.map(|_written| ())
    }
}
