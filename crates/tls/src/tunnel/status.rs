//! How a forward gets on.

use std::sync::atomic::{AtomicU64, Ordering};

use countersign_core::ids::SpkiSha256;
use parking_lot::Mutex;

use super::forward::KeyChange;
use super::splice::Traffic;

/// How a forward gets on, at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForwardStatus {
    /// Where it listens.
    pub listen: String,
    /// Where it leads.
    pub to: String,
    /// Sessions that are open.
    pub open: u64,
    /// Sessions that have ended.
    pub ended: u64,
    /// Octets to the door, of sessions that have ended.
    pub sent: u64,
    /// Octets from the door, of sessions that have ended.
    pub received: u64,
    /// Why the door was out of reach, if it is still.
    pub failure: Option<String>,
    /// The key that the door shows instead of the pinned one, if it still does.
    pub key_change: Option<KeyChange>,
}

/// Keeps it.
#[derive(Debug)]
pub(super) struct Status {
    pub(super) listen: String,
    to: String,
    open: AtomicU64,
    ended: AtomicU64,
    sent: AtomicU64,
    received: AtomicU64,
    trouble: Mutex<(Option<String>, Option<KeyChange>)>,
}

impl Status {
    pub(super) fn new(listen: String, to: String) -> Self {
        Self {
            listen,
            to,
            open: AtomicU64::default(),
            ended: AtomicU64::default(),
            sent: AtomicU64::default(),
            received: AtomicU64::default(),
            trouble: Mutex::default(),
        }
    }

    pub(super) fn opened(&self) {
        self.open.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn ended(&self, traffic: &Traffic) {
        self.open.fetch_sub(1, Ordering::Relaxed);
        self.ended.fetch_add(1, Ordering::Relaxed);
        self.sent.fetch_add(traffic.forth(), Ordering::Relaxed);
        self.received.fetch_add(traffic.back(), Ordering::Relaxed);
    }

    pub(super) fn reached(&self) {
        *self.trouble.lock() = (None, None);
    }

    pub(super) fn failed(&self, why: &str) {
        self.trouble.lock().0 = Some(why.to_owned());
    }

    pub(super) fn key_changed(&self, got: SpkiSha256) {
        let mut trouble = self.trouble.lock();
        let before = trouble.1.filter(|change| change.got == got).map_or(0, |change| change.times);
        trouble.1 = Some(KeyChange { got, times: before + 1 });
    }

    pub(super) fn now(&self) -> ForwardStatus {
        let (failure, key_change) = self.trouble.lock().clone();
        ForwardStatus {
            listen: self.listen.clone(),
            to: self.to.clone(),
            open: self.open.load(Ordering::Relaxed),
            ended: self.ended.load(Ordering::Relaxed),
            sent: self.sent.load(Ordering::Relaxed),
            received: self.received.load(Ordering::Relaxed),
            failure,
            key_change,
        }
    }
}
