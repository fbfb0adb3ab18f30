//! The state that devices are to have, and the one they say they have.

use countersign_core::ids::DeviceId;
use countersign_core::time::Timestamp;
use serde_json::Value as Json;

use super::LIST_LIMIT;
use crate::error::StoreError;
use crate::row::{FromRow, Item, Number, Row};
use crate::statement::sql;
use crate::transaction::{Reading, Writing};

const TABLE: &str = "device_shadows";

/// The state that a device is to have.
#[derive(Clone, Debug, PartialEq)]
pub struct DesiredState {
    /// Counts up with each change.
    pub version: u64,
    /// What is wanted.
    pub state: Json,
    /// Since when.
    pub at: Timestamp,
}

/// The state that a device says it has.
#[derive(Clone, Debug, PartialEq)]
pub struct ReportedState {
    /// The version of the wanted state that it goes by, if it says so.
    pub version: Option<u64>,
    /// In its own words.
    pub state: Json,
    /// When it said so.
    pub at: Timestamp,
}

/// Both of a device.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ShadowRow {
    /// What is wanted; `None`: nothing was ever.
    pub desired: Option<DesiredState>,
    /// What it says; `None`: nothing yet.
    pub reported: Option<ReportedState>,
}

impl FromRow for ShadowRow {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        let desired = match (row.optional_parsed("desired")?, row.optional_time("desired_at")?) {
            (Some(state), Some(at)) => {
                Some(DesiredState { version: row.number("desired_version")?, state, at })
            }
            (None, _) | (_, None) => None,
        };
        let version = row.optional_integer("reported_version")?.and_then(|number| u64::try_from(number).ok());
        let reported = match (row.optional_parsed("reported")?, row.optional_time("reported_at")?) {
            (Some(state), Some(at)) => Some(ReportedState { version, state, at }),
            (None, _) | (_, None) => None,
        };
        Ok(Self { desired, reported })
    }
}

impl Reading<'_> {
    /// What is on record of a device; empty when there is nothing.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn shadow(&mut self, device: DeviceId) -> Result<ShadowRow, StoreError> {
        let found: Option<ShadowRow> = sql(TABLE, "SELECT * FROM device_shadows WHERE device_id = $1")
            .bind(device)
            .optional(&mut self.connection)
            .await?;
        Ok(found.unwrap_or_default())
    }

    /// Devices whose wanted state changed after a moment; at most [`LIST_LIMIT`], the latest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn devices_desired_since(&mut self, since: Timestamp) -> Result<Vec<DeviceId>, StoreError> {
        let ids: Vec<Item<DeviceId>> = sql(
            TABLE,
            "SELECT device_id AS item FROM device_shadows WHERE desired_at > $1
             ORDER BY desired_at DESC LIMIT $2",
        )
        .bind(since)
        .bind(LIST_LIMIT)
        .all(&mut self.connection)
        .await?;
        Ok(ids.into_iter().map(|Item(id)| id).collect())
    }
}

impl Writing<'_> {
    /// Records the state that a device is to have, and says which version it is.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn desire(&mut self, device: DeviceId, state: &Json, at: Timestamp) -> Result<u64, StoreError> {
        let Number(version) = sql(
            TABLE,
            "INSERT INTO device_shadows (device_id, desired, desired_version, desired_at)
             VALUES ($1, $2, 1, $3)
             ON CONFLICT (device_id) DO UPDATE SET desired = excluded.desired,
                 desired_version = device_shadows.desired_version + 1, desired_at = excluded.desired_at
             RETURNING desired_version AS number",
        )
        .bind(device)
        .bind(state.to_string())
        .bind(at)
        .one(&mut self.connection)
        .await?;
        Ok(version)
    }

    /// Records the state that a device says it has.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn report_state(
        &mut self,
        device: DeviceId,
        reported: &ReportedState,
    ) -> Result<(), StoreError> {
        sql(
            TABLE,
            "INSERT INTO device_shadows (device_id, reported, reported_version, reported_at)
             VALUES ($1, $2, $3, $4)
             ON CONFLICT (device_id) DO UPDATE SET reported = excluded.reported,
                 reported_version = excluded.reported_version, reported_at = excluded.reported_at",
        )
        .bind(device)
        .bind(reported.state.to_string())
        .bind(reported.version)
        .bind(reported.at)
        .run(&mut self.connection)
        .await
        .map(|_written| ())
    }
}
