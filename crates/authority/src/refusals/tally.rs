//! How refusals are counted: in bounded memory, minute by minute, none left out.

use std::collections::{HashMap, HashSet};

use countersign_core::audit::{Actor, AuditEntry, AuditEvent};
use countersign_core::ids::{RequestId, Tenant};
use countersign_core::time::Timestamp;
use countersign_store::RefusalRow;

use super::RefusalReport;
use crate::limits::Network;

/// How many refusals of one network can be explained a minute, and of all networks together: what
/// strangers make us keep is bounded, by about three million small rows a week.
pub(super) const ROWS_PER_NETWORK: u32 = 60;
pub(super) const ROWS_IN_ALL: u32 = 300;

/// How many kinds of refusals (a peer's with a code, in a tenant) the audit tells apart a minute; those
/// of further peers are counted together by tenant and code.
pub(super) const KINDS_IN_ALL: usize = 300;

/// How many sums over further peers there are; beyond, tenants are not told apart either.
const SUMS_IN_ALL: usize = 1000;

/// How many further peers are told apart, to say how many there were.
const FURTHER_IN_ALL: usize = 65_536;

/// How much waits at most while nothing can be written. Beyond, minutes do not end: what comes is counted
/// with what was counted already, and what could be explained is not kept.
const ENTRIES_WAITING: usize = 5000;
const ROWS_WAITING: usize = 5 * ROWS_IN_ALL as usize;

/// What is to be written down.
#[derive(Clone, Debug, Default)]
pub(super) struct Writings {
    pub(super) entries: Vec<AuditEntry>,
    pub(super) rows: Vec<RefusalRow>,
}

/// The refusals of the present minute.
#[derive(Debug, Default)]
pub(super) struct Tally {
    minute: i64,
    kinds: HashMap<Kind, Count>,
    sums: HashMap<Sum, (Count, HashSet<Network>)>,
    further: usize,
    unseen: u64,
    rows: HashMap<Network, u32>,
    rows_in_all: u32,
    writings: Writings,
}

/// What the audit has one count for a minute.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Kind {
    network: Network,
    sum: Sum,
}

/// What is counted together when there are too many kinds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Sum {
    tenant: Option<Tenant>,
    event: AuditEvent,
    code: String,
}

#[derive(Debug)]
struct Count {
    actor: Actor,
    count: u64,
    first: (RequestId, Timestamp),
    last: (RequestId, Timestamp),
}

impl Count {
    fn begin(report: &RefusalReport, actor: Actor) -> Self {
        let seen = (report.request, report.at);
        Self { actor, count: 0, first: seen, last: seen }
    }

    const fn add(&mut self, report: &RefusalReport) {
        self.count += 1;
        self.last = (report.request, report.at);
    }

    fn entry(&self, sum: &Sum) -> AuditEntry {
        let (tenant, at) = (sum.tenant.clone(), self.last.1);
        AuditEntry::new(tenant, at, AuditEvent::RefusalsCounted, self.actor.clone())
            .detail("of", sum.event)
            .detail("code", &sum.code)
            .detail("count", self.count)
            .detail("firstRequestId", self.first.0)
            .detail("firstAt", self.first.1)
            .detail("lastRequestId", self.last.0)
    }
}

impl Tally {
    /// Counts a report. The first of its kind in a minute is written down at once.
    pub(super) fn take(&mut self, report: RefusalReport) {
        self.turn_to(report.at);
        let network = Network::from(report.address);
        if let Some(event) = report.outcome.event() {
            let sum = Sum { tenant: report.tenant.clone(), event, code: report.code.clone() };
            self.count(Kind { network, sum }, &report);
        }
        if self.takes_row(network) {
            self.writings.rows.push(row_of(report));
        }
    }

    fn count(&mut self, kind: Kind, report: &RefusalReport) {
        if let Some(count) = self.kinds.get_mut(&kind) {
            count.add(report);
        } else if self.kinds.len() < KINDS_IN_ALL {
            self.writings.entries.push(entry_of(report, kind.sum.event));
            let mut count = Count::begin(report, Actor::Peer(report.address));
            count.add(report);
            self.kinds.insert(kind, count);
        } else {
            self.add_to_sum(kind, report);
        }
    }

    fn add_to_sum(&mut self, Kind { network, mut sum }: Kind, report: &RefusalReport) {
        if self.sums.len() >= SUMS_IN_ALL && !self.sums.contains_key(&sum) {
            sum.tenant = None;
        }
        let begin = || (Count::begin(report, Actor::System), HashSet::new());
        let (count, peers) = self.sums.entry(sum).or_insert_with(begin);
        count.add(report);
        if self.further < FURTHER_IN_ALL && peers.insert(network) {
            self.further += 1;
        }
    }

    /// Counts refusals of which nothing is known but their number.
    pub(super) const fn take_unseen(&mut self, count: u64) {
        self.unseen += count;
    }

