//! When it is said that a certificate is about to end: at four steps before, and when it has.

use crate::certificate::Lifetime;
use crate::time::Timestamp;

const DAY: u64 = 86_400;

/// How near a certificate is to its end, from near to far. Said once for each certificate and step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ExpiryStep {
    /// It is over.
    Over,
    /// It ends within a day.
    Day,
    /// It ends within seven days.
    Week,
    /// It ends within 14 days.
    Fortnight,
    /// It ends within 30 days.
    Month,
}

impl ExpiryStep {
    /// Every step, the nearest first.
    pub const ALL: [Self; 5] = [Self::Over, Self::Day, Self::Week, Self::Fortnight, Self::Month];

    /// How many days before the end it begins.
    #[must_use]
    pub const fn days(self) -> u32 {
        match self {
            Self::Over => 0,
            Self::Day => 1,
            Self::Week => 7,
            Self::Fortnight => 14,
            Self::Month => 30,
        }
    }

    /// How long before the end it begins.
    #[must_use]
    pub const fn before(self) -> std::time::Duration {
        std::time::Duration::from_secs(self.days() as u64 * DAY)
    }

    /// The next step towards the end.
    #[must_use]
    pub const fn nearer(self) -> Option<Self> {
        match self {
            Self::Over => None,
            Self::Day => Some(Self::Over),
            Self::Week => Some(Self::Day),
            Self::Fortnight => Some(Self::Week),
            Self::Month => Some(Self::Fortnight),
        }
    }

    /// The step at which a certificate is at `now`; `None`: its end is far. A step that is as long as the
    /// certificate's whole life, or within a day of it, says nothing and is left out.
    #[must_use]
    pub fn of(lifetime: Lifetime, now: Timestamp) -> Option<Self> {
        if now > lifetime.expires_at {
            return Some(Self::Over);
        }
        let left = lifetime.expires_at.since(now);
        let step = Self::ALL.into_iter().find(|step| *step != Self::Over && left <= step.before())?;
        step.says_something(lifetime).then_some(step)
    }

    /// Since when a certificate that is at a step is near its end or over; `None`: its end is far.
    #[must_use]
    pub fn near_since(lifetime: Lifetime, now: Timestamp) -> Option<Timestamp> {
        if Self::of(lifetime, now)? == Self::Over {
            return Some(lifetime.expires_at);
        }
        let first = Self::ALL.into_iter().rev().find(|step| step.says_something(lifetime))?;
        Some(lifetime.expires_at - first.before())
    }

    fn says_something(self, lifetime: Lifetime) -> bool {
        lifetime.expires_at.since(lifetime.issued_at) > self.before() + Self::Day.before()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const END: Timestamp = Timestamp::from_secs(4_000_000_000);

    fn ending(days: u64) -> Lifetime {
        Lifetime { issued_at: END - std::time::Duration::from_secs(days * DAY), expires_at: END }
    }

    fn at(lifetime: Lifetime, seconds_left: i64) -> Option<ExpiryStep> {
        ExpiryStep::of(lifetime, Timestamp::from_secs(END.secs() - seconds_left))
    }

    #[test]
    fn each_step_begins_to_the_second_and_lasts_until_the_next() {
        let day = i64::try_from(DAY).unwrap();
        for (left, step) in [
            (30 * day + 1, None),
            (30 * day, Some(ExpiryStep::Month)),
            (14 * day + 1, Some(ExpiryStep::Month)),
            (14 * day, Some(ExpiryStep::Fortnight)),
            (7 * day, Some(ExpiryStep::Week)),
            (day, Some(ExpiryStep::Day)),
            (0, Some(ExpiryStep::Day)),
            (-1, Some(ExpiryStep::Over)),
        ] {
            assert_eq!(at(ending(90), left), step, "{left}");
        }
    }

    #[test]
    fn a_step_as_long_as_a_whole_life_says_nothing() {
        let day = i64::try_from(DAY).unwrap();
        assert_eq!(at(ending(20), 20 * day), None);
        assert_eq!(at(ending(20), 13 * day), Some(ExpiryStep::Fortnight));
        assert_eq!(at(ending(7), 7 * day), None);
        assert_eq!(at(ending(7), day), Some(ExpiryStep::Day));
        assert_eq!(at(ending(1), day / 2), None);
        assert_eq!(at(ending(1), -1), Some(ExpiryStep::Over));
    }

    #[test]
    fn it_is_known_since_when_the_end_is_near() {
        let since = |lifetime, left: i64| {
            ExpiryStep::near_since(lifetime, Timestamp::from_secs(END.secs() - left))
                .map(|since| END.since(since).as_secs() / DAY)
        };
        let day = i64::try_from(DAY).unwrap();
        assert_eq!(since(ending(90), 2 * day), Some(30));
        assert_eq!(since(ending(20), 2 * day), Some(14));
        assert_eq!(since(ending(90), -day), Some(0));
        assert_eq!(since(ending(90), 40 * day), None);
    }

    #[test]
    fn steps_go_one_by_one_to_the_end() {
        let walked: Vec<_> = std::iter::successors(Some(ExpiryStep::Month), |step| step.nearer()).collect();
        assert!(walked.iter().rev().eq(&ExpiryStep::ALL));
    }
}
