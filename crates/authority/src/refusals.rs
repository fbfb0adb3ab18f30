//! What was refused, kept for a week so that `countersign explain` can say why.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use countersign_core::audit::{Actor, AuditEntry, AuditEvent};
use countersign_core::ids::{RequestId, Tenant};
use countersign_core::time::Timestamp;
use countersign_store::{RefusalRow, StoreError};
use tokio::sync::mpsc;

use crate::authority::Authority;
use crate::limits::Network;

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

/// How many refusals of one network can be explained a minute, and of all networks together: what
/// strangers make us keep is bounded, by about three million small rows a week.
const ROWS_PER_NETWORK: u32 = 60;
const ROWS_IN_ALL: u32 = 300;

/// How many lines of audit refusals may make a minute.
const ENTRIES_IN_ALL: usize = 300;

/// The longest fact that is kept, in characters.
const FACT_LENGTH: usize = 200;

/// What of the refusals is written down, minute by minute.
#[derive(Debug, Default)]
struct Sampler {
    minute: i64,
    entries: HashSet<Sample>,
    rows: HashMap<Network, u32>,
    rows_in_all: u32,
}

/// What the audit has one line for a minute.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Sample {
    tenant: Option<Tenant>,
    outcome: Outcome,
    network: Network,
    code: String,
}

impl Authority {
    /// Writes reports down as they come, for ever: each can be explained, unless its network is
    /// refused all the time, and the audit gets one entry per network, code and minute in each
    /// tenant's chain.
    pub async fn record_refusals(self: Arc<Self>, mut reports: mpsc::Receiver<RefusalReport>) {
        let mut sampler = Sampler::default();
        let mut batch = Vec::with_capacity(BATCH);
        while reports.recv_many(&mut batch, BATCH).await > 0 {
            let (mut entries, mut rows) = (Vec::new(), Vec::new());
            for report in batch.drain(..).map(RefusalReport::cut) {
                if sampler.takes_entry(&report) {
                    entries.push(entry_of(&report));
                }
                if sampler.takes_row(&report) {
                    rows.push(row_of(report));
                }
            }
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

impl Sampler {
    /// Whether the audit gets a line for this report.
    fn takes_entry(&mut self, report: &RefusalReport) -> bool {
        self.turn_to(report.at);
        self.entries.len() < ENTRIES_IN_ALL
            && self.entries.insert(Sample {
                tenant: report.tenant.clone(),
                outcome: report.outcome,
                network: Network::from(report.address),
                code: report.code.clone(),
            })
    }

    /// Whether this report is kept to be explained.
    fn takes_row(&mut self, report: &RefusalReport) -> bool {
        self.turn_to(report.at);
        if self.rows_in_all >= ROWS_IN_ALL {
            return false;
        }
        let of_network = self.rows.entry(Network::from(report.address)).or_default();
        if *of_network >= ROWS_PER_NETWORK {
            return false;
        }
        *of_network += 1;
        self.rows_in_all += 1;
        true
    }

    fn turn_to(&mut self, at: Timestamp) {
        let minute = at.secs().div_euclid(60);
        if minute != self.minute {
            *self = Self { minute, ..Self::default() };
        }
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

    fn report(last: u8) -> RefusalReport {
        RefusalReport {
            request: RequestId::random(),
            at: Timestamp::from_secs(120),
            code: "MTLS_REQUIRED".to_owned(),
            outcome: Outcome::Refused,
            tenant: Some("acme".parse().unwrap()),
            address: IpAddr::from([192, 0, 2, last]),
            facts: BTreeMap::from([("path".to_owned(), "é".repeat(60_000))]),
        }
    }

    #[test]
    fn what_strangers_make_us_keep_is_bounded() {
        assert_eq!(report(1).cut().facts["path"].chars().count(), FACT_LENGTH);
        let mut sampler = Sampler::default();
        let of_one = (0..1000).filter(|_| sampler.takes_row(&report(1))).count();
        assert_eq!(of_one, ROWS_PER_NETWORK as usize);
        let of_many = (2..=250).flat_map(|last| [last; 10]).filter(|last| sampler.takes_row(&report(*last)));
        assert_eq!(of_one + of_many.count(), ROWS_IN_ALL as usize);
        let later = RefusalReport { at: Timestamp::from_secs(180), ..report(1) };
        assert!(sampler.takes_row(&later));
    }

    #[test]
    fn one_entry_a_minute_but_never_another_tenants_or_another_outcomes() {
        let mut sampler = Sampler::default();
        let report = report(1);
        assert!(sampler.takes_entry(&report));
        assert!(!sampler.takes_entry(&RefusalReport { at: Timestamp::from_secs(179), ..report.clone() }));
        for other in [
            RefusalReport { outcome: Outcome::WouldRefuse, ..report.clone() },
            RefusalReport { tenant: None, ..report.clone() },
            RefusalReport { address: IpAddr::from([192, 0, 2, 2]), ..report.clone() },
            RefusalReport { code: "CERTIFICATE_REVOKED".to_owned(), ..report.clone() },
        ] {
            assert!(sampler.takes_entry(&other), "{other:?}");
        }
        assert!(sampler.takes_entry(&RefusalReport { at: Timestamp::from_secs(180), ..report }));
    }
}
