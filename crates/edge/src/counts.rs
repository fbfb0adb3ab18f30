//! What a door counts of its connections and requests.
//!
//! A request costs one relaxed addition to a number that the threads of other requests do not write: threads
//! are spread over a few sets of numbers, which are added up when somebody asks.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use countersign_core::access::Place;
use http::StatusCode;
use parking_lot::Mutex;

use crate::registry::Registry;

/// How many sets of numbers there are.
const SETS: usize = 8;

/// How many codes are told apart: ours are fewer, so that a bug cannot fill the memory.
const CODES: usize = 128;

/// What stands for the codes beyond that.
const OTHER: &str = "OTHER";

/// For what a request came, as far as it was found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum RouteClass {
    /// Turned away before a route was found.
    #[default]
    None,
    /// What an agent does day by day.
    Agent,
    /// Tokens and the end of an enrolment.
    Credentials,
    /// Enrolment.
    Enroll,
    /// Renewal and its challenge.
    Renew,
    /// The confirmation of a new certificate.
    Confirm,
    /// Whatever stands behind the door.
    Upstream,
}

impl RouteClass {
    /// Every class.
    pub const ALL: [Self; 7] = [
        Self::None,
        Self::Agent,
        Self::Credentials,
        Self::Enroll,
        Self::Renew,
        Self::Confirm,
        Self::Upstream,
    ];

    /// Its name in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Agent => "agent",
            Self::Credentials => "credentials",
            Self::Enroll => "enroll",
            Self::Renew => "renew",
            Self::Confirm => "confirm",
            Self::Upstream => "upstream",
        }
    }
}

impl From<Place> for RouteClass {
    fn from(place: Place) -> Self {
        match place {
            Place::Agent => Self::Agent,
            Place::Credentials => Self::Credentials,
            Place::Enroll => Self::Enroll,
            Place::Renew => Self::Renew,
            Place::Confirm => Self::Confirm,
            Place::Upstream => Self::Upstream,
        }
    }
}

/// Requests by class, then by the first digit of their status.
type Requests = [[AtomicU64; 5]; RouteClass::ALL.len()];

/// As wide as two lines of a processor's cache, so that no two sets share one.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Set(Requests);

/// The numbers of one door, from its opening on.
#[derive(Debug, Default)]
pub struct DoorCounts {
    requests: [Set; SETS],
    unfinished: AtomicU64,
    codes: Mutex<BTreeMap<(Outcome, String), u64>>,
}

/// What became of something that has a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// It was refused.
    Refused,
    /// It would have been refused under enforcement.
    WouldRefuse,
    /// It was let in, and failed behind the door.
    Failed,
}

impl Outcome {
    /// Its name in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::WouldRefuse => "would_refuse",
            Self::Failed => "failed",
        }
    }
}

/// The numbers of a door at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DoorNumbers {
    /// Handshakes that led to a connection.
    pub handshakes: u64,
    /// Handshakes that were begun and neither finished nor refused.
    pub unfinished: u64,
    /// Connections that are open.
    pub open: u64,
    /// Requests by class and first digit of the status; only those that there were.
    pub requests: BTreeMap<(RouteClass, u8), u64>,
    /// Connections and requests with a code, by what became of them.
    pub codes: BTreeMap<(Outcome, String), u64>,
}

impl DoorCounts {
    /// Counts a request that has its answer.
    pub(crate) fn request(&self, class: RouteClass, status: StatusCode) {
        let digit = usize::from(status.as_u16() / 100).clamp(1, 5) - 1;
        let place = RouteClass::ALL.iter().position(|one| *one == class).unwrap_or_default();
        let set = self.requests.get(own_set()).and_then(|set| set.0.get(place)?.get(digit));
        if let Some(number) = set {
            number.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts a handshake that somebody did not finish.
    pub(crate) fn unfinished(&self) {
        self.unfinished.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts what has a code.
    pub(crate) fn code(&self, outcome: Outcome, code: &str) {
        let mut codes = self.codes.lock();
        if let Some(count) = codes.get_mut(&(outcome, code.to_owned())) {
            *count += 1;
            return;
        }
        let code = if codes.len() < CODES { code } else { OTHER };
        *codes.entry((outcome, code.to_owned())).or_default() += 1;
    }

    fn numbers(&self) -> DoorNumbers {
        let mut requests = BTreeMap::new();
        for set in &self.requests {
            for (class, statuses) in RouteClass::ALL.iter().zip(&set.0) {
                for (digit, number) in (1_u8..).zip(statuses) {
                    let count = number.load(Ordering::Relaxed);
                    if count > 0 {
                        *requests.entry((*class, digit)).or_default() += count;
                    }
                }
            }
        }
        let unfinished = self.unfinished.load(Ordering::Relaxed);
        DoorNumbers { unfinished, requests, codes: self.codes.lock().clone(), ..DoorNumbers::default() }
    }
}

/// The set of this thread; threads take turns at the sets.
fn own_set() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static OWN: usize = NEXT.fetch_add(1, Ordering::Relaxed) % SETS;
    }
    OWN.with(|own| *own)
}

/// Reads the numbers of a door, also when the door itself is in other hands.
#[derive(Clone, Debug)]
pub struct DoorMeter {
    pub(crate) counts: Arc<DoorCounts>,
    pub(crate) registry: Arc<Registry>,
}

impl DoorMeter {
    /// The numbers now.
    #[must_use]
    pub fn read(&self) -> DoorNumbers {
        let (handshakes, open) = (self.registry.registered(), self.registry.open());
        DoorNumbers { handshakes, open, ..self.counts.numbers() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_of_all_threads_are_added_up() {
        let counts = Arc::new(DoorCounts::default());
        let threads = (0..20).map(|_| {
            let counts = Arc::clone(&counts);
            std::thread::spawn(move || {
                (0..100).for_each(|_| counts.request(RouteClass::Upstream, StatusCode::NO_CONTENT));
                counts.request(RouteClass::None, StatusCode::MISDIRECTED_REQUEST);
            })
        });
        threads.for_each(|thread| thread.join().unwrap());
        let wanted = [((RouteClass::None, 4), 20), ((RouteClass::Upstream, 2), 2000)];
        assert_eq!(counts.numbers().requests, BTreeMap::from(wanted));
    }

    #[test]
    fn codes_are_bounded() {
        let counts = DoorCounts::default();
        for number in 0..1000 {
            counts.code(Outcome::Refused, &format!("CODE_{number}"));
        }
        let codes = counts.numbers().codes;
        assert_eq!(codes.len(), CODES + 1);
        assert_eq!(codes.get(&(Outcome::Refused, OTHER.to_owned())), Some(&(1000 - CODES as u64)));
    }
}
