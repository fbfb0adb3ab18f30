//! Rate limits: token buckets in memory, bounded, failing closed.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use countersign_core::ids::{DeviceId, SecretHash};
use countersign_core::time::Timestamp;
use parking_lot::Mutex;

/// What is limited, and for whom.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Limited {
    /// Enrolments with a key that does not work, per network: 10 a minute.
    FailedEnrolment(Network),
    /// Heartbeats of a device: 120 a minute.
    Heartbeat(DeviceId),
    /// Renewals of a device with proof: one per 30 seconds.
    ProvedRenewal(DeviceId),
    /// Renewal calls of a device without a proof that holds: 10 a minute, apart from the proved ones.
    UnprovedRenewal(DeviceId),
    /// Challenges of a device: 60 a minute, apart from all else, so that whoever has its token alone
    /// cannot keep it from proving its key.
    Challenge(DeviceId),
    /// New bearer tokens of a device: 10 a minute.
    NewToken(DeviceId),
    /// Channels that a device opens: 30 a minute.
    Channel(DeviceId),
    /// Messages of a device over its channel: 600 a minute.
    Message(DeviceId),
    /// Provisioning tokens that do not work, per network: 30 a minute.
    FailedToken(Network),
    /// Failed sign-ins to an account, by the hash of its e-mail address: 10 per 15 minutes.
    FailedLogin(SecretHash),
    /// Failed sign-ins from a network: 30 per 15 minutes.
    FailedLoginFrom(Network),
}

/// The network that an address counts as: the address itself, or an IPv6 /64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Network(IpAddr);

impl From<IpAddr> for Network {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V6(v6) => {
                let prefix = u128::from(v6) & !u128::from(u64::MAX);
                Self(IpAddr::V6(prefix.into()))
            }
            v4 @ IpAddr::V4(_) => Self(v4),
        }
    }
}

/// Come back after this long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooMany {
    /// How long to wait.
    pub retry_after: Duration,
}

/// Buckets are forgotten once full again; beyond this many, strangers are refused.
const CAPACITY: usize = 200_000;

/// How far the moment of one who asks may lie before that of another who was let in first.
const OUT_OF_TURN: Duration = Duration::from_secs(10);

/// Devices have buckets of their own, so that strangers, however many, cannot get one refused.
#[derive(Debug, Default)]
pub(crate) struct Limits {
    devices: Mutex<HashMap<Limited, Bucket>>,
    strangers: Mutex<HashMap<Limited, Bucket>>,
}

/// When the bucket will be full again; what is missing is how far that lies ahead.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    full_at: Timestamp,
}

impl Limited {
    const fn rate(&self) -> (u32, Duration) {
        match self {
            Self::FailedEnrolment(_) | Self::UnprovedRenewal(_) | Self::NewToken(_) => {
                (10, Duration::from_secs(60))
            }
            Self::FailedToken(_) => (30, Duration::from_secs(60)),
            Self::Heartbeat(_) => (120, Duration::from_secs(60)),
            Self::Challenge(_) => (60, Duration::from_secs(60)),
            Self::Channel(_) => (30, Duration::from_secs(60)),
            Self::Message(_) => (600, Duration::from_secs(60)),
            Self::ProvedRenewal(_) => (1, Duration::from_secs(30)),
            Self::FailedLogin(_) => (10, Duration::from_secs(900)),
            Self::FailedLoginFrom(_) => (30, Duration::from_secs(900)),
        }
    }
}

impl Limits {
    /// Whether one more is allowed now, without counting it.
    pub(crate) fn check(&self, what: &Limited, now: Timestamp) -> Result<(), TooMany> {
        let buckets = self.buckets(what).lock();
        let full_at = buckets.get(what).map_or(now, |bucket| bucket.full_at);
        next_full_at(what, full_at, now).map(|_full_at| ())
    }

    /// Counts a failure that has already happened; an empty bucket refuses the next one anyway.
    pub(crate) fn count(&self, what: Limited, now: Timestamp) {
        if let Err(TooMany { retry_after }) = self.take(what, now) {
            tracing::debug!(?retry_after, "limit reached by a failure");
        }
    }

    /// Counts one.
    pub(crate) fn take(&self, what: Limited, now: Timestamp) -> Result<(), TooMany> {
        let mut buckets = self.buckets(&what).lock();
        if buckets.len() >= CAPACITY && !buckets.contains_key(&what) {
            buckets.retain(|_, bucket| bucket.full_at > now);
            if buckets.len() >= CAPACITY {
                return Err(TooMany { retry_after: what.rate().1 });
            }
        }
        let full_at = buckets.get(&what).map_or(now, |bucket| bucket.full_at);
        let full_at = next_full_at(&what, full_at, now)?;
        buckets.insert(what, Bucket { full_at });
        Ok(())
    }

