//! Where devices are heard of: one that turns up in a network that it was not in before, and one that is in two at once.
//!
//! A device that stays where it is costs nothing. What is remembered of the others is bounded, and forgotten when this
//! process ends: then each is where its record says that it was heard of last.

use std::cmp::Reverse;
use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use countersign_core::ids::{DeviceId, Tenant};
use countersign_core::time::Timestamp;
use countersign_store::{DeviceRow, Severity};
use parking_lot::Mutex;

use super::causes::Cause;
use super::kind::AlertKind;

/// How many devices that move are remembered, and how many networks of each.
const DEVICES: usize = 65_536;
const NETWORKS: usize = 16;

/// How many times a device has to change its network within the window to be in two at once: there, back, and there
/// again.
const CHANGES: usize = 3;

/// For how long something unusual is told.
const TOLD: Duration = Duration::from_secs(600);

/// Of how many devices it is told one by one.
const ONE_BY_ONE: usize = 50;

/// What is unusual.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnusualAccess {
    /// Whether a network that a device was not in before is.
    pub new_networks: Observed,
    /// Within what time a device has to go to and fro to be at two places; `None`: none ever is.
    pub two_places: Option<Duration>,
}

/// Whether somebody is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Observed {
    /// Nobody.
    Off,
    /// By an alert; nothing is refused.
    Observe,
}

impl Default for UnusualAccess {
    fn default() -> Self {
        Self { new_networks: Observed::Off, two_places: Some(Duration::from_secs(600)) }
    }
}

/// An IPv4 /24 or an IPv6 /48.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place(IpAddr);

impl From<IpAddr> for Place {
    fn from(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V4(v4) => Ipv4Addr::from(u32::from(v4) & !0xff).into(),
            IpAddr::V6(v6) => Ipv6Addr::from(u128::from(v6) & !(u128::MAX >> 48)).into(),
        })
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            IpAddr::V4(v4) => write!(f, "{v4}/24"),
            IpAddr::V6(v6) => write!(f, "{v6}/48"),
        }
    }
}

/// The devices that moved.
#[derive(Debug, Default)]
pub(crate) struct Whereabouts {
    wanted: Mutex<UnusualAccess>,
    moved: Mutex<HashMap<DeviceId, Moves>>,
}

/// Where a device was.
#[derive(Debug)]
struct Moves {
    tenant: Tenant,
    name: String,
    places: VecDeque<Place>,
    changes: VecDeque<Timestamp>,
    /// When it came to a network that it had not been in, and to which.
    new: Option<(Timestamp, Place)>,
    /// When it was in two at once last, and in which.
    twice: Option<(Timestamp, Place, Place)>,
}

impl Moves {
    fn of(device: &DeviceRow, before: Place) -> Self {
        Self {
            tenant: device.tenant_slug.clone(),
            name: format!("{}/{}", device.tenant_slug, device.name),
            places: VecDeque::from([before]),
            changes: VecDeque::new(),
            new: None,
            twice: None,
        }
    }

    fn take(&mut self, before: Place, place: Place, (now, window): (Timestamp, Option<Duration>)) {
        if !self.places.contains(&place) {
            self.new = Some((now, place));
            self.places.push_back(place);
            if self.places.len() > NETWORKS {
                self.places.pop_front();
            }
        }
        let Some(window) = window else { return };
        self.changes.push_back(now);
        if self.changes.len() > CHANGES {
            self.changes.pop_front();
        }
        let is_quick = self.changes.front().is_some_and(|first| now.since(*first) <= window);
        if self.changes.len() == CHANGES && is_quick {
            self.twice = Some((now, before, place));
        }
    }

    fn last(&self) -> Option<Timestamp> {
        self.changes.back().copied().max(self.new.map(|(at, _)| at))
    }
}

impl Whereabouts {
    /// Says what is unusual from now on.
    pub(super) fn want(&self, wanted: UnusualAccess) {
        *self.wanted.lock() = wanted;
    }

    /// A device was heard of.
    pub(crate) fn hear(&self, device: &DeviceRow, address: IpAddr, now: Timestamp) {
        let Some(before) = device.last_ip.as_ref().and_then(|text| text.parse::<IpAddr>().ok()) else {
            return;
        };
        let (before, place) = (Place::from(before), Place::from(address));
        if before == place {
            return;
        }
        let mut moved = self.moved.lock();
        if moved.len() >= DEVICES && !moved.contains_key(&device.id) {
            moved.retain(|_, moves| moves.last().is_some_and(|last| now.since(last) < TOLD));
            if moved.len() >= DEVICES {
                return;
            }
        }
        let moves = moved.entry(device.id).or_insert_with(|| Moves::of(device, before));
        moves.take(before, place, (now, self.wanted.lock().two_places));
    }

