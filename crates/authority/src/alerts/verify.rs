//! Recomputes the whole audit once in a while, so that somebody hears when it is not as it was written.

use std::sync::Arc;
use std::time::Duration;

use countersign_store::StoreError;
use tokio::time::{Instant, MissedTickBehavior};

use crate::authority::Authority;
use crate::enrol::Chain;

/// How often.
const PERIOD: Duration = Duration::from_secs(86_400);

/// How long after the start for the first time: then there is much else to do.
const AFTER_START: Duration = Duration::from_secs(600);

impl Authority {
    /// Recomputes it once a day, for ever.
    pub async fn verify_audit_regularly(self: Arc<Self>) {
        let mut tick = tokio::time::interval_at(Instant::now() + AFTER_START, PERIOD);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            if let Err(error) = self.verify_audit().await {
                tracing::error!(error = %Chain(&error), "audit not recomputed");
            }
        }
    }

    /// Recomputes it now, over connections of its own: a long log holds up nobody.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn verify_audit(&self) -> Result<(), StoreError> {
        let reader = self.store.reader().await?;
        let report = reader.read(|r| Box::pin(async move { r.verify_audit().await })).await;
        reader.close().await;
        let broken = report?.broken;
        if let Some(broken) = &broken {
            tracing::error!(
                chain = broken.chain,
                sequence = broken.sequence,
                "audit is not as it was written"
            );
        }
        let said = |broken: countersign_store::BrokenEntry| {
            let chain = if broken.chain.is_empty() { "the platform" } else { &broken.chain };
            format!("entry {} of {chain}", broken.sequence)
        };
        *self.alerts.broken.lock() = broken.map(said);
        Ok(())
    }
}
