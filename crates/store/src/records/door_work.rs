//! How many connections doors let in, by ten minutes.

use std::collections::BTreeMap;

use countersign_core::door_work::Slot;

use crate::error::StoreError;
use crate::row::{FromRow, Row};
use crate::statement::sql;
use crate::transaction::{Reading, Writing};

const TABLE: &str = "door_work";

/// The connections of all processes in a slot.
struct SlotSum(Slot, u64);

impl FromRow for SlotSum {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        let slot: i64 = row.number("slot")?;
        Ok(Self(Slot::new(slot), row.number("handshakes")?))
    }
}

impl Reading<'_> {
    /// How many connections all doors let in, by slot from the first one on.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn door_work(&mut self, first: Slot) -> Result<BTreeMap<Slot, u64>, StoreError> {
        let sums: Vec<SlotSum> = sql(
            TABLE,
            "SELECT slot, CAST(sum(handshakes) AS bigint) AS handshakes FROM door_work WHERE slot >= $1
             GROUP BY slot",
        )
        .bind(first.number())
        .all(&mut self.connection)
        .await?;
        Ok(sums.into_iter().map(|SlotSum(slot, sum)| (slot, sum)).collect())
    }
}

impl Writing<'_> {
    /// Records how many connections a process let in in some slots, as long as that is more than is on record.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn put_door_work(
        &mut self,
        source: &str,
        handshakes: &BTreeMap<Slot, u64>,
    ) -> Result<(), StoreError> {
        for (slot, count) in handshakes {
            sql(
                TABLE,
                "INSERT INTO door_work (slot, source, handshakes) VALUES ($1, $2, $3)
                 ON CONFLICT (slot, source) DO UPDATE SET handshakes = excluded.handshakes
                 WHERE door_work.handshakes < excluded.handshakes",
            )
            .bind(slot.number())
            .bind(source)
            .bind(*count)
            .run(&mut self.connection)
            .await?;
        }
        Ok(())
    }

    /// Forgets what was before a slot.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn prune_door_work(&mut self, first: Slot) -> Result<u64, StoreError> {
        sql(TABLE, "DELETE FROM door_work WHERE slot < $1")
            .bind(first.number())
            .run(&mut self.connection)
            .await
    }
}
