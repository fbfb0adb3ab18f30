//! How often something may be asked for.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

use thiserror::Error;

/// So many requests in a time, evenly, and so many at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    count: NonZeroU32,
    per: Unit,
    burst: NonZeroU32,
}

/// What a rate counts by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Second,
    Minute,
    Hour,
}

impl Unit {
    const fn seconds(self) -> u32 {
        match self {
            Self::Second => 1,
            Self::Minute => 60,
            Self::Hour => 3600,
        }
    }
}

/// A text that is no rate.
#[derive(Debug, Error)]
#[error("not a rate such as 100/s, 600/min or 20/h burst 5: {0:?}")]
pub struct RateError(String);

impl Rate {
    /// How far apart evenly spaced requests are.
    pub(crate) fn interval(self) -> Duration {
        Duration::from_secs(self.per.seconds().into()) / self.count.get()
    }

    /// How far ahead of that somebody may be who asked for nothing before.
    pub(crate) fn tolerance(self) -> Duration {
        self.interval().saturating_mul(self.burst.get().saturating_sub(1))
    }
}

impl FromStr for Rate {
    type Err = RateError;

    /// `COUNT/UNIT` with `s`, `min` or `h`, and how many may come at once: `100/s burst 200`. Without
    /// it, as many as the count.
    fn from_str(text: &str) -> Result<Self, RateError> {
        let refused = || RateError(text.chars().take(60).collect());
        let (rate, burst) = match text.split_once(" burst ") {
            Some((rate, burst)) => (rate, Some(burst.trim())),
            None => (text, None),
        };
        let (count, unit) = rate.trim().split_once('/').ok_or_else(refused)?;
        let number = |text: &str| text.parse::<NonZeroU32>().map_err(|_invalid| refused());
        let count = number(count)?;
        let per = match unit {
            "s" => Unit::Second,
            "min" => Unit::Minute,
            "h" => Unit::Hour,
            _ => return Err(refused()),
        };
        let burst = burst.map(number).transpose()?.unwrap_or(count);
        Ok(Self { count, per, burst })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = match self.per {
            Unit::Second => "s",
            Unit::Minute => "min",
            Unit::Hour => "h",
        };
        write!(f, "{}/{unit} burst {}", self.count, self.burst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_says_how_often_and_how_many_at_once() {
        let rate: Rate = "100/s".parse().unwrap();
        assert_eq!(
            (rate.interval(), rate.tolerance()),
            (Duration::from_millis(10), Duration::from_millis(990))
        );
        let rate: Rate = "20/h burst 1".parse().unwrap();
        assert_eq!((rate.interval(), rate.tolerance()), (Duration::from_secs(180), Duration::ZERO));
        assert_eq!(rate.to_string().parse::<Rate>().unwrap(), rate);
    }

    #[test]
    fn refuses_what_is_no_rate() {
        for text in ["", "100", "0/s", "100/d", "100/s burst 0", "100/s burst", "-1/s", "1.5/s", "/s", "1/"] {
            assert!(text.parse::<Rate>().is_err(), "{text}");
        }
    }
}
