//! What an edge believes of what it is told, and what its doors go by.

use std::sync::Arc;
use std::time::Duration;

use countersign_api::edge::frame::SignedTrust;
use countersign_core::identity::TrustDomain;
use countersign_core::ids::{AuthorityId, EdgeName};
use countersign_core::snapshot::wire::{SIGNED_PREFIX, TrustMessage, WireError};
use countersign_core::snapshot::{SnapshotVersion, TrustSnapshot};
use countersign_core::time::Timestamp;
use countersign_tls::{TrustKey, TrustKeyError};
use thiserror::Error;
use tokio::sync::watch;
use tracing::{error, info};

/// How often it is said again that what is known is old.
const ALARM_EVERY: Duration = Duration::from_secs(3600);

/// What is done with trust of which nobody has said for long that it still holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Staleness {
    /// The doors go on by it, and the log says so: the one exception to failing closed, for sites that would
    /// rather serve than be exact.
    Keep,
    /// The doors admit no identity any more.
    Refuse,
}

/// A message that is not believed.
#[derive(Debug, Error)]
pub enum FeedError {
    /// It is not signed by the authority.
    #[error("refused what came as trust")]
    Signature(#[from] TrustKeyError),
    /// It cannot be read.
    #[error("cannot read what is told of trust")]
    Wire(#[from] WireError),
    /// It is for another edge.
    #[error("it is for the edge {0}")]
    OtherEdge(EdgeName),
    /// It is of another installation.
    #[error("it is of the installation {0}")]
    OtherInstallation(TrustDomain),
    /// Something between what is known and this is missing.
    #[error("something before it is missing")]
    Gap,
    /// It is older than what was seen.
    #[error("it is of generation {} and epoch {}, and {} and {} were seen", .got.generation, .got.epoch, .seen.generation, .seen.epoch)]
    Older {
        /// What was seen.
        seen: SnapshotVersion,
        /// What it is.
        got: SnapshotVersion,
    },
}

/// A message that was believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Its position.
    pub position: u64,
    /// The version that is known with it.
    pub version: SnapshotVersion,
    /// Whether it was a whole snapshot.
    pub is_whole: bool,
    /// Whether it changed anything, or only said that all still holds.
    pub is_news: bool,
}

/// What an edge knows of trust.
#[derive(Debug)]
pub struct Feed {
    key: TrustKey,
    edge: EdgeName,
    known: TrustSnapshot,
    told: Option<(AuthorityId, u64)>,
    seen: SnapshotVersion,
    stale_after: Duration,
    when_stale: Staleness,
    is_stale: bool,
    said_at: Option<Timestamp>,
    snapshots: watch::Sender<Arc<TrustSnapshot>>,
}

impl Feed {
    /// An edge that knows nothing yet, and has seen this version before.
    #[must_use]
    pub fn new(
        (key, edge, trust_domain): (TrustKey, EdgeName, TrustDomain),
        seen: SnapshotVersion,
        (stale_after, when_stale): (Duration, Staleness),
        now: Timestamp,
    ) -> Self {
        let known = TrustSnapshot::empty(trust_domain, now);
        let snapshots = watch::Sender::new(Arc::new(known.clone()));
        let (told, is_stale, said_at) = (None, false, None);
        Self { key, edge, known, told, seen, stale_after, when_stale, is_stale, said_at, snapshots }
    }

    /// What the doors go by.
    #[must_use]
    pub fn snapshots(&self) -> watch::Receiver<Arc<TrustSnapshot>> {
        self.snapshots.subscribe()
    }

    /// Who told what is known, and up to which position.
    #[must_use]
    pub const fn told(&self) -> Option<(AuthorityId, u64)> {
        self.told
    }

