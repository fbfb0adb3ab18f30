//! What was refused, kept for a week so that `countersign explain` can say why.

use std::collections::{BTreeMap, HashSet};
use std::net::IpAddr;
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
}

/// How many reports are written at once.
const BATCH: usize = 256;

/// One line of audit per peer, code and minute, in each tenant's chain, for what was refused and for
/// what would have been.
#[derive(Debug, Default)]
struct Sampler {
    seen: Mutex<HashSet<Sample>>,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Sample {
    tenant: Option<Tenant>,
    outcome: Outcome,
    address: IpAddr,
    code: String,
    minute: i64,
}

impl Authority {
    /// Writes reports down as they come, for ever: each can be explained, and the audit gets one
    /// entry per peer, code and minute in each tenant's chain.
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
            seen.retain(|sample| sample.minute >= minute);
        }
        seen.insert(Sample {
            tenant: report.tenant.clone(),
            outcome: report.outcome,
            address: report.address,
            code: report.code.clone(),
            minute,
        })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_entry_a_minute_but_never_another_tenants_or_another_outcomes() {
        let sampler = Sampler::default();
        let report = RefusalReport {
            request: RequestId::random(),
            at: Timestamp::from_secs(120),
            code: "MTLS_REQUIRED".to_owned(),
            outcome: Outcome::Refused,
            tenant: Some("acme".parse().unwrap()),
            address: IpAddr::from([192, 0, 2, 1]),
            facts: BTreeMap::new(),
        };
        assert!(sampler.is_first(&report));
        assert!(!sampler.is_first(&RefusalReport { at: Timestamp::from_secs(179), ..report.clone() }));
        for other in [
            RefusalReport { at: Timestamp::from_secs(180), ..report.clone() },
            RefusalReport { outcome: Outcome::WouldRefuse, ..report.clone() },
            RefusalReport { tenant: None, ..report.clone() },
            RefusalReport { address: IpAddr::from([192, 0, 2, 2]), ..report.clone() },
            RefusalReport { code: "CERTIFICATE_REVOKED".to_owned(), ..report.clone() },
        ] {
            assert!(sampler.is_first(&other), "{other:?}");
        }
    }
}