    /// Ends the minute if another has begun: its counts are written down.
    pub(super) fn turn_to(&mut self, at: Timestamp) {
        let minute = at.secs().div_euclid(60);
        // What comes late counts in the present minute.
        if minute > self.minute && self.writings.entries.len() < ENTRIES_WAITING {
            self.end_minute(at);
            self.minute = minute;
        }
    }

    /// Ends the minute, whether another has begun or not.
    pub(super) fn end_minute(&mut self, at: Timestamp) {
        let entries = &mut self.writings.entries;
        let repeated = self.kinds.drain().filter(|(_, count)| count.count > 1);
        entries.extend(repeated.map(|(kind, count)| count.entry(&kind.sum)));
        let all_told_apart = self.further < FURTHER_IN_ALL;
        entries.extend(self.sums.drain().map(|(sum, (count, peers))| {
            let peers =
                if all_told_apart { peers.len().to_string() } else { format!("{} or more", peers.len()) };
            count.entry(&sum).detail("furtherPeers", peers)
        }));
        if self.unseen > 0 {
            let entry = AuditEntry::new(None, at, AuditEvent::RefusalsCounted, Actor::System);
            entries.push(entry.detail("of", "not known").detail("count", self.unseen));
        }
        *self = Self { minute: self.minute, writings: std::mem::take(&mut self.writings), ..Self::default() };
    }

    /// What is to be written down now.
    pub(super) fn writings(&mut self) -> Writings {
        std::mem::take(&mut self.writings)
    }

    /// Whether there is anything to write down.
    pub(super) const fn has_writings(&self) -> bool {
        !self.writings.is_empty()
    }

    /// What could not be written: it goes first the next time.
    pub(super) fn take_back(&mut self, lost: Writings) {
        let Writings { entries, rows } = std::mem::replace(&mut self.writings, lost);
        self.writings.entries.extend(entries);
        self.writings.rows.extend(rows);
    }

    /// Whether one more refusal of a network is kept to be explained.
    fn takes_row(&mut self, network: Network) -> bool {
        if self.rows_in_all >= ROWS_IN_ALL || self.writings.rows.len() >= ROWS_WAITING {
            return false;
        }
        let of_network = self.rows.entry(network).or_default();
        if *of_network >= ROWS_PER_NETWORK {
            return false;
        }
        *of_network += 1;
        self.rows_in_all += 1;
        true
    }
}

impl Writings {
    pub(super) const fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.rows.is_empty()
    }
}