    /// What is unusual now.
    pub(super) fn causes(&self, now: Timestamp) -> Vec<Cause> {
        let is_told = |at: Timestamp| now.since(at) < TOLD;
        let observes_new = self.wanted.lock().new_networks == Observed::Observe;
        let (mut new, mut twice) = (Vec::new(), Vec::new());
        for moves in self.moved.lock().values() {
            if let Some((at, place)) = moves.new.filter(|(at, _)| observes_new && is_told(*at)) {
                let said =
                    format!("the device {} is heard of from {place}, where it was not before", moves.name);
                new.push((at, moves.cause(AlertKind::DeviceNewNetwork, Severity::Info, said)));
            }
            if let Some((at, one, other)) = moves.twice.filter(|(at, ..)| is_told(*at)) {
                let said = format!(
                    "the device {} is heard of from {one} and {other} in turn: somebody may have its key",
                    moves.name
                );
                twice.push((at, moves.cause(AlertKind::DeviceTwoPlaces, Severity::Warning, said)));
            }
        }
        let mut causes = cut(AlertKind::DeviceNewNetwork, Severity::Info, new);
        causes.extend(cut(AlertKind::DeviceTwoPlaces, Severity::Warning, twice));
        causes
    }
}

impl Moves {
    fn cause(&self, kind: AlertKind, severity: Severity, summary: String) -> Cause {
        let tenant = Some(self.tenant.clone());
        Cause { kind, subject: self.name.clone(), tenant, severity, summary }
    }
}

/// The latest one by one, and the others together.
fn cut(kind: AlertKind, severity: Severity, mut found: Vec<(Timestamp, Cause)>) -> Vec<Cause> {
    found.sort_by_key(|(at, _)| Reverse(*at));
    let more = found.len().saturating_sub(ONE_BY_ONE);
    let mut causes: Vec<Cause> = found.into_iter().take(ONE_BY_ONE).map(|(_, cause)| cause).collect();
    if more > 0 {
        let summary = format!("{more} more devices, beside those that are told one by one");
        causes.push(Cause { kind, subject: "others".to_owned(), tenant: None, severity, summary });
    }
    causes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_secs(1_800_000_000 + second)
    }

    fn place(text: &str) -> Place {
        text.parse::<IpAddr>().unwrap().into()
    }

    fn watching() -> Moves {
        Moves {
            tenant: "acme".parse().unwrap(),
            name: "acme/ws-01".to_owned(),
            places: VecDeque::from([place("192.0.2.1")]),
            changes: VecDeque::new(),
            new: None,
            twice: None,
        }
    }

    #[test]
    fn a_site_is_a_network_of_one_place() {
        assert_eq!(place("192.0.2.1"), place("192.0.2.200"));
        assert_eq!(place("192.0.2.1"), place("::ffff:192.0.2.7"));
        assert_ne!(place("192.0.2.1"), place("192.0.3.1"));
        assert_eq!(place("2001:db8:1:2::3").to_string(), "2001:db8:1::/48");
        assert_ne!(place("2001:db8:1::1"), place("2001:db8:2::1"));
        assert_eq!(place("192.0.2.9").to_string(), "192.0.2.0/24");
    }

    #[test]
    fn to_and_fro_in_short_is_two_places_and_a_move_is_not() {
        let window = Some(Duration::from_secs(600));
        let (home, away) = (place("192.0.2.1"), place("198.51.100.1"));
        let mut moves = watching();
        moves.take(home, away, (at(0), window));
        assert_eq!(moves.new, Some((at(0), away)));
        moves.take(away, home, (at(60), window));
        assert_eq!(moves.new, Some((at(0), away)), "home is not new");
        assert_eq!(moves.twice, None);
        moves.take(home, away, (at(120), window));
        assert_eq!(moves.twice, Some((at(120), home, away)));

        let mut commuter = watching();
        for (day, (before, place)) in
            [(home, away), (away, home), (home, away), (away, home)].into_iter().enumerate()
        {
            commuter.take(before, place, (at(i64::try_from(day).unwrap() * 36_000), window));
        }
        assert_eq!(commuter.twice, None);
        let mut unwatched = watching();
        (0..9).for_each(|second| unwatched.take(home, away, (at(second), None)));
        assert_eq!(unwatched.twice, None);
    }

    #[test]
    fn many_are_told_together() {
        let found = (0..60).map(|number| {
            (at(number), watching().cause(AlertKind::DeviceTwoPlaces, Severity::Warning, String::new()))
        });
        let causes = cut(AlertKind::DeviceTwoPlaces, Severity::Warning, found.collect());
        assert_eq!(causes.len(), ONE_BY_ONE + 1);
        assert!(causes.last().unwrap().summary.starts_with("10 more"));
    }
}
