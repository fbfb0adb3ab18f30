//! Who of a group answers next.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use countersign_tls::ServerCredentials;
use http::Uri;
use http::uri::{Authority, PathAndQuery, Scheme};
use thiserror::Error;

use super::group::{HealthCheck, UpstreamAddress, UpstreamGroup, UpstreamProtocol, UpstreamTimeouts};
use super::upstream_tls::{ClientSide, UpstreamTlsError};
use crate::headers::IdentityHeaders;

/// How long one that could not be connected to is passed over, where there are others.
const PASSED_OVER: Duration = Duration::from_secs(5);
/// How many a group may have: as many as there are bits for those tried.
const MOST: usize = 64;

/// Why a group cannot be served.
#[derive(Debug, Error)]
pub enum UpstreamGroupError {
    /// It is empty.
    #[error("there is no upstream")]
    Empty,
    /// It is too large.
    #[error("more than 64 upstreams")]
    TooMany,
    /// An address cannot be connected to.
    #[error("use the address {0}")]
    Address(UpstreamAddress, #[source] http::Error),
    /// TLS cannot be set up.
    #[error("set up TLS to the upstreams")]
    Tls(#[source] UpstreamTlsError),
}

/// The upstreams of a route.
#[derive(Debug)]
pub(crate) struct Group {
    members: Box<[Arc<Member>]>,
    turn: AtomicUsize,
    pub(crate) identity: Arc<IdentityHeaders>,
    pub(crate) protocol: UpstreamProtocol,
    pub(crate) health: Option<HealthCheck>,
    pub(crate) timeouts: UpstreamTimeouts,
    pub(crate) tls: Option<Arc<ClientSide>>,
}

/// One of them.
#[derive(Debug)]
pub(crate) struct Member {
    /// Its number among all of a door.
    pub(crate) index: usize,
    pub(crate) address: UpstreamAddress,
    /// The address as an URL; a Unix socket's is `http://localhost/`.
    pub(crate) uri: Uri,
    pub(crate) connect_timeout: Duration,
    /// For `https`.
    pub(crate) tls: Option<Arc<ClientSide>>,
    is_unwell: AtomicBool,
    /// In milliseconds since the process began to count; 0: not passed over.
    passed_over_until: AtomicU64,
}

/// Those of a group who were tried, a bit each.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tried(u64);

impl Group {
    /// Checks a group. Its members are numbered from `first` on; `door` is what the door shows.
    pub(crate) fn new(
        group: &UpstreamGroup,
        first: usize,
        door: Option<&Arc<ServerCredentials>>,
    ) -> Result<Self, UpstreamGroupError> {
        if group.addresses.is_empty() {
            return Err(UpstreamGroupError::Empty);
        }
        if group.addresses.len() > MOST {
            return Err(UpstreamGroupError::TooMany);
        }
        let has_tls = group.addresses.iter().any(|address| matches!(address, UpstreamAddress::Tls(_)));
        let client = || ClientSide::new(group.tls.clone(), group.protocol, door.cloned()).map(Arc::new);
        let tls = has_tls.then(client).transpose().map_err(UpstreamGroupError::Tls)?;
        let member = |(number, address): (usize, &UpstreamAddress)| {
            let uri = uri(address).map_err(|error| UpstreamGroupError::Address(address.clone(), error))?;
            Ok(Arc::new(Member {
                index: first.saturating_add(number),
                address: address.clone(),
                uri,
                connect_timeout: group.timeouts.connect,
                tls: tls.clone().filter(|_tls| matches!(address, UpstreamAddress::Tls(_))),
                is_unwell: AtomicBool::new(false),
                passed_over_until: AtomicU64::new(0),
            }))
        };
        Ok(Self {
            members: group.addresses.iter().enumerate().map(member).collect::<Result<_, _>>()?,
            turn: AtomicUsize::new(0),
            identity: Arc::new(group.identity.clone()),
            protocol: group.protocol,
            health: group.health.clone(),
            timeouts: group.timeouts,
            tls,
        })
    }

    pub(crate) fn members(&self) -> &[Arc<Member>] {
        &self.members
    }

    /// The next one that is well and was not tried. One that is alone is passed over only when a check says
    /// that it is unwell.
    pub(crate) fn next(&self, tried: &mut Tried) -> Option<&Arc<Member>> {
        if let [only] = &*self.members {
            let is_free = tried.0 == 0 && !only.is_unwell.load(Ordering::Relaxed);
            tried.0 = 1;
            return is_free.then_some(only);
        }
        let count = self.members.len();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let from_here = (0..count).map(|step| turn.wrapping_add(step) % count);
        for (at, member) in from_here.filter_map(|at| Some((at, self.members.get(at)?))) {
            let bit = 1_u64.checked_shl(u32::try_from(at).unwrap_or(u32::MAX)).unwrap_or_default();
            if tried.0 & bit == 0 && member.is_usable() {
                tried.0 |= bit;
                return Some(member);
            }
        }
        None
    }
}

impl Member {
    /// Which of its credentials a new connection would use: those of another time are not used again.
    pub(crate) fn generation(&self) -> u64 {
        self.tls.as_ref().map_or(0, |tls| tls.generation())
    }

    /// Nobody answered there.
    pub(crate) fn was_unreachable(&self) {
        let until =
            milliseconds(Instant::now()).saturating_add(PASSED_OVER.as_millis().try_into().unwrap_or(0));
        self.passed_over_until.store(until, Ordering::Relaxed);
    }

    /// Somebody did.
    pub(crate) fn was_reached(&self) {
        if self.passed_over_until.load(Ordering::Relaxed) != 0 {
            self.passed_over_until.store(0, Ordering::Relaxed);
        }
    }

    /// What the checks say; whether that is new.
    pub(crate) fn is_found(&self, health: Found) -> bool {
        let is_unwell = health == Found::Unwell;
        self.is_unwell.swap(is_unwell, Ordering::Relaxed) != is_unwell
    }

    /// Takes over what is known of the same upstream.
    pub(crate) fn remember(&self, same: &Self) {
        self.is_unwell.store(same.is_unwell.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    fn is_usable(&self) -> bool {
        let until = self.passed_over_until.load(Ordering::Relaxed);
        !self.is_unwell.load(Ordering::Relaxed) && (until == 0 || milliseconds(Instant::now()) >= until)
    }
}

/// What a check found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// It answers as it should.
    Well,
    /// It does not.
    Unwell,
}

fn uri(address: &UpstreamAddress) -> Result<Uri, http::Error> {
    let (scheme, authority) = match address {
        UpstreamAddress::Plain(authority) => (Scheme::HTTP, authority.clone()),
        UpstreamAddress::Tls(authority) if authority.port().is_none() => {
            // The connector knows 80 only.
            (Scheme::HTTPS, Authority::try_from(format!("{authority}:443"))?)
        }
        UpstreamAddress::Tls(authority) => (Scheme::HTTPS, authority.clone()),
        UpstreamAddress::Unix(_path) => (Scheme::HTTP, Authority::from_static("localhost")),
    };
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some(scheme);
    parts.authority = Some(authority);
    parts.path_and_query = Some(PathAndQuery::from_static("/"));
    Ok(Uri::from_parts(parts)?)
}

fn milliseconds(now: Instant) -> u64 {
    static BEGINNING: LazyLock<Instant> = LazyLock::new(Instant::now);
    u64::try_from(now.saturating_duration_since(*BEGINNING).as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(addresses: &[&str]) -> Group {
        let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
        Group::new(&UpstreamGroup::new(addresses), 7, None).unwrap()
    }

    fn next(group: &Group, tried: &mut Tried) -> Option<usize> {
        group.next(tried).map(|member| member.index)
    }

    #[test]
    fn they_take_turns_and_nobody_is_tried_twice() {
        let group = group(&["http://a", "http://b", "unix:/c"]);
        let firsts: Vec<_> = (0..4).map(|_| next(&group, &mut Tried::default()).unwrap()).collect();
        assert_eq!(firsts, [7, 8, 9, 7]);
        let mut tried = Tried::default();
        let mut all: Vec<_> = (0..3).map(|_| next(&group, &mut tried).unwrap()).collect();
        all.sort_unstable();
        assert_eq!(all, [7, 8, 9]);
        assert_eq!(next(&group, &mut tried), None);
    }

    #[test]
    fn who_is_unwell_or_was_unreachable_is_passed_over() {
        let group = group(&["http://a", "http://b"]);
        let [a, b] = group.members() else { panic!("two") };
        assert!(a.is_found(Found::Unwell) && !a.is_found(Found::Unwell));
        for _ in 0..3 {
            assert_eq!(next(&group, &mut Tried::default()), Some(8));
        }
        b.was_unreachable();
        assert_eq!(next(&group, &mut Tried::default()), None);
        b.was_reached();
        assert_eq!(next(&group, &mut Tried::default()), Some(8));
    }

    #[test]
    fn one_that_is_alone_is_tried_unless_a_check_says_no() {
        let group = group(&["http://a"]);
        group.members()[0].was_unreachable();
        assert_eq!(next(&group, &mut Tried::default()), Some(7));
        group.members()[0].is_found(Found::Unwell);
        assert_eq!(next(&group, &mut Tried::default()), None);
    }

    #[test]
    fn fails_closed_without_a_way_to_tell_servers_apart() {
        let tls = UpstreamGroup::new(vec!["https://a".parse().unwrap()]);
        assert!(matches!(Group::new(&tls, 0, None), Err(UpstreamGroupError::Tls(_))));
        assert!(matches!(
            Group::new(&UpstreamGroup::new(Vec::new()), 0, None),
            Err(UpstreamGroupError::Empty)
        ));
    }
}
