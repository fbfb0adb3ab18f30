//! Ids of requests, from random octets that are drawn for many at a time: drawn for each, they would be one of
//! the five system calls that a request takes.

use std::cell::RefCell;

use aws_lc_rs::rand;
use countersign_core::ids::RequestId;
use uuid::Builder;

/// An id's octets.
const ID: usize = 16;
/// How many ids are drawn at a time.
const AT_ONCE: usize = 64;

thread_local! {
    static DRAWN: RefCell<Drawn> = const { RefCell::new(Drawn { octets: [0; ID * AT_ONCE], used: ID * AT_ONCE }) };
}

/// Random octets, and how many of them are used up.
struct Drawn {
    octets: [u8; ID * AT_ONCE],
    used: usize,
}

/// The id of the next request on this thread.
pub(crate) fn next() -> RequestId {
    DRAWN.with_borrow_mut(Drawn::next)
}

impl Drawn {
    fn next(&mut self) -> RequestId {
        let drawn = self.octets().and_then(|octets| <[u8; ID]>::try_from(octets).ok());
        drawn.map_or_else(RequestId::random, |octets| Builder::from_random_bytes(octets).into_uuid().into())
    }

    /// Those of one id, which are never given again.
    fn octets(&mut self) -> Option<&[u8]> {
        if self.used >= self.octets.len() {
            rand::fill(&mut self.octets).ok()?;
            self.used = 0;
        }
        let begin = self.used;
        self.used = begin.saturating_add(ID);
        self.octets.get(begin..self.used)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_id_comes_twice_also_when_octets_are_drawn_anew() {
        let ids: HashSet<RequestId> = (0..10 * AT_ONCE).map(|_| next()).collect();
        assert_eq!(ids.len(), 10 * AT_ONCE);
        assert!(ids.iter().all(|id| id.uuid().get_version_num() == 4));
        let elsewhere = std::thread::spawn(|| (0..AT_ONCE).map(|_| next()).collect::<HashSet<_>>());
        assert!(ids.is_disjoint(&elsewhere.join().unwrap()));
    }
}
