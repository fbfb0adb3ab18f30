//! What was refused, kept for a week so that `countersign explain` can say why.

use std::collections::BTreeMap;
use std::sync::Arc;

use countersign_core::audit::{Actor, AuditEntry, AuditEvent};
use countersign_core::ids::{RequestId, Tenant};
use countersign_core::time::Timestamp;
use countersign_store::{RefusalRow, StoreError};
use parking_lot::Mutex;
use tokio::sync::mpsc;

use crate::authority::Authority;

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
    pub address: std::net::IpAddr,
    /// The facts that led to it; never a secret.
    pub facts: BTreeMap<String, String>,
}

/// Whether it was refused indeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was.
    Refused,
    /// It would be under `enforce`.
    WouldRefuse,
}

/// How many reports are written at once.
const BATCH: usize = 256;

/// One line of audit per peer, code and minute.
#[derive(Debug, Default)]
struct Sampler {
    seen: Mutex<std::collections::HashMap<(std::net::IpAddr, String, i64), u64>>,
}

impl Authority {
    /// Writes reports down as they come, for ever: each can be explained, and the audit gets one
    /// entry per peer, code and minute.
    pub async fn record_refusals(self: Arc<Self>, mut reports: mpsc::Receiver<RefusalReport>) {
        let sampler = Sampler::default();
        let mut batch = Vec::with_capacity(BATCH);
        while reports.recv_many(&mut batch, BATCH).await > 0 {
            let entries: Vec<AuditEntry> =
                batch.iter().filter(|report| sampler.is_first(report)).map(entry_of).collect();
            let rows: Vec<RefusalRow> = batch.drain(..).map(row_of).collect();
            if let Err(error) = self.keep_refusals(rows, entries).await {
                tracing::error!(%error, "cannot record refusals");
            }
        }
    }

    async fn keep_refusals(&self, rows: Vec<RefusalRow>, entries: Vec<AuditEntry>) -> Result<(), StoreError> {
        self.store
            .write(move |w| {
                Box::pin(async move {
                    w.insert_refusals(&rows).await?;
                    for entry in &entries {
                        w.append_audit(entry).await?;
                    }
                    Ok(())
                })
            })
            .await
    }
}

impl Sampler {
    fn is_first(&self, report: &RefusalReport) -> bool {
        let minute = report.at.secs().div_euclid(60);
        let mut seen = self.seen.lock();
        if seen.len() > 10_000 {
            seen.retain(|(_, _, at), _| *at >= minute);
        }
        let count = seen.entry((report.address, report.code.clone(), minute)).or_default();
        *count += 1;
        *count == 1
    }
}

fn entry_of(report: &RefusalReport) -> AuditEntry {
    let event = match report.outcome {
        Outcome::Refused => AuditEvent::Refused,
        Outcome::WouldRefuse => AuditEvent::WouldRefuse,
    };
    let mut entry = AuditEntry::new(report.tenant.clone(), report.at, event, Actor::Peer(report.address))
        .detail("code", &report.code)
        .detail("requestId", report.request);
    for (name, value) in &report.facts {
        entry = entry.detail(name, value);
    }
    entry
}

fn row_of(report: RefusalReport) -> RefusalRow {
    RefusalRow {
        id: report.request,
        at: report.at,
        code: report.code,
        facts: serde_json::json!({ "address": report.address, "facts": report.facts }),
    }
}
