//! What a TCP door has carried, as numbers that can be read at any time.

use std::sync::atomic::{AtomicU64, Ordering};

/// What a TCP door counts.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    open: AtomicU64,
    ended: AtomicU64,
    refused: AtomicU64,
    failed: AtomicU64,
    received: AtomicU64,
    sent: AtomicU64,
}

/// What a TCP door has carried since it was opened. Octets count when their session ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpCounts {
    /// Sessions that are open.
    pub open: u64,
    /// Sessions that were let in and have ended.
    pub ended: u64,
    /// Connections that were refused after their handshake.
    pub refused: u64,
    /// Connections that were let in and found no upstream.
    pub failed: u64,
    /// Octets from clients.
    pub received: u64,
    /// Octets to clients.
    pub sent: u64,
}

impl Counters {
    pub(crate) fn opened(&self) {
        self.open.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn ended(&self, received: u64, sent: u64) {
        self.open.fetch_sub(1, Ordering::Relaxed);
        self.ended.fetch_add(1, Ordering::Relaxed);
        self.received.fetch_add(received, Ordering::Relaxed);
        self.sent.fetch_add(sent, Ordering::Relaxed);
    }

    pub(crate) fn refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn failed(&self) {
        self.failed.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn now(&self) -> TcpCounts {
        TcpCounts {
            open: self.open.load(Ordering::Relaxed),
            ended: self.ended.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            received: self.received.load(Ordering::Relaxed),
            sent: self.sent.load(Ordering::Relaxed),
        }
    }
}
