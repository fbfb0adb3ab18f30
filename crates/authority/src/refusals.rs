//! What was refused: counted in the audit, and kept for a week so that `countersign explain` can say why.

mod tally;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use countersign_core::audit::AuditEvent;
use countersign_core::ids::{RequestId, Tenant};
use countersign_core::time::Timestamp;
use countersign_store::StoreError;
use futures_util::future::BoxFuture;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use self::tally::{Tally, Writings};
use crate::authority::Authority;
use crate::enrol::Chain;

/// A request, packet or connection that was refused, or would be under `enforce`.
#[derive(Clone, Debug)]
pub struct RefusalReport {
    /// What the client was told to quote.
    pub request: RequestId,
    /// When.
    pub at: Timestamp,
    /// The stable code.
    pub code: String,
    /// Whether it was refused indeed.
    pub outcome: Outcome,
    /// Whose audit it belongs to, when a tenant is known.
    pub tenant: Option<Tenant>,
    /// Where it came from.
    pub address: IpAddr,
    /// The facts that led to it; never a secret.
    pub facts: BTreeMap<String, String>,
}

/// Whether it was refused indeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It was.
    Refused,
    /// It would be under `enforce`.
    WouldRefuse,
    /// It could not be done, whoever asks: kept to be explained, and not in the audit.
    Failed,
}

impl Outcome {
    /// How the audit calls it.
    const fn event(self) -> Option<AuditEvent> {
        match self {
            Self::Refused => Some(AuditEvent::Refused),
            Self::WouldRefuse => Some(AuditEvent::WouldRefuse),
            Self::Failed => None,
        }
    }

    /// How `countersign explain` calls it.
    const fn word(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::WouldRefuse => "would be refused",
            Self::Failed => "failed",
        }
    }
}

/// How many reports are taken at once.
const BATCH: usize = 256;

/// How often it looks whether the minute has ended.
const LOOK: Duration = Duration::from_secs(1);

/// The longest fact that is kept, in characters.
const FACT_LENGTH: usize = 200;

/// Refusals whose reports found no room: they are counted at least.
#[derive(Debug, Default)]
pub(crate) struct UnseenRefusals(AtomicU64);

impl Authority {
    /// Counts refusals of which nothing else is known, because their reports found no room.
    pub fn count_unseen_refusals(&self, count: u64) {
        self.unseen_refusals.0.fetch_add(count, Ordering::Relaxed);
    }

    /// Writes reports down as they come, until `stop`; what has come by then is still written. Each can
    /// be explained, unless its network is refused all the time. The audit gets the first of each network
    /// and code in a minute at once, in its tenant's chain, and how many there were when the minute ends.
    /// What could not be written is tried again every second, with what has come meanwhile.
    pub async fn record_refusals(
        self: Arc<Self>,
        mut reports: mpsc::Receiver<RefusalReport>,
        stop: impl Future<Output = ()> + Send,
    ) {
        let mut tally = Tally::default();
        let mut batch = Vec::with_capacity(BATCH);
        let mut tick = tokio::time::interval(LOOK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut writing: Option<BoxFuture<'_, Result<(), Writings>>> = None;
        let mut is_failing = false;
        let mut stop = std::pin::pin!(stop);
        loop {
            // Taking reports never waits for writing: what comes meanwhile is counted.
            if writing.is_none() && !is_failing && tally.has_writings() {
                writing = Some(Box::pin(self.keep(tally.writings())));
            }
            tokio::select! {
                taken = reports.recv_many(&mut batch, BATCH) => {
                    if taken == 0 {
                        break;
                    }
                    for report in batch.drain(..) {
                        if report.outcome == Outcome::Refused {
                            self.alerts.spikes.take(&report.code, report.at);
                        }
                        tally.take(report.cut());
                    }
                }
                Some(kept) = async { Some(writing.as_mut()?.await) }, if writing.is_some() => {
                    writing = None;
                    is_failing = kept.map_err(|lost| tally.take_back(lost)).is_err();
                }
                _ = tick.tick() => {
                    tally.take_unseen(self.unseen_refusals.0.swap(0, Ordering::Relaxed));
                    tally.turn_to(self.now());
                    is_failing = false;
                }
                () = &mut stop => break,
            }
        }
        reports.close();
        while let Ok(report) = reports.try_recv() {
            tally.take(report.cut());
        }
        if let Some(Err(lost)) = async { Some(writing?.await) }.await {
            tally.take_back(lost);
        }
        tally.take_unseen(self.unseen_refusals.0.swap(0, Ordering::Relaxed));
        tally.end_minute(self.now());
        if let Err(lost) = self.keep(tally.writings()).await {
            tracing::error!(entries = lost.entries.len(), rows = lost.rows.len(), "refusals lost");
        }
    }

    /// Writes all of it down, or gives it back.
    async fn keep(&self, writings: Writings) -> Result<(), Writings> {
        let writings = Arc::new(writings);
        let to_keep = Arc::clone(&writings);
        let kept: Result<(), StoreError> = self
            .store
            .write(move |w| {
                Box::pin(async move {
                    w.insert_refusals(&to_keep.rows).await?;
                    for entry in &to_keep.entries {
                        w.append_audit(entry).await?;
                    }
                    Ok(())
                })
            })
            .await;
        kept.map_err(|error| {
            tracing::error!(error = %Chain(&error), "cannot record refusals, trying again");
            Arc::unwrap_or_clone(writings)
        })
    }
}

impl RefusalReport {
    /// The same report with facts of a length that may be kept: they hold what strangers sent.
    fn cut(mut self) -> Self {
        for fact in self.facts.values_mut() {
            if let Some((end, _)) = fact.char_indices().nth(FACT_LENGTH) {
                fact.truncate(end);
            }
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_strangers_sent_is_cut() {
        let report = RefusalReport {
            request: RequestId::random(),
            at: Timestamp::from_secs(120),
            code: "MTLS_REQUIRED".to_owned(),
            outcome: Outcome::Refused,
            tenant: None,
            address: IpAddr::from([192, 0, 2, 1]),
            facts: BTreeMap::from([("path".to_owned(), "é".repeat(60_000))]),
        };
        assert_eq!(report.cut().facts["path"].chars().count(), FACT_LENGTH);
    }
}
