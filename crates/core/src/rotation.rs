//! The rotation of a CA: its steps, who goes first, and when each device is asked to follow.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use thiserror::Error;

use crate::ids::{DeviceId, IdError, RotationId, Tenant};
use crate::time::Timestamp;

/// How far a rotation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RotationStep {
    /// The new CA is trusted and signs nothing.
    Prepared,
    /// The new CA signs for a few; the old one for the rest.
    Canary,
    /// The new CA signs for all; the old one is still trusted.
    Active,
    /// The old CA is trusted no more. The end.
    Retired,
    /// The new CA was given up. The end.
    Withdrawn,
}

/// What can happen to a rotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RotationEvent {
    /// It is said who goes first.
    Choose,
    /// All follow.
    Activate,
    /// The old CA is let go.
    Retire,
    /// One step back.
    GoBack,
}

/// An event that the present step does not allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a rotation that is {step} cannot go through {event:?}")]
pub struct IllegalRotationEvent {
    /// The step it is at and stays at.
    pub step: RotationStep,
    /// What was tried.
    pub event: RotationEvent,
}

impl RotationStep {
    /// Every step.
    pub const ALL: [Self; 5] = [Self::Prepared, Self::Canary, Self::Active, Self::Retired, Self::Withdrawn];

    /// The step after `event`.
    ///
    /// # Errors
    /// Fails closed: nothing follows the two ends, and no step is left out but the choice of who goes
    /// first.
    pub const fn apply(self, event: RotationEvent) -> Result<Self, IllegalRotationEvent> {
        match (self, event) {
            (Self::Prepared | Self::Canary, RotationEvent::Choose) => Ok(Self::Canary),
            (Self::Prepared | Self::Canary, RotationEvent::Activate) => Ok(Self::Active),
            (Self::Active, RotationEvent::Retire) => Ok(Self::Retired),
            (Self::Active | Self::Canary, RotationEvent::GoBack) => Ok(Self::Prepared),
            (Self::Prepared, RotationEvent::GoBack) => Ok(Self::Withdrawn),
            (step, event) => Err(IllegalRotationEvent { step, event }),
        }
    }

    /// Whether it goes on.
    #[must_use]
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Prepared | Self::Canary | Self::Active)
    }

    /// The stable word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Prepared => "prepared",
            Self::Canary => "canary",
            Self::Active => "active",
            Self::Retired => "retired",
            Self::Withdrawn => "withdrawn",
        }
    }
}

impl fmt::Display for RotationStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for RotationStep {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        Self::ALL
            .into_iter()
            .find(|step| step.as_str() == text)
            .ok_or_else(|| IdError::new("rotation step", "one of the five steps", text))
    }
}

/// Who gets certificates of the new CA before all do: `tenant:acme`, `percent:5` or `devices:50`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Canary {
    /// The devices of a tenant.
    Tenant(Tenant),
    /// About so many of a hundred devices, 1 to 99; always the same ones.
    Percent(u8),
    /// So many devices, chosen when it was said.
    Devices(u32),
}

impl Canary {
    /// How many devices can be chosen one by one.
    pub const MOST_DEVICES: u32 = 10_000;

    /// A share of all devices.
    ///
    /// # Errors
    /// Refuses what is not 1 to 99.
    pub const fn percent(percent: u8) -> Result<Self, &'static str> {
        if percent >= 1 && percent <= 99 { Ok(Self::Percent(percent)) } else { Err("must be 1 to 99") }
    }

    /// A number of devices.
    ///
    /// # Errors
    /// Refuses none, and more than [`Self::MOST_DEVICES`].
    pub const fn devices(count: u32) -> Result<Self, &'static str> {
        if count >= 1 && count <= Self::MOST_DEVICES {
            Ok(Self::Devices(count))
        } else {
            Err("must be 1 to 10000")
        }
    }

    /// Whether a device goes first; `None` when it depends on which ones were chosen.
    #[must_use]
    pub fn takes(&self, rotation: RotationId, tenant: &Tenant, device: DeviceId) -> Option<bool> {
        match self {
            Self::Tenant(chosen) => Some(chosen == tenant),
            Self::Percent(percent) => Some(place("canary", rotation, device) < f64::from(*percent) / 100.0),
            Self::Devices(_) => None,
        }
    }
}

/// A place from 0 up to 1: even over devices, always the same for one.
fn place(what: &str, rotation: RotationId, device: DeviceId) -> f64 {
    let mut hasher = Sha256::new();
    hasher.update(b"countersign-rotation-");
    hasher.update(what);
    hasher.update(rotation.uuid().as_bytes());
    hasher.update(device.uuid().as_bytes());
    let [a, b, c, d, ..]: [u8; 32] = hasher.finalize().into();
    f64::from(u32::from_be_bytes([a, b, c, d])) / (f64::from(u32::MAX) + 1.0)
}

