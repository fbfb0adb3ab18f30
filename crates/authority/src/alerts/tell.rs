//! Telling: deliveries that are due, taken by one authority at a time and forgotten when they have arrived.

use std::time::Duration;

use countersign_core::time::Timestamp;
use countersign_store::{AlertRow, DeliveryRow, StoreError};

use crate::authority::Authority;

/// For how long a delivery belongs to whoever took it.
pub(crate) const TAKEN: Duration = Duration::from_secs(60);

/// How many are taken at once.
const AT_ONCE: u32 = 20;

/// How long is waited after the first failure; twice as long after each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(5);

/// How long is waited at most.
const LONGEST_PAUSE: Duration = Duration::from_secs(600);

/// For how long it is tried.
const PATIENCE: Duration = Duration::from_secs(3 * 86_400);

impl Authority {
    /// What somebody is to be told now. Nobody else gets it for a minute.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn alerts_to_tell(&self, target: &str) -> Result<Vec<(DeliveryRow, AlertRow)>, StoreError> {
        let (now, target) = (self.now(), target.to_owned());
        self.store
            .write(move |w| {
                Box::pin(async move { w.take_deliveries(&target, (now, now + TAKEN), AT_ONCE).await })
            })
            .await
    }

    /// It has arrived.
    ///
    /// # Errors
    /// [`StoreError`]: then it is told once more.
    pub async fn told(&self, row: DeliveryRow) -> Result<(), StoreError> {
        self.store.write(move |w| Box::pin(async move { w.end_delivery(&row).await })).await
    }

    /// It has not arrived: it is tried again later, for three days.
    ///
    /// # Errors
    /// [`StoreError`]: then it is tried again in a minute.
    pub async fn not_told(&self, mut row: DeliveryRow, alert: &AlertRow) -> Result<(), StoreError> {
        let now = self.now();
        if is_too_late(alert, now) {
            tracing::error!(target = %row.target, summary = %alert.summary, "alert given up, nobody was told");
            return self.told(row).await;
        }
        row.due_at = now + pause(row.attempts);
        row.attempts = row.attempts.saturating_add(1);
        self.store.write(move |w| Box::pin(async move { w.put_off(&row).await })).await
    }
}

fn is_too_late(alert: &AlertRow, now: Timestamp) -> bool {
    now.since(alert.resolved_at.unwrap_or(alert.opened_at)) > PATIENCE
}

/// How long is waited after so many failures before.
pub(crate) fn pause(attempts: u32) -> Duration {
    FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(attempts.min(16))).min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_ten_minutes() {
        let pauses: Vec<u64> = (0..9).map(|attempts| pause(attempts).as_secs()).collect();
        assert_eq!(pauses, [5, 10, 20, 40, 80, 160, 320, 600, 600]);
    }
}
