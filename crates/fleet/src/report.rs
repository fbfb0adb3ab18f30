//! What a run did: how often, how long it took, what was refused, and what should not have been let in.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde::Serialize;

use crate::device::Refused;

/// What is being done, told from many tasks at once.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    acts: Mutex<BTreeMap<&'static str, Noted>>,
    violations: Mutex<Vec<String>>,
}

#[derive(Debug, Default)]
struct Noted {
    /// Microseconds.
    times: Vec<u32>,
    refused: BTreeMap<String, u64>,
}

impl Tally {
    /// Does something and notes how long it took, or what came in between.
    pub(crate) async fn time<T>(
        &self,
        what: &'static str,
        act: impl Future<Output = Result<T, Refused>>,
    ) -> Result<T, Refused> {
        let began = Instant::now();
        let result = act.await;
        match &result {
            Ok(_) => self.took(what, began.elapsed()),
            Err(refused) => self.refused(what, refused),
        }
        result
    }

    /// Something took so long.
    pub(crate) fn took(&self, what: &'static str, time: Duration) {
        let micros = u32::try_from(time.as_micros()).unwrap_or(u32::MAX);
        self.acts.lock().entry(what).or_default().times.push(micros);
    }

    /// Something was refused, or failed.
    pub(crate) fn refused(&self, what: &'static str, refused: &Refused) {
        let mut acts = self.acts.lock();
        *acts.entry(what).or_default().refused.entry(refused.code().to_owned()).or_default() += 1;
    }

    /// Something happened that must not.
    pub(crate) fn violation(&self, what: impl Into<String>) {
        self.violations.lock().push(what.into());
    }

    /// All of it.
    pub(crate) fn report(self, profile: &'static str, devices: usize, took: Duration) -> Report {
        let acts = self.acts.into_inner().into_iter().map(|(what, noted)| Act::of(what, noted)).collect();
        let violations = self.violations.into_inner();
        Report { profile, devices, seconds: took.as_secs_f64(), acts, violations }
    }
}

/// What a run did.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The profile's name.
    pub profile: &'static str,
    /// How many devices took part.
    pub devices: usize,
    /// How long it took, enrolment included.
    pub seconds: f64,
    /// What was done.
    pub acts: Vec<Act>,
    /// What happened that must not: in words, and none in an installation that is well.
    pub violations: Vec<String>,
}

/// One kind of thing that was done.
#[derive(Clone, Debug, Serialize)]
pub struct Act {
    /// What.
    pub what: &'static str,
    /// How often it succeeded.
    pub count: usize,
    /// The median time, milliseconds.
    pub median_ms: f64,
    /// The time that one in a hundred took longer than, milliseconds.
    pub p99_ms: f64,
    /// The longest time, milliseconds.
    pub longest_ms: f64,
    /// How often it was refused or failed, by code.
    pub refused: BTreeMap<String, u64>,
}

impl Act {
    fn of(what: &'static str, Noted { mut times, refused }: Noted) -> Self {
        times.sort_unstable();
        let at = |share: usize| {
            let index = times.len().saturating_sub(1) * share / 100;
            times.get(index).map_or(0.0, |micros| f64::from(*micros) / 1000.0)
        };
        Self { what, count: times.len(), median_ms: at(50), p99_ms: at(99), longest_ms: at(100), refused }
    }
}

impl Report {
    /// What was done under this name, if it was.
    #[must_use]
    pub fn act(&self, what: &str) -> Option<&Act> {
        self.acts.iter().find(|act| act.what == what)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {} devices, {:.1} s", self.profile, self.devices, self.seconds)?;
        let width = self.acts.iter().map(|act| act.what.len()).max().unwrap_or_default();
        writeln!(f, "  {:width$}  {:>9} {:>10} {:>10} {:>10}", "", "done", "median ms", "p99 ms", "longest")?;
        for act in &self.acts {
            let Act { what, count, median_ms, p99_ms, longest_ms, refused } = act;
            write!(f, "  {what:width$}  {count:>9} {median_ms:>10.1} {p99_ms:>10.1} {longest_ms:>10.1}")?;
            for (code, count) in refused {
                write!(f, "  {code} ×{count}")?;
            }
            writeln!(f)?;
        }
        for violation in &self.violations {
            writeln!(f, "  VIOLATION: {violation}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_sorted_and_refusals_counted() {
        let tally = Tally::default();
        for millis in (1..=200).rev() {
            tally.took("heartbeat", Duration::from_millis(millis));
        }
        tally.refused("heartbeat", &Refused::Broken);
        tally.violation("it came in");
        let report = tally.report("steady", 3, Duration::from_secs(2));
        let act = report.act("heartbeat").unwrap();
        assert_eq!((act.count, act.median_ms, act.p99_ms, act.longest_ms), (200, 100.0, 198.0, 200.0));
        assert_eq!(act.refused, BTreeMap::from([("BROKEN".to_owned(), 1)]));
        let text = report.to_string();
        assert!(text.contains("BROKEN ×1") && text.contains("VIOLATION: it came in"), "{text}");
    }
}