fn entry_of(report: &RefusalReport, event: AuditEvent) -> AuditEntry {
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
        facts: serde_json::json!({
            "address": report.address,
            "outcome": report.outcome.word(),
            "tenant": report.tenant,
            "facts": report.facts,
        }),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::net::IpAddr;

    use super::*;
    use crate::refusals::Outcome;

    fn report(last: u8) -> RefusalReport {
        RefusalReport {
            request: RequestId::random(),
            at: Timestamp::from_secs(120),
            code: "MTLS_REQUIRED".to_owned(),
            outcome: Outcome::Refused,
            tenant: Some("acme".parse().unwrap()),
            address: IpAddr::from([192, 0, 2, last]),
            facts: BTreeMap::new(),
        }
    }

    fn counts(writings: &Writings) -> Vec<(u64, Option<String>)> {
        let counted = writings.entries.iter().filter(|entry| entry.event == AuditEvent::RefusalsCounted);
        let told = |entry: &AuditEntry| {
            (entry.details["count"].parse().unwrap(), entry.details.get("furtherPeers").cloned())
        };
        counted.map(told).collect()
    }

    #[test]
    fn what_can_be_explained_is_bounded() {
        let mut tally = Tally::default();
        (0..1000).for_each(|_| tally.take(report(1)));
        assert_eq!(tally.writings().rows.len(), ROWS_PER_NETWORK as usize);
        (2..=250).flat_map(|last| [last; 10]).for_each(|last| tally.take(report(last)));
        assert_eq!(tally.writings().rows.len(), (ROWS_IN_ALL - ROWS_PER_NETWORK) as usize);
        tally.take(RefusalReport { at: Timestamp::from_secs(180), ..report(1) });
        assert_eq!(tally.writings().rows.len(), 1);
    }

    #[test]
    fn the_first_of_a_kind_is_written_at_once_and_all_are_counted_when_the_minute_ends() {
        let mut tally = Tally::default();
        let first = report(1);
        tally.take(first.clone());
        let told = tally.writings();
        assert_eq!((told.entries.len(), told.entries[0].event), (1, AuditEvent::Refused));
        let last = RefusalReport { at: Timestamp::from_secs(179), ..report(1) };
        (0..8).for_each(|_| tally.take(report(1)));
        tally.take(last.clone());
        tally.take(report(2));
        assert_eq!(tally.writings().entries.len(), 1, "the other peer's first");
        tally.turn_to(Timestamp::from_secs(179));
        assert!(tally.writings().is_empty());
        tally.turn_to(Timestamp::from_secs(180));
        let told = tally.writings();
        assert_eq!(counts(&told), [(10, None)], "{told:?}");
        let details = &told.entries[0].details;
        assert_eq!(details["firstRequestId"], first.request.to_string());
        assert_eq!(details["lastRequestId"], last.request.to_string());
        tally.turn_to(Timestamp::from_secs(240));
        assert!(tally.writings().is_empty(), "nothing is counted twice");
    }

    #[test]
    fn tenants_outcomes_peers_and_codes_are_told_apart_and_what_is_late_is_counted() {
        let mut tally = Tally::default();
        let first = report(1);
        for other in [
            first.clone(),
            RefusalReport { outcome: Outcome::WouldRefuse, ..first.clone() },
            RefusalReport { tenant: None, ..first.clone() },
            RefusalReport { address: IpAddr::from([192, 0, 2, 2]), ..first.clone() },
            RefusalReport { code: "CERTIFICATE_REVOKED".to_owned(), ..first.clone() },
        ] {
            tally.take(other.clone());
            assert_eq!(tally.writings().entries.len(), 1, "{other:?}");
            tally.take(other.clone());
            assert_eq!(tally.writings().entries.len(), 0, "{other:?}");
        }
        tally.take(RefusalReport { at: Timestamp::from_secs(60), ..first });
        tally.end_minute(Timestamp::from_secs(130));
        let mut told = counts(&tally.writings());
        told.sort();
        assert_eq!(told.iter().map(|(count, _)| *count).collect::<Vec<_>>(), [2, 2, 2, 2, 3]);
    }

    #[test]
    fn what_could_not_be_written_goes_first_the_next_time_and_is_bounded() {
        let mut tally = Tally::default();
        let first = report(1);
        tally.take(first.clone());
        let lost = tally.writings();
        tally.take(report(2));
        tally.take_back(lost);
        let told = tally.writings();
        assert_eq!((told.entries.len(), told.rows.len()), (2, 2));
        assert_eq!(told.rows[0].id, first.request);
        tally.take_back(told);
        let mut count = 2;
        for minute in 3..1000 {
            for last in 0..=255 {
                tally.take(RefusalReport { at: Timestamp::from_secs(minute * 60), ..report(last) });
                tally.take(RefusalReport { at: Timestamp::from_secs(minute * 60), ..report(last) });
                count += 2;
            }
        }
        tally.end_minute(Timestamp::from_secs(60_000));
        let told = tally.writings();
        assert!(told.entries.len() < ENTRIES_WAITING + 3 * KINDS_IN_ALL, "{}", told.entries.len());
        assert!(told.rows.len() <= ROWS_WAITING);
        // The first two were alone in their minute.
        let counted: u64 = counts(&told).iter().map(|(count, _)| count).sum();
        assert_eq!(counted + 2, count, "none is left out");
    }

    #[test]
    fn what_only_failed_is_explained_and_not_in_the_audit() {
        let mut tally = Tally::default();
        tally.take(RefusalReport { outcome: Outcome::Failed, ..report(1) });
        tally.end_minute(Timestamp::from_secs(130));
        let told = tally.writings();
        assert_eq!((told.entries.len(), told.rows.len()), (0, 1));
    }

    #[test]
    fn a_flood_from_everywhere_is_counted_and_not_dropped() {
        let mut tally = Tally::default();
        let from = |number: u32| RefusalReport { address: IpAddr::from(number.to_be_bytes()), ..report(1) };
        for number in 0..5000_u32 {
            tally.take(from(0x0a00_0000 + number));
            tally.take(from(0x0a00_0000 + number));
        }
        tally.take_unseen(77);
        tally.end_minute(Timestamp::from_secs(130));
        let told = tally.writings();
        let sums = counts(&told);
        assert_eq!(told.entries.len(), 2 * KINDS_IN_ALL + 2);
        assert!(sums.contains(&(9400, Some("4700".to_owned()))), "{:?}", sums.last());
        assert!(sums.contains(&(77, None)));
        let in_all: u64 = sums.iter().map(|(count, _)| count).sum();
        assert_eq!(in_all, 10_077);
    }

    #[test]
    fn memory_is_bounded_and_then_the_number_of_peers_is_a_lower_bound() {
        let mut tally = Tally::default();
        for number in 0..70_000_u32 {
            tally.take(RefusalReport { address: IpAddr::from(number.to_be_bytes()), ..report(1) });
        }
        assert_eq!(tally.further, FURTHER_IN_ALL);
        tally.end_minute(Timestamp::from_secs(130));
        let sums = counts(&tally.writings());
        assert_eq!(sums, [(69_700, Some("65536 or more".to_owned()))]);
    }
}