impl fmt::Display for Canary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tenant(tenant) => write!(f, "tenant:{tenant}"),
            Self::Percent(percent) => write!(f, "percent:{percent}"),
            Self::Devices(count) => write!(f, "devices:{count}"),
        }
    }
}

impl FromStr for Canary {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let wrong = || IdError::new("canary", "tenant:…, percent:… or devices:…", text);
        match text.split_once(':') {
            Some(("tenant", slug)) => slug.parse().map(Self::Tenant),
            Some(("percent", number)) => {
                let number = number.parse().map_err(|_no_number| wrong())?;
                Self::percent(number).map_err(|_out_of_bounds| wrong())
            }
            Some(("devices", number)) => {
                let number = number.parse().map_err(|_no_number| wrong())?;
                Self::devices(number).map_err(|_out_of_bounds| wrong())
            }
            Some(_) | None => Err(wrong()),
        }
    }
}

/// A call to all devices that are still at the other CA: to renew before their own clocks say so, each at
/// its own moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RenewalCall {
    /// When the first ones are asked.
    pub from: Timestamp,
    /// How long it takes until the last ones are.
    pub over: Duration,
}

impl RenewalCall {
    /// Over how long a call may be spread: thirty days.
    pub const LONGEST: Duration = Duration::from_secs(30 * 86_400);

    /// When a device is asked.
    #[must_use]
    pub fn turn_of(&self, rotation: RotationId, device: DeviceId) -> Timestamp {
        self.from + self.over.mul_f64(place("renewal", rotation, device))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use proptest::sample::select;

    const EVENTS: [RotationEvent; 4] =
        [RotationEvent::Choose, RotationEvent::Activate, RotationEvent::Retire, RotationEvent::GoBack];

    #[test]
    fn every_step_and_canary_reads_back() {
        for step in RotationStep::ALL {
            assert_eq!(step.as_str().parse::<RotationStep>().unwrap(), step);
        }
        for text in ["tenant:acme", "percent:5", "devices:50"] {
            assert_eq!(text.parse::<Canary>().unwrap().to_string(), text);
        }
        for text in ["", "acme", "tenant:", "percent:0", "percent:100", "devices:0", "devices:10001", "all:1"]
        {
            assert!(text.parse::<Canary>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_share_is_about_as_large_as_it_says_and_always_the_same() {
        let (rotation, tenant) = (RotationId::random(), "acme".parse().unwrap());
        let devices: Vec<DeviceId> = (0..10_000).map(|_| DeviceId::random()).collect();
        let taken = |canary: &Canary| {
            devices.iter().filter(|device| canary.takes(rotation, &tenant, **device) == Some(true)).count()
        };
        let ten = taken(&Canary::Percent(10));
        assert!((800..1200).contains(&ten), "{ten}");
        assert_eq!(taken(&Canary::Percent(10)), ten);
        assert!(taken(&Canary::Percent(20)) > ten, "who was taken stays so");
        assert_eq!(taken(&Canary::Tenant(tenant.clone())), devices.len());
        assert_eq!(taken(&Canary::Tenant("other".parse().unwrap())), 0);
    }

    #[test]
    fn a_call_is_spread_over_its_time() {
        let call = RenewalCall { from: Timestamp::from_secs(100), over: Duration::from_secs(1000) };
        let rotation = RotationId::random();
        let turns: Vec<_> = (0..1000).map(|_| call.turn_of(rotation, DeviceId::random())).collect();
        let (first, last) = (call.from, call.from + call.over);
        assert!(turns.iter().all(|turn| (first..=last).contains(turn)));
        let early = turns.iter().filter(|turn| **turn < first + call.over / 2).count();
        assert!((400..600).contains(&early), "{early}");
    }

    proptest! {
        #[test]
        fn nothing_is_retired_that_was_not_active_and_the_ends_are_ends(
            events in prop::collection::vec(select(EVENTS.to_vec()), 0..20),
        ) {
            let mut step = RotationStep::Prepared;
            for event in events {
                let before = step;
                step = step.apply(event).unwrap_or(step);
                prop_assert!(before.is_open() || step == before);
                if step == RotationStep::Retired && before != step {
                    prop_assert_eq!(before, RotationStep::Active);
                }
                if step == RotationStep::Withdrawn && before != step {
                    prop_assert_eq!(before, RotationStep::Prepared);
                }
            }
        }
    }
}
