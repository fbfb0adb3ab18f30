//! What the doors of a process do: how much at the moment, and how many connections they let in over the last day.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ids::ProcessId;
use crate::time::Timestamp;

/// How finely time is told apart: so that hours can be counted back from any moment.
const SLOT: Duration = Duration::from_secs(600);

/// How many slots make an hour.
const SLOTS_IN_AN_HOUR: usize = 6;

/// How many hours are remembered.
pub const HOURS: usize = 24;

/// A part of time of ten minutes, counted from the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Slot(i64);

impl Slot {
    /// The slot of this number.
    #[must_use]
    pub const fn new(number: i64) -> Self {
        Self(number)
    }

    /// The slot that a moment is in.
    #[must_use]
    pub fn of(at: Timestamp) -> Self {
        Self(at.secs().div_euclid(i64::try_from(SLOT.as_secs()).unwrap_or(1)))
    }

    /// Its number.
    #[must_use]
    pub const fn number(self) -> i64 {
        self.0
    }

    /// The first slot that counts in a slot's last [`HOURS`].
    #[must_use]
    pub fn first_counted(self) -> Self {
        Self(self.0.saturating_sub(i64::try_from(HOURS * SLOTS_IN_AN_HOUR).unwrap_or(0) - 1))
    }

    /// In which of a slot's last [`HOURS`] it is, the oldest first; `None`: before or after them.
    #[must_use]
    pub fn hour(self, now: Self) -> Option<usize> {
        let ago = usize::try_from(now.0.checked_sub(self.0)?).ok()? / SLOTS_IN_AN_HOUR;
        HOURS.checked_sub(ago + 1)
    }
}

/// How busy doors are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DoorLoad {
    /// Connections that are open.
    pub connections: u64,
    /// Connections let in in a minute.
    pub handshakes_per_minute: u64,
    /// HTTP requests answered in a minute.
    pub requests_per_minute: u64,
}

/// What the doors of a process do. To hear of it twice does no harm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DoorWork {
    /// Whose doors.
    pub source: ProcessId,
    /// How busy they are.
    pub load: DoorLoad,
    /// How many connections they let in, by the slot in which they did.
    pub handshakes: BTreeMap<Slot, u64>,
}

impl DoorWork {
    /// The same without the slots that are in `told` with the same number.
    #[must_use]
    pub fn beyond(mut self, told: &BTreeMap<Slot, u64>) -> Self {
        self.handshakes.retain(|slot, count| told.get(slot) != Some(count));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_in_the_hour_that_it_is_counted_back_to() {
        let now = Slot::of(Timestamp::from_secs(1_800_000_000));
        assert_eq!(now, Slot::new(3_000_000));
        assert_eq!(now.hour(now), Some(HOURS - 1));
        assert_eq!(Slot::new(2_999_995).hour(now), Some(HOURS - 1));
        assert_eq!(Slot::new(2_999_994).hour(now), Some(HOURS - 2));
        assert_eq!(now.first_counted().hour(now), Some(0));
        assert_eq!(Slot::new(now.first_counted().number() - 1).hour(now), None);
        assert_eq!(Slot::new(3_000_001).hour(now), None);
        assert_eq!(Slot::new(i64::MIN).hour(now), None);
    }

    #[test]
    fn what_was_told_before_is_left_out() {
        let handshakes = BTreeMap::from([(Slot::new(1), 5), (Slot::new(3), 6), (Slot::new(4), 7)]);
        let told = BTreeMap::from([(Slot::new(1), 5), (Slot::new(3), 4)]);
        let work = DoorWork { source: ProcessId::random(), load: DoorLoad::default(), handshakes };
        let left: Vec<_> = work.beyond(&told).handshakes.into_iter().collect();
        assert_eq!(left, [(Slot::new(3), 6), (Slot::new(4), 7)]);
    }
}
