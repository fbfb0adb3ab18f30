//! What a tenant may choose about how its agents behave.

use std::time::Duration;

use crate::ids::IdError;

/// How often an agent does something: whole seconds between the bounds of what it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Interval(u16);

impl Interval {
    /// The bounds of the time between heartbeats.
    pub const HEARTBEAT: std::ops::RangeInclusive<i64> = 10..=3600;
    /// The bounds of the time between metrics.
    pub const METRICS: std::ops::RangeInclusive<i64> = 5..=3600;

    /// The time between heartbeats.
    ///
    /// # Errors
    /// Refuses what is not between 10 and 3600 seconds.
    pub fn heartbeat(seconds: i64) -> Result<Self, IdError> {
        Self::within(&Self::HEARTBEAT, "10 to 3600", seconds)
    }

    /// The time between metrics.
    ///
    /// # Errors
    /// Refuses what is not between 5 and 3600 seconds.
    pub fn metrics(seconds: i64) -> Result<Self, IdError> {
        Self::within(&Self::METRICS, "5 to 3600", seconds)
    }

    fn within(
        bounds: &std::ops::RangeInclusive<i64>,
        rule: &'static str,
        seconds: i64,
    ) -> Result<Self, IdError> {
        match u16::try_from(seconds) {
            Ok(count) if bounds.contains(&seconds) => Ok(Self(count)),
            Ok(_) | Err(_) => Err(IdError::new("number of seconds", rule, &seconds.to_string())),
        }
    }

    /// The number of seconds.
    #[must_use]
    pub const fn seconds(self) -> u16 {
        self.0
    }

    /// As a length of time.
    #[must_use]
    pub const fn duration(self) -> Duration {
        Duration::from_secs(self.0 as u64)
    }
}

/// How a tenant's agents are to behave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AgentSettings {
    /// The time between heartbeats.
    pub heartbeat_interval: Interval,
    /// The time between metrics.
    pub metrics_interval: Interval,
    /// Grows with each change; 1 before the first.
    pub version: u64,
}

impl Default for AgentSettings {
    fn default() -> Self {
        Self {
            heartbeat_interval: Interval(60),
            metrics_interval: Interval(30),
            version: Self::FIRST_VERSION,
        }
    }
}

impl AgentSettings {
    /// The version of what nobody has changed.
    pub const FIRST_VERSION: u64 = 1;

    /// Whether an agent that goes by `echoed` has to be told these settings. One that names no version
    /// goes by what everybody starts with.
    #[must_use]
    pub const fn is_news_to(&self, echoed: Option<u64>) -> bool {
        match echoed {
            Some(version) => version != self.version,
            None => self.version != Self::FIRST_VERSION,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_keep_their_bounds() {
        assert!(Interval::heartbeat(10).is_ok() && Interval::heartbeat(3600).is_ok());
        assert!(Interval::metrics(5).is_ok() && Interval::metrics(3600).is_ok());
        for bad in [i64::MIN, -60, 0, 4, 3601, 65_536 + 60, i64::MAX] {
            assert!(Interval::heartbeat(bad).is_err() && Interval::metrics(bad).is_err(), "{bad}");
        }
        assert!(Interval::heartbeat(9).is_err());
    }

    #[test]
    fn an_agent_is_told_what_it_does_not_go_by() {
        let first = AgentSettings::default();
        assert!(!first.is_news_to(None) && !first.is_news_to(Some(1)) && first.is_news_to(Some(7)));
        let changed = AgentSettings { version: 2, ..first };
        assert!(changed.is_news_to(None) && changed.is_news_to(Some(1)) && !changed.is_news_to(Some(2)));
    }
}
