//! How long to wait between what, and after what went wrong.

use std::time::Duration;

use tokio::time::Instant;

use crate::backoff::{Backoff, Spread};
use crate::random;
use crate::renew::Setback;

/// How long to wait between what.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// Between heartbeats; `None`: as the control plane said.
    pub heartbeat: Option<Duration>,
    /// The first wait after a refusal, a quarantine or a missing certificate. Later ones double up
    /// to 15 times as much. Waits after an outage begin at a thirtieth of it and end at 5 times.
    pub retry_base: Duration,
    /// How long nothing at all may be heard over the WebSocket before it counts as lost. The control
    /// plane sends a ping every 30 seconds.
    pub silence: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self { heartbeat: None, retry_base: Duration::from_secs(60), silence: Duration::from_secs(90) }
    }
}

impl Timing {
    fn slow(self) -> Backoff {
        Backoff::new(self.retry_base, self.retry_base.saturating_mul(15), Spread::Half)
    }

    fn outage(self) -> Backoff {
        Backoff::new(self.retry_base / 30, self.retry_base.saturating_mul(5), Spread::Full)
    }

    /// When a control plane restarts, its whole fleet loses its WebSockets at once: they come back
    /// spread over more time than requests do.
    fn reconnection(self) -> Backoff {
        Backoff::new(self.retry_base / 6, self.retry_base.saturating_mul(5), Spread::Full)
    }
}

/// One kind of work that is tried again and again: when next, and how patiently.
#[derive(Debug)]
pub(super) struct Attempts {
    pub(super) at: Instant,
    slow: Backoff,
    outage: Backoff,
}

impl Attempts {
    pub(super) fn new(timing: Timing) -> Self {
        Self { at: Instant::now(), slow: timing.slow(), outage: timing.outage() }
    }

    /// Those of the WebSocket.
    pub(super) fn of_connections(timing: Timing) -> Self {
        Self { outage: timing.reconnection(), ..Self::new(timing) }
    }

    pub(super) fn succeeded(&mut self, next: Duration) {
        self.slow.reset();
        self.outage.reset();
        self.at = Instant::now() + next;
    }

    /// How long the next attempt waits.
    pub(super) fn failed(&mut self, setback: Setback) -> Duration {
        let fraction = random::fraction();
        let wait = match setback {
            Setback::Outage { retry_after } => self.outage.next_after(retry_after, fraction),
            Setback::Quarantined | Setback::Refused => self.slow.next(fraction),
        };
        self.at = Instant::now() + wait;
        wait
    }

    pub(super) fn is_due(&self) -> bool {
        Instant::now() >= self.at
    }

    pub(super) fn now(&mut self) {
        self.at = Instant::now();
    }
}
