//! Refusals per minute, to see when there are far more than before.

use std::collections::{BTreeMap, VecDeque};

use countersign_core::time::Timestamp;
use parking_lot::Mutex;

/// How many minutes are remembered.
const MINUTES: usize = 60;

/// Over how many of them is looked.
const RECENT: usize = 5;

/// How many refusals in the recent minutes are the fewest that anybody is told of.
const FEWEST: u64 = 300;

/// How many times as many as before make a spike.
const TIMES: u64 = 5;

/// How many enrolments with keys that do not work, in the recent minutes, are abuse.
const ABUSE: u64 = 30;

/// The code of such an enrolment.
const BAD_KEY: &str = "ENROLLMENT_KEY_REFUSED";

/// How many codes are told apart.
const CODES: usize = 128;

/// What came in the last hour, by code; the latest minute is the last.
#[derive(Debug, Default)]
pub(crate) struct Spikes(Mutex<Hour>);

#[derive(Debug, Default)]
struct Hour {
    minute: i64,
    codes: BTreeMap<String, VecDeque<u64>>,
}

/// Far more than before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Spike {
    /// Of a code: how many in the last minutes.
    Refused(String, u64),
    /// Enrolments with keys that do not work.
    BadKeys(u64),
}

impl Spikes {
    /// Counts a refusal.
    pub(crate) fn take(&self, code: &str, at: Timestamp) {
        let mut hour = self.0.lock();
        hour.turn_to(at);
        if hour.codes.len() >= CODES && !hour.codes.contains_key(code) {
            return;
        }
        let minutes = hour.codes.entry(code.to_owned()).or_default();
        if minutes.is_empty() {
            minutes.push_back(0);
        }
        if let Some(last) = minutes.back_mut() {
            *last += 1;
        }
    }

    /// What there is far more of than before.
    pub(super) fn now(&self, at: Timestamp) -> Vec<Spike> {
        let mut hour = self.0.lock();
        hour.turn_to(at);
        let mut spikes = Vec::new();
        for (code, minutes) in &hour.codes {
            let recent: u64 = minutes.iter().rev().take(RECENT).sum();
            if code == BAD_KEY && recent >= ABUSE {
                spikes.push(Spike::BadKeys(recent));
            }
            let before: u64 = minutes.iter().rev().skip(RECENT).sum();
            let spans = u64::try_from((MINUTES - RECENT) / RECENT).unwrap_or(1);
            if recent >= FEWEST && recent * spans > before * TIMES {
                spikes.push(Spike::Refused(code.clone(), recent));
            }
        }
        spikes
    }
}

impl Hour {
    fn turn_to(&mut self, at: Timestamp) {
        let minute = at.secs().div_euclid(60);
        let passed = usize::try_from(minute - self.minute).unwrap_or_default().min(MINUTES);
        if passed == 0 {
            return;
        }
        self.minute = minute;
        self.codes.retain(|_, minutes| {
            for _ in 0..passed {
                minutes.push_back(0);
                if minutes.len() > MINUTES {
                    minutes.pop_front();
                }
            }
            minutes.iter().any(|count| *count > 0)
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_secs(1_800_000_000 + minute * 60)
    }

    #[test]
    fn a_steady_flood_is_no_spike_and_a_sudden_one_is() {
        let spikes = Spikes::default();
        for minute in 0..60 {
            (0..100).for_each(|_| spikes.take("MTLS_REQUIRED", at(minute)));
        }
        assert_eq!(spikes.now(at(60)), []);
        (0..3000).for_each(|_| spikes.take("MTLS_REQUIRED", at(61)));
        assert!(matches!(&*spikes.now(at(61)), [Spike::Refused(code, _)] if code == "MTLS_REQUIRED"));
        assert_eq!(spikes.now(at(67)), [], "it is over");
    }

    #[test]
    fn few_refusals_are_no_spike_and_few_bad_keys_no_abuse() {
        let spikes = Spikes::default();
        (0..29).for_each(|_| spikes.take(BAD_KEY, at(0)));
        assert_eq!(spikes.now(at(0)), []);
        spikes.take(BAD_KEY, at(0));
        assert_eq!(spikes.now(at(0)), [Spike::BadKeys(30)]);
        assert_eq!(spikes.now(at(200)), []);
    }
}