    /// Forgets what is known; this version has been seen, and nothing lower is believed.
    pub fn forget(&mut self, seen: SnapshotVersion) {
        self.known = TrustSnapshot::empty(self.known.trust_domain.clone(), self.known.made_at);
        self.told = None;
        self.seen = self.seen.max(seen);
        self.snapshots.send_replace(Arc::new(self.known.clone()));
    }

    /// Takes the key that the authority signs with from now on.
    pub fn trust(&mut self, key: TrustKey) {
        self.key = key;
    }

    /// Takes a message, and lets the doors go by it.
    ///
    /// # Errors
    /// Fails closed: what is not signed for this edge, does not follow what is known, or is older than
    /// anything that was seen, changes nothing.
    pub fn take(&mut self, signed: &SignedTrust, now: Timestamp) -> Result<Taken, FeedError> {
        self.key.verify(&[SIGNED_PREFIX, &signed.message].concat(), &signed.signature)?;
        let message = TrustMessage::decode(&signed.message)?;
        if message.edge != self.edge {
            return Err(FeedError::OtherEdge(message.edge));
        }
        if message.trust_domain != self.known.trust_domain {
            return Err(FeedError::OtherInstallation(message.trust_domain));
        }
        let is_next = match (message.base, self.told) {
            (None, _) => true,
            (Some(base), Some((by, position))) => {
                by == message.authority && base == position && message.position >= base
            }
            (Some(_), None) => false,
        };
        let is_empty = message.changes.is_empty();
        if !is_next || (message.base == Some(message.position) && !is_empty) {
            return Err(FeedError::Gap);
        }
        if message.version < self.seen {
            return Err(FeedError::Older { seen: self.seen, got: message.version });
        }
        let is_whole = message.base.is_none();
        let taken = Taken {
            position: message.position,
            version: message.version,
            is_whole,
            is_news: is_whole || message.base != Some(message.position),
        };
        if is_whole {
            self.known = TrustSnapshot::empty(message.trust_domain, message.made_at);
        }
        message.changes.apply_to(&mut self.known);
        self.known.version = message.version;
        self.known.made_at = message.made_at;
        self.told = Some((message.authority, message.position));
        self.seen = message.version;
        self.look_at_age(now, taken.is_news);
        Ok(taken)
    }

    /// Looks whether what is known is too old by now, and does what is to be done then.
    pub fn look(&mut self, now: Timestamp) {
        self.look_at_age(now, false);
    }

    fn look_at_age(&mut self, now: Timestamp, is_news: bool) {
        if self.told.is_none() {
            return;
        }
        let is_stale = now.since(self.known.made_at) > self.stale_after;
        if is_stale {
            self.raise_alarm(now);
        }
        let turned = is_stale != self.is_stale;
        if turned && !is_stale {
            info!("trust is fresh again");
            self.said_at = None;
        }
        self.is_stale = is_stale;
        let is_shut = is_stale && self.when_stale == Staleness::Refuse;
        if turned || (is_news && !is_shut) {
            let shown = if is_shut { self.nobody() } else { self.known.clone() };
            self.snapshots.send_replace(Arc::new(shown));
        }
    }

    fn raise_alarm(&mut self, now: Timestamp) {
        if self.said_at.is_some_and(|at| now.since(at) < ALARM_EVERY) {
            return;
        }
        self.said_at = Some(now);
        let then = match self.when_stale {
            Staleness::Keep => "doors go on by it",
            Staleness::Refuse => "doors admit no identity",
        };
        error!(since = %self.known.made_at, epoch = self.known.version.epoch, then, "trust is stale");
    }

    /// A snapshot of the same version that admits nobody. The rules hold: they are no trust.
    fn nobody(&self) -> TrustSnapshot {
        let mut nobody = TrustSnapshot::empty(self.known.trust_domain.clone(), self.known.made_at);
        nobody.version = self.known.version;
        nobody.rules = Arc::clone(&self.known.rules);
        nobody.lists = Arc::clone(&self.known.lists);
        nobody
    }
}

#[cfg(test)]
mod tests;
