//! The requests of an HTTP/2 connection, each in a task of its own that ends when its client does not take
//! its answer: over a connection that is read, a single stream may have no window left (RFC 9113 section
//! 5.2), and nothing but time tells whether it ever will.
//!
//! An answer is offered in small pieces ([`Offered`]), and the HTTP library asks for the next piece when the
//! one before has found room. So a task that waits has offered something last, and waits for its client, or
//! has asked for something in vain, and waits for the upstream. What it did last is told from the body to
//! the task by a variable of the thread that polls both.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::rt::Executor;
use tokio::time::{Instant, Sleep, sleep_until};
use tracing::debug;

use super::body::{Answered, BodyError};

/// How much of an answer is offered at once: what must be taken in the time that a client has.
const PIECE: usize = 16 * 1024;

thread_local! {
    /// How often the task that is being polled has offered something; `None` while it waits for the upstream.
    static OFFERS: Cell<Option<u64>> = const { Cell::new(None) };
}

/// Runs the requests of an HTTP/2 connection. A client may leave an answer untaken for so long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Streams {
    pub(crate) patience: Duration,
}

impl<F> Executor<F> for Streams
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        let patience = self.patience;
        tokio::spawn(async move {
            let mut stream = pin!(stream);
            let mut taking = Taking { patience, offers: None, since: None, alarm: None };
            // Dropping what is left resets the stream.
            poll_fn(|cx| taking.poll(stream.as_mut(), cx)).await;
        });
    }
}

/// Whether a client takes what it asked for.
#[derive(Debug)]
struct Taking {
    patience: Duration,
    offers: Option<u64>,
    since: Option<Instant>,
    alarm: Option<Pin<Box<Sleep>>>,
}

impl Taking {
    fn poll<F: Future<Output = ()>>(&mut self, stream: Pin<&mut F>, cx: &mut Context<'_>) -> Poll<()> {
        OFFERS.set(self.offers);
        let polled = stream.poll(cx);
        let offers = OFFERS.take();
        if polled.is_ready() {
            return Poll::Ready(());
        }
        if offers != self.offers {
            self.offers = offers;
            self.since = None;
        }
        if self.offers.is_none() {
            return Poll::Pending;
        }
        self.poll_patience(cx)
    }

    fn poll_patience(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let end = *self.since.get_or_insert_with(Instant::now) + self.patience;
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep_until(end)));
        // One that was set for an earlier piece rings early.
        while alarm.as_mut().poll(cx).is_ready() {
            if Instant::now() >= end {
                debug!("answer not taken, stream reset");
                return Poll::Ready(());
            }
            alarm.as_mut().reset(end);
        }
        Poll::Pending
    }
}

/// An answer's body, in pieces.
#[derive(Debug)]
pub(crate) struct Offered {
    inner: Answered,
    rest: Bytes,
}

impl Offered {
    pub(crate) const fn new(inner: Answered) -> Self {
        Self { inner, rest: Bytes::new() }
    }

    fn cut(&mut self, mut content: Bytes) -> Frame<Bytes> {
        self.rest = content.split_off(content.len().min(PIECE));
        Frame::data(content)
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if !self.rest.is_empty() {
            let rest = std::mem::take(&mut self.rest);
            return Poll::Ready(Some(Ok(self.cut(rest))));
        }
        Pin::new(&mut self.inner).poll_frame(cx).map_ok(|frame| match frame.into_data() {
            Ok(content) => self.cut(content),
            Err(trailers) => trailers,
        })
    }
}

impl Body for Offered {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let before = OFFERS.take();
        let polled = self.poll_piece(cx);
        if matches!(polled, Poll::Ready(Some(Ok(_)))) {
            OFFERS.set(Some(before.unwrap_or_default().wrapping_add(1)));
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        if self.rest.is_empty() {
            return self.inner.size_hint();
        }
        SizeHint::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::body::full;
    use http_body_util::BodyExt as _;

    #[tokio::test]
    async fn an_answer_is_offered_in_pieces_and_whole() {
        let content: Vec<u8> = (0..=255).cycle().take(3 * PIECE + 1).collect();
        let mut body = Offered::new(full(content.clone()));
        assert_eq!(body.size_hint().exact(), Some(content.len() as u64));
        let mut seen = Vec::new();
        while let Some(frame) = body.frame().await {
            let piece = frame.unwrap().into_data().unwrap();
            assert!(piece.len() <= PIECE);
            seen.extend_from_slice(&piece);
            assert_eq!(body.is_end_stream(), seen.len() == content.len());
        }
        assert_eq!(seen, content);
        assert!(Offered::new(full("")).is_end_stream());
    }

    #[tokio::test]
    async fn who_takes_nothing_ends_the_task_and_who_waits_for_the_upstream_does_not() {
        let patience = Duration::from_millis(50);
        let began = Instant::now();
        let task = |offered: Option<u64>| async move {
            let mut stream = pin!(poll_fn(move |_cx| {
                OFFERS.set(offered);
                Poll::Pending
            }));
            let mut taking = Taking { patience, offers: None, since: None, alarm: None };
            poll_fn(|cx| taking.poll(stream.as_mut(), cx)).await;
        };
        task(Some(1)).await;
        assert!(began.elapsed() >= patience);
        assert!(tokio::time::timeout(4 * patience, task(None)).await.is_err());
    }
}
