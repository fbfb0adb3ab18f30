//! How long an upstream's answer is waited for.

use std::time::Duration;

use tokio::time::Instant;

use super::body::OnItsWay;

/// The end of the wait for an answer. It moves as long as the request's body does: who sends much may take
/// long, who sends nothing may not.
#[derive(Debug)]
pub(crate) struct Deadline {
    end: Instant,
    patience: Duration,
    body: OnItsWay,
    seen: usize,
}

impl Deadline {
    pub(crate) fn new(patience: Duration, body: OnItsWay) -> Self {
        Self { end: Instant::now() + patience, patience, body, seen: 0 }
    }

    pub(crate) const fn end(&self) -> Instant {
        self.end
    }

    /// Whether the request's body is still on its way.
    pub(crate) fn is_sending(&self) -> bool {
        self.body.is_so()
    }

    /// Whether it is over; to be asked when `end` has come.
    pub(crate) fn is_over(&mut self) -> bool {
        let now = Instant::now();
        if now < self.end {
            return false;
        }
        let moved = self.body.moved();
        if self.body.is_so() && moved != self.seen {
            self.seen = moved;
            self.end = now + self.patience;
            return false;
        }
        true
    }
}
