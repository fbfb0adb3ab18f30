//! What the doors of this process do: by ten minutes for a day, and how busy they are.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use countersign_core::door_work::{DoorLoad, DoorWork, Slot};
use countersign_core::ids::ProcessId;
use countersign_core::time::Timestamp;

/// Over how long it is counted how busy they are.
const WINDOW: Duration = Duration::from_secs(60);

/// What doors have done since the process was started.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sums {
    /// Handshakes that led to a connection.
    pub(super) handshakes: u64,
    /// Requests that have their answer.
    pub(super) requests: u64,
}

impl Sums {
    /// What was added since. Doors that went away take their numbers with them: a lower sum begins anew.
    const fn since(self, before: Self) -> Self {
        Self {
            handshakes: self.handshakes.saturating_sub(before.handshakes),
            requests: self.requests.saturating_sub(before.requests),
        }
    }
}

/// What the doors of this process did.
#[derive(Debug)]
pub(super) struct Traffic {
    work: DoorWork,
    /// The sums of the last window, the oldest first.
    seen: VecDeque<(Timestamp, Sums)>,
}

impl Traffic {
    /// Of a process that starts at a moment.
    pub(super) fn new(now: Timestamp) -> Self {
        let (source, load) = (ProcessId::random(), DoorLoad::default());
        let work = DoorWork { source, load, handshakes: BTreeMap::new() };
        Self { work, seen: VecDeque::from([(now, Sums::default())]) }
    }

    /// Takes note of what there has been and how many connections are open, and says what there was to now.
    pub(super) fn note(&mut self, sums: Sums, connections: u64, now: Timestamp) -> DoorWork {
        let before = self.seen.back().map_or_else(Sums::default, |(_at, sums)| *sums);
        let (slot, more) = (Slot::of(now), sums.since(before));
        if more.handshakes > 0 {
            *self.work.handshakes.entry(slot).or_default() += more.handshakes;
        }
        self.work.handshakes = self.work.handshakes.split_off(&slot.first_counted());
        self.seen.push_back((now, sums));
        while self.seen.len() > 2 && self.seen.front().is_some_and(|(at, _sums)| now.since(*at) > WINDOW) {
            self.seen.pop_front();
        }
        self.work.load = self.load(sums, connections, now);
        self.work.clone()
    }

    fn load(&self, sums: Sums, connections: u64, now: Timestamp) -> DoorLoad {
        let (since, before) = self.seen.front().copied().unwrap_or((now, sums));
        let (lately, seconds) = (sums.since(before), now.since(since).as_secs().max(1));
        DoorLoad {
            connections,
            handshakes_per_minute: lately.handshakes.saturating_mul(60) / seconds,
            requests_per_minute: lately.requests.saturating_mul(60) / seconds,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_secs(1_800_000_000);
    const HOUR: Duration = Duration::from_secs(3600);

    fn handshakes(handshakes: u64) -> Sums {
        Sums { handshakes, requests: 0 }
    }

    #[test]
    fn each_is_counted_in_its_slot_and_forgotten_after_a_day() {
        let mut traffic = Traffic::new(START);
        traffic.note(handshakes(5), 0, START);
        traffic.note(handshakes(7), 0, START + Duration::from_secs(60));
        let work = traffic.note(handshakes(8), 0, START + HOUR * 2);
        assert_eq!(
            work.handshakes.into_iter().collect::<Vec<_>>(),
            [(Slot::of(START), 7), (Slot::of(START + HOUR * 2), 1),]
        );
        assert_eq!(traffic.note(handshakes(8), 0, START + HOUR * 24).handshakes.len(), 1);
        assert_eq!(traffic.note(handshakes(8), 0, START + HOUR * 48).handshakes.len(), 0);
    }

    #[test]
    fn doors_that_are_gone_take_nothing_back() {
        let mut traffic = Traffic::new(START);
        traffic.note(handshakes(100), 0, START);
        traffic.note(handshakes(3), 0, START);
        let work = traffic.note(handshakes(5), 0, START);
        assert_eq!(work.handshakes.values().sum::<u64>(), 102);
    }

    #[test]
    fn the_load_is_that_of_the_last_minute() {
        let mut traffic = Traffic::new(START);
        let second = |number| START + Duration::from_secs(number);
        let first = traffic.note(Sums { handshakes: 10, requests: 100 }, 4, second(10)).load;
        let wanted = DoorLoad { connections: 4, handshakes_per_minute: 60, requests_per_minute: 600 };
        assert_eq!(first, wanted);
        for number in 2..=12 {
            traffic.note(Sums { handshakes: 10 * number, requests: 100 }, 4, second(10 * number));
        }
        let later = traffic.note(Sums { handshakes: 130, requests: 100 }, 5, second(130)).load;
        assert_eq!(later, DoorLoad { connections: 5, handshakes_per_minute: 60, requests_per_minute: 0 });
        let idle = traffic.note(Sums { handshakes: 130, requests: 100 }, 0, second(900)).load;
        assert_eq!(idle, DoorLoad::default());
    }
}
