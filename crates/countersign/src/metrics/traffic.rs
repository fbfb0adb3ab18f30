//! What the doors of this process let in, hour by hour.

use std::collections::VecDeque;
use std::time::Duration;

use countersign_authority::refusal_counts::HOURS;
use countersign_core::time::Timestamp;

/// How finely time is told apart: so that hours can be counted back from any moment.
const SLOT: Duration = Duration::from_secs(600);

/// How many slots make an hour.
const IN_AN_HOUR: i64 = 6;

/// Handshakes that led to a connection, by the slot in which they did.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    /// The sum that was read last.
    seen: u64,
    /// Slots in which there were some, the oldest first.
    slots: VecDeque<(i64, u64)>,
}

impl Traffic {
    /// Takes note of how many there have been since the process was started. Doors that went away take their
    /// numbers with them: a lower sum begins anew.
    pub(super) fn note(&mut self, sum: u64, now: Timestamp) {
        let more = sum.saturating_sub(self.seen);
        self.seen = sum;
        let slot = slot_of(now);
        match self.slots.back_mut() {
            Some((last, count)) if *last == slot => *count += more,
            Some(_) | None if more > 0 => self.slots.push_back((slot, more)),
            Some(_) | None => {}
        }
        while self.slots.front().is_some_and(|(first, _)| hours_ago(*first, slot) >= HOURS) {
            self.slots.pop_front();
        }
    }

    /// How many there were in each of the last hours, the oldest first.
    pub(super) fn by_hour(&self, now: Timestamp) -> [u64; HOURS] {
        let mut hours = [0; HOURS];
        for (slot, count) in &self.slots {
            let place = HOURS.checked_sub(hours_ago(*slot, slot_of(now)) + 1);
            if let Some(hour) = place.and_then(|place| hours.get_mut(place)) {
                *hour += count;
            }
        }
        hours
    }
}

fn slot_of(now: Timestamp) -> i64 {
    now.secs().div_euclid(i64::try_from(SLOT.as_secs()).unwrap_or(1))
}

fn hours_ago(slot: i64, now: i64) -> usize {
    usize::try_from(now.saturating_sub(slot) / IN_AN_HOUR).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_secs(1_800_000_000);
    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn each_is_counted_in_its_hour_and_forgotten_after_a_day() {
        let mut traffic = Traffic::default();
        traffic.note(5, START);
        traffic.note(7, START + Duration::from_secs(60));
        traffic.note(7, START + HOUR);
        traffic.note(8, START + HOUR * 2);
        let hours = traffic.by_hour(START + HOUR * 2);
        assert_eq!((hours[HOURS - 3], hours[HOURS - 2], hours[HOURS - 1]), (7, 0, 1));
        assert_eq!(hours.iter().sum::<u64>(), 8);
        traffic.note(9, START + HOUR * 24);
        let hours = traffic.by_hour(START + HOUR * 24);
        assert_eq!((hours[0], hours[1], hours[HOURS - 1]), (0, 1, 1));
        assert_eq!(traffic.by_hour(START + HOUR * 48), [0; HOURS]);
    }

    #[test]
    fn doors_that_are_gone_take_nothing_back() {
        let mut traffic = Traffic::default();
        traffic.note(100, START);
        traffic.note(3, START);
        traffic.note(5, START);
        assert_eq!(traffic.by_hour(START).iter().sum::<u64>(), 102);
    }
}
