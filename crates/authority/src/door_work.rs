//! What doors do: how many connections they let in, hour by hour, and how busy edges elsewhere are.
//!
//! Every process says it of itself as a sum by ten minutes, again and again, so that nothing is counted twice and
//! nothing is lost by a connection that breaks. Its sums stay when it ends.

use std::collections::BTreeMap;

use countersign_core::door_work::{DoorWork, HOURS, Slot};
use countersign_store::{EdgeRow, StoreError};

use crate::authority::Authority;
use crate::authorized::{Authorized, View};
use crate::devices::LookError;

impl Authority {
    /// Records what the doors of this process do.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn note_door_work(&self, work: DoorWork) -> Result<(), StoreError> {
        if work.handshakes.is_empty() {
            return Ok(());
        }
        self.store
            .write(move |w| {
                Box::pin(async move { w.put_door_work(&work.source.to_string(), &work.handshakes).await })
            })
            .await
    }

    /// Records what an edge says that its doors do. Slots that do not count any more, or not yet, are left out.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn note_edge_work(&self, edge: &EdgeRow, work: DoorWork) -> Result<(), StoreError> {
        let (id, now, load) = (edge.id, self.now(), work.load);
        let (source, counted) = (format!("{id}/{}", work.source), counted(work, Slot::of(now)));
        self.store
            .write(move |w| {
                Box::pin(async move {
                    w.set_edge_load(id, load, now).await?;
                    w.put_door_work(&source, &counted).await
                })
            })
            .await
    }

    /// How many connections all doors let in in each of the last [`HOURS`], the oldest first. Not for whoever is bound to
    /// a tenant.
    ///
    /// # Errors
    /// See [`LookError`].
    pub async fn admitted_by_hour(&self, by: &Authorized<View>) -> Result<[u64; HOURS], LookError> {
        by.covers_all()?;
        let now = Slot::of(self.now());
        let first = now.first_counted();
        let sums = self.store.read(move |r| Box::pin(async move { r.door_work(first).await })).await?;
        let mut hours = [0_u64; HOURS];
        for (slot, sum) in sums {
            if let Some(hour) = slot.hour(now).and_then(|place| hours.get_mut(place)) {
                *hour = hour.saturating_add(sum);
            }
        }
        Ok(hours)
    }
}

fn counted(work: DoorWork, now: Slot) -> BTreeMap<Slot, u64> {
    // An edge's clock may be ahead of ours by a little.
    let next = Slot::new(now.number() + 1);
    let theirs = work.handshakes.into_iter();
    theirs.filter(|(slot, _count)| (now.first_counted()..=next).contains(slot)).collect()
}
