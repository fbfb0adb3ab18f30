//! How many connections a door holds, in all and from one place.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

/// How many connections a door holds at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// In all.
    pub total: usize,
    /// From one IPv4 address or one IPv6 /64.
    pub per_address: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { total: 100_000, per_address: 4096 }
    }
}

#[derive(Debug, Default)]
struct Taken {
    limits: Limits,
    total: usize,
    /// How many still accept.
    accepting: usize,
    by_place: HashMap<IpAddr, usize>,
}

/// Counts the connections of a door.
#[derive(Clone, Debug)]
pub(crate) struct Slots {
    taken: Arc<Mutex<Taken>>,
    quiet: Arc<Notify>,
}

/// Says that connections may still be accepted, until it is dropped.
#[derive(Debug)]
pub(crate) struct Accepting(Slots);

impl Drop for Accepting {
    fn drop(&mut self) {
        let mut taken = self.0.taken.lock();
        taken.accepting = taken.accepting.saturating_sub(1);
        drop(taken);
        self.0.quiet.notify_waiters();
    }
}

/// A connection's place in the count, given back when dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    taken: Arc<Mutex<Taken>>,
    quiet: Arc<Notify>,
    place: Option<IpAddr>,
}

impl Slots {
    pub(crate) fn new(limits: Limits) -> Self {
        let taken = Taken { limits, ..Taken::default() };
        Self { taken: Arc::new(Mutex::new(taken)), quiet: Arc::default() }
    }

    /// Goes by other limits from the next connection on.
    pub(crate) fn go_by(&self, limits: Limits) {
        self.taken.lock().limits = limits;
    }

    /// To be held by whoever accepts connections.
    pub(crate) fn accepting(&self) -> Accepting {
        self.taken.lock().accepting += 1;
        Accepting(self.clone())
    }

    /// Waits until there is no connection, in its handshake or after it, and nobody who accepts.
    pub(crate) async fn wait_until_quiet(&self) {
        loop {
            let notified = self.quiet.notified();
            let is_quiet = {
                let taken = self.taken.lock();
                taken.total == 0 && taken.accepting == 0
            };
            if is_quiet {
                return;
            }
            notified.await;
        }
    }

    /// A place for one more connection; `None` when the door is full.
    pub(crate) fn take(&self) -> Option<Slot> {
        let mut taken = self.taken.lock();
        if taken.total >= taken.limits.total {
            return None;
        }
        taken.total += 1;
        Some(Slot { taken: Arc::clone(&self.taken), quiet: Arc::clone(&self.quiet), place: None })
    }
}

/// An address was already holding as many connections as it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooMany;

impl Slot {
    /// Counts the connection as one from `address`.
    pub(crate) fn occupy(&mut self, address: IpAddr) -> Result<(), TooMany> {
        let place = place_of(address);
        let mut taken = self.taken.lock();
        let limit = taken.limits.per_address;
        let held = taken.by_place.entry(place).or_insert(0);
        if *held >= limit {
            return Err(TooMany);
        }
        *held += 1;
        self.place = Some(place);
        Ok(())
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut taken = self.taken.lock();
        taken.total = taken.total.saturating_sub(1);
        if taken.total == 0 {
            self.quiet.notify_waiters();
        }
        let Some(place) = self.place else { return };
        if let Some(held) = taken.by_place.get_mut(&place) {
            *held = held.saturating_sub(1);
            if *held == 0 {
                taken.by_place.remove(&place);
            }
        }
    }
}

/// What counts as one place: an IPv4 address, or an IPv6 /64.
pub(crate) fn place_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slots(total: usize, per_address: usize) -> Slots {
        Slots::new(Limits { total, per_address })
    }

    #[test]
    fn a_full_door_takes_no_one_until_someone_leaves() {
        let slots = slots(2, 2);
        let (first, _second) = (slots.take().unwrap(), slots.take().unwrap());
        assert!(slots.take().is_none());
        drop(first);
        assert!(slots.take().is_some());
    }

    #[test]
    fn one_address_cannot_take_more_than_its_share() {
        let slots = slots(10, 1);
        let (mut first, mut second, mut third) =
            (slots.take().unwrap(), slots.take().unwrap(), slots.take().unwrap());
        first.occupy("2001:db8::1".parse().unwrap()).unwrap();
        assert_eq!(second.occupy("2001:db8::2".parse().unwrap()), Err(TooMany));
        third.occupy("2001:db8:0:1::1".parse().unwrap()).unwrap();
        drop(first);
        assert_eq!(second.occupy("2001:db8::3".parse().unwrap()), Ok(()));
    }

    #[test]
    fn other_limits_hold_for_whoever_comes_next() {
        let slots = slots(1, 1);
        let _first = slots.take().unwrap();
        assert!(slots.take().is_none());
        slots.go_by(Limits { total: 2, per_address: 1 });
        let _second = slots.take().unwrap();
        slots.go_by(Limits { total: 1, per_address: 1 });
        assert!(slots.take().is_none());
    }

    #[test]
    fn nothing_is_kept_of_addresses_that_left() {
        let slots = slots(10, 10);
        let mut slot = slots.take().unwrap();
        slot.occupy("192.0.2.1".parse().unwrap()).unwrap();
        drop(slot);
        assert!(slots.taken.lock().by_place.is_empty());
        assert_eq!(slots.taken.lock().total, 0);
    }
}
