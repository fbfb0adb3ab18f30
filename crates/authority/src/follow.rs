//! Hearing of the changes that other authorities on the same database make.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use countersign_store::StoreError;
use tokio::time::Instant;

use crate::authority::Authority;

/// How long after a failure the database is listened to again. The sweep publishes meanwhile.
const AGAIN: Duration = Duration::from_secs(1);

impl Authority {
    /// Publishes what other authorities change as soon as they have, for ever. On a database that has one
    /// authority this waits and does nothing.
    pub async fn follow_changes(self: Arc<Self>) {
        loop {
            let Err(error) = self.follow().await;
            tracing::warn!(%error, "cannot hear of other authorities' changes");
            tokio::time::sleep_until(Instant::now() + AGAIN).await;
        }
    }

    async fn follow(&self) -> Result<Infallible, StoreError> {
        let mut epochs = self.store.epochs().await?;
        loop {
            // Also when it begins: something may have changed before it listened.
            self.catch_up().await?;
            epochs.raised().await?;
        }
    }
}
