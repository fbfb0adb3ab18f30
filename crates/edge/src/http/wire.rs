//! The stream below the HTTP library: ends it when a head takes too long or nobody asks for
//! anything, and watches the framing of HTTP/1.1.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use super::framing::{Finding, Scanner};
use crate::registry::Registration;

/// How long a client may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timing {
    /// For a request's head, from its first byte.
    pub(crate) header: Duration,
    /// Between requests.
    pub(crate) idle: Duration,
}

const WATCHING: u8 = 0;
const AMBIGUOUS: u8 = 1;
const UPGRADED: u8 = 2;

/// What is known of a connection's framing, shared with its requests.
#[derive(Clone, Debug, Default)]
pub(crate) struct Framing(Arc<AtomicU8>);

impl Framing {
    /// Whether a shape was seen that is refused.
    pub(crate) fn is_ambiguous(&self) -> bool {
        self.0.load(Ordering::Relaxed) == AMBIGUOUS
    }

    /// What follows is not HTTP any more.
    pub(crate) fn upgraded(&self) {
        self.0.store(UPGRADED, Ordering::Relaxed);
    }

    fn found(&self, finding: Finding) {
        if finding == Finding::Ambiguous {
            self.0.store(AMBIGUOUS, Ordering::Relaxed);
        }
    }

    fn is_watching(&self) -> bool {
        self.0.load(Ordering::Relaxed) == WATCHING
    }
}

/// A connection's stream.
#[derive(Debug)]
pub(crate) struct Wire<IO> {
    io: IO,
    /// `None`: HTTP/2, whose frames leave no doubt.
    scanner: Option<Scanner>,
    framing: Framing,
    live: Arc<Registration>,
    timing: Timing,
    head_began: Option<Instant>,
    /// When the client last did something that counts: over HTTP/1.1 a byte, over HTTP/2, where
    /// answers to our own PINGs are bytes too, a request's beginning or end.
    last_sign: Instant,
    /// How many of these there had been then.
    turns: usize,
    alarm: Pin<Box<Sleep>>,
}

impl<IO> Wire<IO> {
    pub(crate) fn new(
        io: IO,
        scanner: Option<Scanner>,
        framing: Framing,
        live: Arc<Registration>,
        timing: Timing,
    ) -> Self {
        let now = Instant::now();
        let alarm = Box::pin(sleep_until(now + timing.idle));
        let turns = live.turns();
        Self { io, scanner, framing, live, timing, head_began: None, last_sign: now, turns, alarm }
    }

    fn saw(&mut self, bytes: &[u8]) {
        let Some(scanner) = &mut self.scanner else { return };
        self.last_sign = Instant::now();
        if self.framing.is_watching() {
            self.framing.found(scanner.feed(bytes));
            self.head_began = scanner.is_in_head().then(|| self.head_began.unwrap_or(self.last_sign));
        } else {
            self.head_began = None;
        }
    }

    /// Counts what went on above the stream: a request under way, and its beginning and end.
    fn look_up(&mut self) {
        let turns = self.live.turns();
        if turns != self.turns || self.live.is_busy() {
            self.turns = turns;
            self.last_sign = Instant::now();
        }
    }

    /// Ready when the client has taken too long.
    fn poll_patience(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            self.look_up();
            let deadline = match self.head_began {
                Some(began) => began + self.timing.header,
                None => self.last_sign + self.timing.idle,
            };
            // An alarm that rings early is set again then: cheaper than setting it at every sign.
            if deadline < self.alarm.deadline() {
                self.alarm.as_mut().reset(deadline);
            }
            ready!(self.alarm.as_mut().poll(cx));
            if deadline > self.alarm.deadline() {
                self.alarm.as_mut().reset(deadline);
                continue;
            }
            if self.head_began.is_some() || !self.live.is_busy() {
                return Poll::Ready(());
            }
        }
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Wire<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buf.filled().len();
        match Pin::new(&mut this.io).poll_read(cx, buf) {
            Poll::Ready(Ok(())) => {
                this.saw(buf.filled().get(before..).unwrap_or_default());
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => {
                ready!(this.poll_patience(cx));
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
        }
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Wire<IO> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}
