//! Where devices are heard of: one that turns up in a network that it was not in before, and one that is in two at once.
//!
//! A device that stays where it is costs nothing. The networks of the others are on record while somebody wants to be
//! told of new ones. How often they changed is what this process alone saw of them: it is bounded, and forgotten when
//! the process ends.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet, VecDeque};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use countersign_core::ids::{DeviceId, Tenant};
use countersign_core::time::Timestamp;
use countersign_store::{DeviceRow, NewNetworkRow, Severity, StoreError};
use parking_lot::Mutex;

use super::causes::Cause;
use super::kind::AlertKind;
use crate::authority::Authority;

/// How many devices that move are remembered, and of how many networks of each that they are on record.
const DEVICES: usize = 65_536;
const NETWORKS: usize = 16;

/// How many times a device has to change its network within the window to be in two at once: there, back, and there
/// again.
const CHANGES: usize = 3;

/// For how long something unusual is told.
const TOLD: Duration = Duration::from_secs(600);

/// Of how many devices it is told one by one, and of how many others how many they are.
const ONE_BY_ONE: usize = 50;
const COUNTED: u32 = 10_000;

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

/// How a device moved.
#[derive(Debug)]
struct Moves {
    tenant: Tenant,
    name: String,
    /// Networks that are on record.
    noted: VecDeque<Place>,
    changes: VecDeque<Timestamp>,
    /// When it was in two at once last, and in which.
    twice: Option<(Timestamp, Place, Place)>,
}

impl Moves {
    fn of(device: &DeviceRow) -> Self {
        Self {
            tenant: device.tenant_slug.clone(),
            name: format!("{}/{}", device.tenant_slug, device.name),
            noted: VecDeque::new(),
            changes: VecDeque::new(),
            twice: None,
        }
    }

    fn take(&mut self, before: Place, place: Place, (now, window): (Timestamp, Option<Duration>)) {
        self.changes.push_back(now);
        if self.changes.len() > CHANGES {
            self.changes.pop_front();
        }
        let is_quick = self
            .changes
            .front()
            .zip(window)
            .is_some_and(|(first, window)| self.changes.len() == CHANGES && now.since(*first) <= window);
        if is_quick {
            self.twice = Some((now, before, place));
        }
    }

    fn note(&mut self, place: Place) {
        self.noted.push_back(place);
        if self.noted.len() > NETWORKS {
            self.noted.pop_front();
        }
    }
}

impl Whereabouts {
    /// Says what is unusual from now on.
    pub(super) fn want(&self, wanted: UnusualAccess) {
        *self.wanted.lock() = wanted;
    }

    /// A device was heard of. Which network it came from and which one it came to, if that may not be on record yet and
    /// is to be.
    fn hear(&self, device: &DeviceRow, address: IpAddr, now: Timestamp) -> Option<(Place, Place)> {
        let before = Place::from(device.last_ip.as_ref()?.parse::<IpAddr>().ok()?);
        let place = Place::from(address);
        if before == place {
            return None;
        }
        let wanted = *self.wanted.lock();
        let unnoted = (wanted.new_networks == Observed::Observe).then_some((before, place));
        let mut moved = self.moved.lock();
        if moved.len() >= DEVICES && !moved.contains_key(&device.id) {
            moved.retain(|_, moves| moves.changes.back().is_some_and(|last| now.since(*last) < TOLD));
            if moved.len() >= DEVICES {
                return unnoted;
            }
        }
        let moves = moved.entry(device.id).or_insert_with(|| Moves::of(device));
        moves.take(before, place, (now, wanted.two_places));
        unnoted.filter(|_| !moves.noted.contains(&place))
    }

    /// The network of a device is on record.
    fn noted(&self, device: DeviceId, place: Place) {
        if let Some(moves) = self.moved.lock().get_mut(&device) {
            moves.note(place);
        }
    }

