//! The trusts whose guests a door admits: they are named in its configuration, and made elsewhere. One that
//! nobody has made admits nobody, which is easily taken for a fault of its guests.

use countersign_core::guest::GuestOf;
use countersign_core::ids::TrustName;
use countersign_core::snapshot::TrustSnapshot;
use parking_lot::Mutex;
use tracing::{info, warn};

/// The trusts that a door names, and which of them nobody has made.
#[derive(Debug, Default)]
pub(crate) struct NamedTrusts(Mutex<Names>);

#[derive(Debug, Default)]
struct Names {
    named: Vec<TrustName>,
    unknown: Vec<TrustName>,
}

impl NamedTrusts {
    /// The door admits these from now on.
    pub(crate) fn name(&self, guests: &[GuestOf]) {
        let mut named: Vec<TrustName> = guests.iter().filter_map(name_of).cloned().collect();
        named.sort();
        named.dedup();
        let mut names = self.0.lock();
        names.unknown.retain(|name| named.contains(name));
        names.named = named;
    }

    /// Looks which of them a snapshot knows, and says what has changed.
    pub(crate) fn look(&self, snapshot: &TrustSnapshot) {
        let Names { named, unknown } = &mut *self.0.lock();
        for name in named {
            let is_known = snapshot.foreign_trusts.iter().any(|trust| trust.name == *name);
            let was_unknown = unknown.contains(name);
            if is_known && was_unknown {
                unknown.retain(|one| one != name);
                info!(trust = %name, "trust that the door admits is known now");
            } else if !is_known && !was_unknown {
                unknown.push(name.clone());
                warn!(trust = %name, "door admits guests of a trust that does not exist");
            }
        }
    }
}

const fn name_of(guest: &GuestOf) -> Option<&TrustName> {
    match guest {
        GuestOf::Trust(name) => Some(name),
        GuestOf::Services => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use countersign_core::guest::ForeignTrust;
    use countersign_core::identity::TrustDomain;
    use countersign_core::time::Timestamp;

    fn unknown(trusts: &NamedTrusts) -> Vec<String> {
        trusts.0.lock().unknown.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_nobody_has_made_is_unknown_until_somebody_does() {
        let guests = ["services", "trust:partner", "trust:other", "trust:partner"];
        let guests = guests.map(|one| one.parse().unwrap());
        let trusts = NamedTrusts::default();
        trusts.name(&guests);
        let mut snapshot = TrustSnapshot::empty(TrustDomain::default(), Timestamp::from_secs(1));
        trusts.look(&snapshot);
        assert_eq!(unknown(&trusts), ["other", "partner"]);
        let made = ForeignTrust { name: "partner".parse().unwrap(), anchors: Default::default() };
        snapshot.foreign_trusts.push_back(made);
        trusts.look(&snapshot);
        assert_eq!(unknown(&trusts), ["other"]);
        trusts.name(&guests[..2]);
        assert!(unknown(&trusts).is_empty(), "it is not named any more");
        snapshot.foreign_trusts.clear();
        trusts.look(&snapshot);
        assert_eq!(unknown(&trusts), ["partner"], "taken away again");
    }
}