    /// Takes back one that was counted before it turned out not to be a failure.
    pub(crate) fn give_back(&self, what: &Limited) {
        let (count, period) = what.rate();
        if let Some(bucket) = self.buckets(what).lock().get_mut(what) {
            bucket.full_at = bucket.full_at - period / count;
        }
    }

    const fn buckets(&self, what: &Limited) -> &Mutex<HashMap<Limited, Bucket>> {
        match what {
            Limited::Heartbeat(_)
            | Limited::ProvedRenewal(_)
            | Limited::UnprovedRenewal(_)
            | Limited::Challenge(_)
            | Limited::NewToken(_)
            | Limited::Channel(_)
            | Limited::Message(_) => &self.devices,
            Limited::FailedEnrolment(_)
            | Limited::FailedToken(_)
            | Limited::FailedLogin(_)
            | Limited::FailedLoginFrom(_) => &self.strangers,
        }
    }
}

fn next_full_at(what: &Limited, full_at: Timestamp, now: Timestamp) -> Result<Timestamp, TooMany> {
    let (count, period) = what.rate();
    // No bucket lacks more than its whole content: one that seems to was filled before the clock was set
    // back, which must not lock anybody out.
    let full_at = if full_at > now + period + OUT_OF_TURN { now } else { full_at.max(now) };
    let next = full_at + period / count;
    if next > now + period {
        return Err(TooMany { retry_after: next.since(now + period) });
    }
    Ok(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_its_count_and_fills_again() {
        let limits = Limits::default();
        let now = Timestamp::from_secs(1000);
        let who = || Limited::FailedEnrolment(Network::from(IpAddr::from([192, 0, 2, 1])));
        for _ in 0..10 {
            limits.take(who(), now).unwrap();
        }
        let refused = limits.take(who(), now).unwrap_err();
        assert_eq!(refused.retry_after, Duration::from_secs(6));
        assert!(limits.check(&who(), now).is_err());
        limits.take(who(), now + refused.retry_after).unwrap();
        assert!(limits.take(who(), now + refused.retry_after).is_err());
    }

    #[test]
    fn a_proved_renewal_waits_thirty_seconds() {
        let limits = Limits::default();
        let (now, device) = (Timestamp::from_secs(0), DeviceId::random());
        limits.take(Limited::ProvedRenewal(device), now).unwrap();
        assert!(limits.take(Limited::ProvedRenewal(device), now + Duration::from_secs(29)).is_err());
        limits.take(Limited::ProvedRenewal(device), now + Duration::from_secs(30)).unwrap();
    }

    #[test]
    fn what_is_given_back_can_be_taken_again() {
        let limits = Limits::default();
        let (now, device) = (Timestamp::from_secs(0), DeviceId::random());
        for _ in 0..3 {
            limits.take(Limited::ProvedRenewal(device), now).unwrap();
            assert!(limits.take(Limited::ProvedRenewal(device), now).is_err());
            limits.give_back(&Limited::ProvedRenewal(device));
        }
    }

    #[test]
    fn a_clock_set_back_locks_nobody_out() {
        let limits = Limits::default();
        let (before, device) = (Timestamp::from_secs(1_000_000), DeviceId::random());
        limits.take(Limited::ProvedRenewal(device), before).unwrap();
        let now = before - Duration::from_secs(3600);
        limits.take(Limited::ProvedRenewal(device), now).unwrap();
        assert!(limits.take(Limited::ProvedRenewal(device), now).is_err(), "and counts on from there");
    }

    #[test]
    fn who_comes_late_with_an_earlier_moment_is_counted_too() {
        let limits = Limits::default();
        let (now, device) = (Timestamp::from_secs(1_000_000), DeviceId::random());
        limits.take(Limited::ProvedRenewal(device), now + Duration::from_millis(3)).unwrap();
        let refused = limits.take(Limited::ProvedRenewal(device), now).unwrap_err();
        assert_eq!(refused.retry_after, Duration::from_millis(30_003));
    }

    #[test]
    fn strangers_cannot_fill_what_devices_need() {
        let limits = Limits::default();
        let now = Timestamp::from_secs(0);
        for number in 0..=u32::try_from(CAPACITY).unwrap() {
            let stranger = Limited::FailedEnrolment(Network::from(IpAddr::from(number.to_be_bytes())));
            limits.count(stranger, now);
        }
        let late = Limited::FailedEnrolment(Network::from(IpAddr::from([192, 0, 2, 1])));
        assert!(limits.take(late, now).is_err(), "fails closed when there is no room");
        limits.take(Limited::Heartbeat(DeviceId::random()), now).unwrap();
    }

    #[test]
    fn addresses_of_one_ipv6_network_count_as_one() {
        let network = |text: &str| Network::from(text.parse::<IpAddr>().unwrap());
        assert_eq!(network("2001:db8::1"), network("2001:db8::ffff"));
        assert_ne!(network("2001:db8::1"), network("2001:db8:0:1::1"));
        assert_eq!(network("::ffff:192.0.2.1"), network("192.0.2.1"));
    }
}
