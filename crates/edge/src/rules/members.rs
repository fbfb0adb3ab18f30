//! What a value can be a member of: sets and lists, compiled for quick answers.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::ops::RangeInclusive;

use super::ast::AddressRange;

/// Strings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Texts {
    exact: BTreeSet<Box<[u8]>>,
    /// Of hosts: every name below these, which begin with a dot.
    below: BTreeSet<Box<[u8]>>,
}

impl Texts {
    pub(super) fn of<'t>(texts: impl IntoIterator<Item = &'t [u8]>) -> Self {
        Self { exact: texts.into_iter().map(Box::from).collect(), below: BTreeSet::new() }
    }

    /// Hosts in lower case: a name, or `*.` and the name that all others are below.
    pub(super) fn hosts<'t>(hosts: impl IntoIterator<Item = &'t str>) -> Self {
        let mut texts = Self { exact: BTreeSet::new(), below: BTreeSet::new() };
        for host in hosts {
            match host.strip_prefix('*') {
                Some(below) => texts.below.insert(below.as_bytes().into()),
                None => texts.exact.insert(host.as_bytes().into()),
            };
        }
        texts
    }

    pub(super) fn contain(&self, text: &[u8]) -> bool {
        if self.exact.contains(text) {
            return true;
        }
        let mut dots = text.iter().enumerate().skip(1).filter(|(_, byte)| **byte == b'.');
        !self.below.is_empty()
            && dots.any(|(at, _)| text.get(at..).is_some_and(|rest| self.below.contains(rest)))
    }
}

/// Numbers, as ranges that do not touch, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Numbers(Box<[(i64, i64)]>);

impl Numbers {
    pub(super) fn of(ranges: impl IntoIterator<Item = RangeInclusive<i64>>) -> Self {
        let ranges = ranges.into_iter().map(|range| (*range.start(), *range.end())).collect();
        Self(merged(ranges, |end, start| start <= end.saturating_add(1)))
    }

    pub(super) fn contain(&self, number: i64) -> bool {
        is_in(&self.0, number)
    }
}

/// Addresses, as ranges that do not touch, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Addresses {
    v4: Box<[(u32, u32)]>,
    v6: Box<[(u128, u128)]>,
}

impl Addresses {
    pub(super) fn of(ranges: impl IntoIterator<Item = AddressRange>) -> Self {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for range in ranges {
            match range.ends() {
                (IpAddr::V4(first), IpAddr::V4(last)) => v4.push((first.to_bits(), last.to_bits())),
                (IpAddr::V6(first), IpAddr::V6(last)) => v6.push((first.to_bits(), last.to_bits())),
                // Literals are of one family.
                (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => {}
            }
        }
        Self {
            v4: merged(v4, |end, start| start <= end.saturating_add(1)),
            v6: merged(v6, |end, start| start <= end.saturating_add(1)),
        }
    }

    pub(super) fn contain(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => is_in(&self.v4, address.to_bits()),
            IpAddr::V6(address) => is_in(&self.v6, address.to_bits()),
        }
    }
}

impl AddressRange {
    /// The first and the last address.
    pub(super) fn ends(self) -> (IpAddr, IpAddr) {
        match self {
            Self::Network(network) => (network.network(), network.broadcast()),
            Self::Between(first, last) => (first, last),
        }
    }
}

fn merged<T: Ord + Copy>(mut ranges: Vec<(T, T)>, touches: fn(T, T) -> bool) -> Box<[(T, T)]> {
    ranges.sort_unstable();
    let mut merged: Vec<(T, T)> = Vec::with_capacity(ranges.len());
    for (start, end) in ranges {
        match merged.last_mut() {
            Some(last) if touches(last.1, start) => last.1 = last.1.max(end),
            _ => merged.push((start, end)),
        }
    }
    merged.into()
}

fn is_in<T: Ord + Copy>(ranges: &[(T, T)], value: T) -> bool {
    let after = ranges.partition_point(|(start, _)| *start <= value);
    let before = after.checked_sub(1).and_then(|at| ranges.get(at));
    before.is_some_and(|(_, end)| value <= *end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_merged_and_searched() {
        let numbers = Numbers::of([5..=9, 1..=2, 3..=3, 20..=20, 7..=12]);
        let inside: Vec<i64> = (0..30).filter(|number| numbers.contain(*number)).collect();
        assert_eq!(inside, (1..=3).chain(5..=12).chain([20]).collect::<Vec<_>>());
        assert_eq!(numbers.0.len(), 3);
        assert!(Numbers::of([i64::MIN..=i64::MAX, 4..=5]).contain(i64::MAX));
    }

    #[test]
    fn hosts_hold_the_names_below_but_not_the_name_itself() {
        let hosts = Texts::hosts(["a.example", "*.b.example"]);
        for (host, is_in) in [
            ("a.example", true),
            ("x.a.example", false),
            ("b.example", false),
            ("x.y.b.example", true),
            ("xb.example", false),
        ] {
            assert_eq!(hosts.contain(host.as_bytes()), is_in, "{host}");
        }
    }
}