    /// The devices that are in two networks at once now.
    fn in_two_places(&self, now: Timestamp) -> Vec<Cause> {
        let mut twice = Vec::new();
        for moves in self.moved.lock().values() {
            if let Some((at, one, other)) = moves.twice.filter(|(at, ..)| now.since(*at) < TOLD) {
                let name = &moves.name;
                let summary = format!(
                    "the device {name} is heard of from {one} and {other} in turn: somebody may have its key"
                );
                let (subject, tenant) = (name.clone(), Some(moves.tenant.clone()));
                let (kind, severity) = (AlertKind::DeviceTwoPlaces, Severity::Warning);
                twice.push((at, Cause { kind, subject, tenant, severity, summary }));
            }
        }
        twice.sort_by_key(|(at, _)| Reverse(*at));
        twice.into_iter().map(|(_, cause)| cause).collect()
    }
}

impl Authority {
    /// A device was heard of: if it is in another network than before, and somebody wants to be told of that, that is
    /// on record when this returns.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn heard_from(
        &self,
        device: &DeviceRow,
        address: IpAddr,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let whereabouts = &self.alerts.whereabouts;
        let Some((from, to)) = whereabouts.hear(device, address, now) else { return Ok(()) };
        let (id, from, network) = (device.id, from.to_string(), to.to_string());
        self.store
            .write(move |w| Box::pin(async move { w.note_network(id, (&from, &network), now).await }))
            .await?;
        whereabouts.noted(id, to);
        Ok(())
    }

    /// What access is unusual now.
    pub(super) async fn unusual_access(&self, now: Timestamp) -> Result<Vec<Cause>, StoreError> {
        let since = now - TOLD;
        let mut new =
            self.store.read(move |r| Box::pin(async move { r.new_networks(since, COUNTED).await })).await?;
        // Of a device that came to several the latest is told.
        let mut devices = HashSet::new();
        new.retain(|row| devices.insert((row.tenant.clone(), row.device.clone())));
        let mut causes = told(new.iter().map(of_new_network).collect());
        causes.extend(told(self.alerts.whereabouts.in_two_places(now)));
        Ok(causes)
    }
}

fn of_new_network(row: &NewNetworkRow) -> Cause {
    let (subject, network) = (format!("{}/{}", row.tenant, row.device), &row.network);
    let summary = format!("the device {subject} is heard of from {network}, where it was not before");
    let (kind, severity) = (AlertKind::DeviceNewNetwork, Severity::Info);
    Cause { kind, subject, tenant: Some(row.tenant.clone()), severity, summary }
}

/// Causes of one kind, the latest first: the first ones one by one, and the others together.
fn told(mut causes: Vec<Cause>) -> Vec<Cause> {
    let more = causes.len().saturating_sub(ONE_BY_ONE);
    causes.truncate(ONE_BY_ONE);
    if let Some(last) = causes.last().filter(|_last| more > 0) {
        let summary = format!("{more} more devices, beside those that are told one by one");
        let (kind, severity) = (last.kind, last.severity);
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
            noted: VecDeque::new(),
            changes: VecDeque::new(),
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
        moves.take(away, home, (at(60), window));
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
    fn the_last_networks_are_known_to_be_on_record() {
        let mut moves = watching();
        for number in 0..=NETWORKS {
            moves.note(place(&format!("192.0.{number}.1")));
        }
        assert_eq!(moves.noted.len(), NETWORKS);
        assert!(!moves.noted.contains(&place("192.0.0.1")));
    }

    #[test]
    fn many_are_told_together() {
        let row = |number: i64| NewNetworkRow {
            tenant: "acme".parse().unwrap(),
            device: format!("ws-{number}").parse().unwrap(),
            network: "192.0.2.0/24".to_owned(),
            came_at: at(number),
        };
        let causes = told((0..60).map(|number| of_new_network(&row(number))).collect());
        assert_eq!(causes.len(), ONE_BY_ONE + 1);
        let last = causes.last().unwrap();
        assert!(last.summary.starts_with("10 more") && last.tenant.is_none(), "{last:?}");
        assert_eq!(told(vec![of_new_network(&row(1))]).len(), 1);
    }
}
