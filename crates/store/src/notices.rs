//! Word of what was written down, for whoever shows it: sent after the commit, and lost when nobody listens.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::broadcast;

/// How many groups of changes somebody who listens may be behind before the oldest are dropped.
const BEHIND: usize = 256;

/// Something was written down.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Notice {
    /// Whose chain of the audit it is in, by the tenant's slug; empty: the platform's own.
    pub chain: String,
    /// What happened, by the name of its audit event; [`Notice::PRESENCE`] for what is in no audit.
    pub event: &'static str,
}

impl Notice {
    /// Devices came online.
    pub const PRESENCE: &'static str = "presence";
}

/// What one commit wrote down, and in how many entries of the audit.
pub type NoticedGroup = Arc<BTreeMap<Notice, u64>>;

/// Where notices go.
#[derive(Clone, Debug)]
pub(crate) struct Notices {
    to: broadcast::Sender<NoticedGroup>,
    /// How often devices came online or fell silent here.
    presence: Arc<AtomicU64>,
}

impl Default for Notices {
    fn default() -> Self {
        Self { to: broadcast::Sender::new(BEHIND), presence: Arc::default() }
    }
}

impl Notices {
    /// From now on.
    pub(crate) fn listen(&self) -> broadcast::Receiver<NoticedGroup> {
        self.to.subscribe()
    }

    /// Whether anybody listens.
    pub(crate) fn is_heard(&self) -> bool {
        self.to.receiver_count() > 0
    }

    /// Devices came online or fell silent.
    pub(crate) fn note_presence(&self) {
        self.presence.fetch_add(1, Ordering::Relaxed);
        self.tell_of_presence();
    }

    /// How often they did.
    pub(crate) fn presence(&self) -> u64 {
        self.presence.load(Ordering::Relaxed)
    }

    /// Devices, or what was counted of them, are to be looked at again.
    pub(crate) fn tell_of_presence(&self) {
        if self.is_heard() {
            let notice = Notice { chain: String::new(), event: Notice::PRESENCE };
            self.tell(BTreeMap::from([(notice, 0)]));
        }
    }

    /// Tells whoever listens.
    pub(crate) fn tell(&self, group: BTreeMap<Notice, u64>) {
        if !group.is_empty() && self.to.send(Arc::new(group)).is_err() {
            tracing::trace!("nobody listens to notices");
        }
    }
}
