//! How often what was refused of late, from the audit.

use std::collections::BTreeMap;
use std::time::Duration;

use countersign_core::audit::AuditEvent;
use countersign_core::time::Timestamp;
use countersign_store::{AuditRecord, ChainScope, LIST_LIMIT};

use crate::audit::AuditFilter;
use crate::authority::Authority;
use crate::authorized::{Authorized, View};
use crate::devices::LookError;

/// How many hours it looks back.
pub use countersign_core::door_work::HOURS;

const HOUR: Duration = Duration::from_secs(3600);

/// Refusals of the last hours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusalCounts {
    /// Those of each code, the most frequent first.
    pub codes: Vec<CodeCount>,
    /// Whether there were more entries than are looked at: then these are the newest.
    pub is_cut: bool,
}

/// Refusals with one code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodeCount {
    /// The stable code.
    pub code: String,
    /// How many in each hour, the oldest first.
    pub hours: [u64; HOURS],
}

impl CodeCount {
    /// How many in all.
    #[must_use]
    pub fn sum(&self) -> u64 {
        self.hours.iter().sum()
    }
}

impl Authority {
    /// What was refused in the last [`HOURS`], by code; a caller bound to a tenant sees that tenant's alone.
    ///
    /// # Errors
    /// See [`LookError`].
    pub async fn refusal_counts(
        &self,
        by: &Authorized<View>,
        scope: ChainScope,
    ) -> Result<RefusalCounts, LookError> {
        let now = self.now();
        let since = now - HOUR * u32::try_from(HOURS).unwrap_or(1);
        let mut codes: BTreeMap<String, [u64; HOURS]> = BTreeMap::new();
        let mut is_cut = false;
        for event in [AuditEvent::Refused, AuditEvent::RefusalsCounted] {
            let filter = AuditFilter {
                scope: scope.clone(),
                event: Some(event),
                since: Some(since),
                limit: LIST_LIMIT,
                ..AuditFilter::default()
            };
            let records = self.audit(by, filter).await?;
            is_cut |= records.len() >= LIST_LIMIT as usize;
            for record in &records {
                let Some((code, count)) = counted(record) else { continue };
                let hours = codes.entry(code).or_insert([0; HOURS]);
                let hour = usize::try_from(record.at.since(since).as_secs() / 3600).unwrap_or(0);
                if let Some(place) = hours.get_mut(hour.min(HOURS - 1)) {
                    *place += count;
                }
            }
        }
        let mut codes: Vec<CodeCount> =
            codes.into_iter().map(|(code, hours)| CodeCount { code, hours }).collect();
        codes.sort_by_key(|one| std::cmp::Reverse(one.sum()));
        Ok(RefusalCounts { codes, is_cut })
    }
}

/// The code of an entry, and how many refusals it adds to those of which an entry was written at once.
fn counted(record: &AuditRecord) -> Option<(String, u64)> {
    let code = record.details.get("code").cloned();
    if record.event == AuditEvent::Refused {
        return code.map(|code| (code, 1));
    }
    let is_refused = record.details.get("of").is_none_or(|of| of != AuditEvent::WouldRefuse.as_str());
    let count: u64 = record.details.get("count")?.parse().ok()?;
    // The first one of a network that is told apart has an entry of its own.
    let known = u64::from(!record.details.contains_key("furtherPeers") && code.is_some());
    is_refused.then(|| (code.unwrap_or_else(|| "unseen".to_owned()), count.saturating_sub(known)))
}

/// When an hour began.
#[must_use]
pub fn hour_began(now: Timestamp, hour: usize) -> Timestamp {
    now - HOUR * u32::try_from(HOURS.saturating_sub(hour)).unwrap_or(1)
}
