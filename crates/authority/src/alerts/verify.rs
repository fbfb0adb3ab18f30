//! Recomputes the whole audit once in a while, and holds it against its anchors, so that somebody hears when it is not as
//! it was written.

use std::sync::Arc;
use std::time::Duration;

use countersign_core::time::Timestamp;
use countersign_store::StoreError;
use tokio::time::{Instant, MissedTickBehavior};

use crate::anchor_check::{Evidence, check_anchors};
use crate::authority::Authority;
use crate::enrol::Chain;

/// How often.
const PERIOD: Duration = Duration::from_secs(86_400);

/// How long after the start for the first time: then there is much else to do.
const AFTER_START: Duration = Duration::from_secs(600);

/// What recomputing the audit showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditVerified {
    /// When it was begun.
    pub at: Timestamp,
    /// How many anchors it was held against.
    pub anchors: u64,
    /// What is not as it was written.
    pub broken: Option<String>,
}

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

    /// Recomputes it now, over connections of its own: a long log holds up nobody. What is not as it was written,
    /// if anything.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn verify_audit(&self) -> Result<Option<String>, StoreError> {
        let at = self.now();
        let reader = self.store.reader().await?;
        let report = reader.read(|r| Box::pin(async move { r.verify_audit().await })).await;
        let anchors = check_anchors(&reader, Evidence::default()).await;
        reader.close().await;
        let (report, anchors) = (report?, anchors?);
        let entry = report.broken.map(|broken| {
            let chain = if broken.chain.is_empty() { "the platform" } else { &broken.chain };
            format!("entry {} of {chain}", broken.sequence)
        });
        let broken = entry.or_else(|| anchors.faults.first().map(ToString::to_string));
        if let Some(broken) = &broken {
            tracing::error!(broken, "audit is not as it was written");
        }
        let verified = AuditVerified { at, anchors: anchors.on_record, broken: broken.clone() };
        *self.alerts.verified.lock() = Some(verified);
        Ok(broken)
    }
}
