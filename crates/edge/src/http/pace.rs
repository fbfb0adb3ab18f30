//! How slowly a request's body may come. Its client has so much patience to spend on waiting, gets some back
//! with every byte, and never more than it had: neither silence nor a trickle lasts. Only waiting for the
//! client counts, not for the upstream that takes the body.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::{HeaderMap, Request, Version, header};
use thiserror::Error;
use tokio::time::{Instant, Sleep, sleep_until};

/// How slowly the body of a request may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyPace {
    /// How long nothing of it may come, and how long less than [`Self::bytes_per_second`] may.
    pub silence: Duration,
    /// What must come in the long run; 0: any byte is enough to go on.
    pub bytes_per_second: u64,
}

impl Default for BodyPace {
    fn default() -> Self {
        Self { silence: Duration::from_secs(30), bytes_per_second: 240 }
    }
}

/// The body of a request came too slowly.
#[derive(Clone, Copy, Debug, Error)]
#[error("the request's body came too slowly")]
pub(crate) struct BodyTooSlow;

/// Says whether a body came too slowly, also when it is gone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sluggish(Option<Arc<AtomicBool>>);

impl Sluggish {
    /// Whether it did.
    pub(crate) fn is_so(&self) -> bool {
        self.0.as_ref().is_some_and(|found| found.load(Ordering::Relaxed))
    }
}

/// Measures one body.
#[derive(Debug)]
pub(crate) struct Tempo {
    pace: BodyPace,
    /// How long it may still be waited for.
    left: Duration,
    waiting_since: Option<Instant>,
    alarm: Option<Pin<Box<Sleep>>>,
    found: Arc<AtomicBool>,
}

impl Tempo {
    /// For the body of this request. `None`: a gRPC stream may be silent for as long as both its ends wait.
    pub(crate) fn of<B>(request: &Request<B>, pace: BodyPace) -> Option<Box<Self>> {
        let is_stream = request.version() == Version::HTTP_2 && is_grpc(request.headers());
        (!is_stream).then(|| Box::new(Self::new(pace)))
    }

    fn new(pace: BodyPace) -> Self {
        Self { pace, left: pace.silence, waiting_since: None, alarm: None, found: Arc::default() }
    }

    /// Tells from now on whether the body came too slowly.
    pub(crate) fn watch(&self) -> Sluggish {
        Sluggish(Some(Arc::clone(&self.found)))
    }

    /// So many bytes have come.
    pub(crate) fn came(&mut self, bytes: usize) {
        if self.waiting_since.is_some() {
            self.came_at(bytes, Instant::now());
        }
    }

    fn came_at(&mut self, bytes: usize, now: Instant) {
        let Some(since) = self.waiting_since.take() else { return };
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let earned = match self.pace.bytes_per_second {
            0 if bytes > 0 => self.pace.silence,
            0 => Duration::ZERO,
            rate => Duration::from_micros(bytes.saturating_mul(1_000_000) / rate),
        };
        let left = self.left.saturating_sub(now.saturating_duration_since(since));
        self.left = left.saturating_add(earned).min(self.pace.silence);
    }

    /// Until when more is waited for, if nothing had come at `now` either.
    fn waits_until(&mut self, now: Instant) -> Instant {
        *self.waiting_since.get_or_insert(now) + self.left
    }

    /// Ready when the client's patience is spent; to be asked when nothing has come.
    pub(crate) fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<BodyTooSlow> {
        let end = self.waits_until(self.waiting_since.unwrap_or_else(Instant::now));
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep_until(end)));
        if alarm.deadline() != end {
            alarm.as_mut().reset(end);
        }
        ready!(alarm.as_mut().poll(cx));
        self.found.store(true, Ordering::Relaxed);
        Poll::Ready(BodyTooSlow)
    }
}

fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const PACE: BodyPace = BodyPace { silence: Duration::from_secs(30), bytes_per_second: 100 };

    /// How long a body lasts of which so much comes every so often; `None`: an hour and longer.
    fn lasts(pace: BodyPace, every: Duration, bytes: usize) -> Option<Duration> {
        let mut tempo = Tempo::new(pace);
        let began = Instant::now();
        let mut now = began;
        while now < began + 3600 * SECOND {
            let end = tempo.waits_until(now);
            if end < now + every {
                return Some(end - began);
            }
            now += every;
            tempo.came_at(bytes, now);
        }
        None
    }

    #[test]
    fn silence_and_trickles_end_and_what_is_fast_enough_does_not() {
        assert_eq!(lasts(PACE, 100 * SECOND, 0), Some(30 * SECOND));
        let trickle = lasts(PACE, SECOND, 10).unwrap();
        assert!(trickle > 30 * SECOND && trickle < 40 * SECOND, "{trickle:?}");
        assert_eq!(lasts(PACE, SECOND, 100), None);
        assert_eq!(lasts(PACE, 29 * SECOND, 4000), None);
    }

    #[test]
    fn what_came_at_first_does_not_buy_a_trickle() {
        let mut tempo = Tempo::new(PACE);
        let now = Instant::now();
        tempo.waits_until(now);
        tempo.came_at(1 << 30, now);
        assert_eq!(tempo.waits_until(now), now + PACE.silence);
    }

    #[test]
    fn without_a_rate_any_byte_is_enough() {
        let pace = BodyPace { bytes_per_second: 0, ..PACE };
        assert_eq!(lasts(pace, 29 * SECOND, 1), None);
        assert_eq!(lasts(pace, 29 * SECOND, 0), Some(30 * SECOND), "nothing is nothing");
        assert_eq!(lasts(pace, 31 * SECOND, 1), Some(30 * SECOND));
    }

    #[tokio::test]
    async fn whoever_watches_hears_of_it() {
        let pace = BodyPace { silence: Duration::from_millis(10), ..PACE };
        let mut tempo = Tempo::new(pace);
        let sluggish = tempo.watch();
        assert!(!sluggish.is_so());
        std::future::poll_fn(|cx| tempo.poll_over(cx)).await;
        drop(tempo);
        assert!(sluggish.is_so());
    }

    #[test]
    fn only_grpc_over_http_2_may_be_silent() {
        let is_measured = |version, kind: &str| {
            let request = Request::builder().version(version).header(header::CONTENT_TYPE, kind).body(());
            Tempo::of(&request.unwrap(), PACE).is_some()
        };
        assert!(!is_measured(Version::HTTP_2, "application/grpc+proto"));
        assert!(is_measured(Version::HTTP_11, "application/grpc"));
        assert!(is_measured(Version::HTTP_2, "application/json"));
    }
}
