//! The stream below the HTTP library: ends it when a head takes too long, nobody asks for anything or
//! nobody takes the answers, watches the framing, and says when a connection has fallen silent.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use countersign_tls::ServerStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep_until};

use super::floods::{Flood, GOAWAY};
use super::frame_watch::FrameWatch;
use super::framing::{Finding, Scanner};
use crate::registry::Registration;

/// How long a client may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timing {
    /// For a request's head, from its first byte.
    pub(crate) header: Duration,
    /// Between requests.
    pub(crate) idle: Duration,
    /// To take anything of what is sent to it.
    pub(crate) write: Duration,
}

/// After how long without a byte an HTTP/1.1 connection between two requests counts as silent.
const LULL: Duration = Duration::from_millis(100);

const WATCHING: u8 = 0;
const AMBIGUOUS: u8 = 1;
const UPGRADED: u8 = 2;
const SILENT: u8 = 3;

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

    fn is_upgraded(&self) -> bool {
        self.0.load(Ordering::Relaxed) == UPGRADED
    }

    /// Whether nothing is under way, and nothing has been for a while: the HTTP library can be spared.
    pub(crate) fn is_silent(&self) -> bool {
        self.0.load(Ordering::Relaxed) == SILENT
    }

    fn fall_silent(&self) {
        self.0.store(SILENT, Ordering::Relaxed);
    }

    fn wake(&self) {
        self.0.store(WATCHING, Ordering::Relaxed);
    }
}

/// How a silent connection's rest ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Awakening {
    /// There is something to be read.
    Word,
    /// The client has said goodbye.
    Goodbye,
    /// It was silent for too long, or is lost.
    End,
}

/// What is looked at, besides the time.
#[derive(Debug)]
pub(crate) enum Watch {
    /// HTTP/1.1: what comes in.
    Incoming(Scanner),
    /// HTTP/2: frames, which leave no doubt.
    Frames(FrameWatch),
}

impl Watch {
    const fn scanner(&self) -> Option<&Scanner> {
        match self {
            Self::Incoming(scanner) => Some(scanner),
            Self::Frames(_) => None,
        }
    }
}

/// A connection's stream.
#[derive(Debug)]
pub(crate) struct Wire<IO> {
    io: IO,
    watch: Watch,
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
    /// Since when the client has taken nothing of what waits for it.
    untaken_since: Option<Instant>,
    untaken_alarm: Option<Pin<Box<Sleep>>>,
    /// Whether what was written may not have been passed on.
    owes: bool,
    /// What the HTTP library had read and not used when the connection fell silent.
    unread: Bytes,
}

impl<IO> Wire<IO> {
    pub(crate) fn new(
        io: IO,
        watch: Watch,
        framing: Framing,
        live: Arc<Registration>,
        timing: Timing,
    ) -> Self {
        let now = Instant::now();
        let alarm = Box::pin(sleep_until(now + timing.idle));
        let turns = live.turns();
        Self {
            io,
            watch,
            framing,
            live,
            timing,
            head_began: None,
            last_sign: now,
            turns,
            alarm,
            untaken_since: None,
            untaken_alarm: None,
            owes: false,
            unread: Bytes::new(),
        }
    }

    /// The same wire, for the HTTP library to begin anew on: `unread` is read first.
    pub(crate) fn resting(mut self, unread: Bytes) -> Self {
        self.unread = unread;
        self
    }

    /// When this connection is silent, unless something happens.
    fn silent_at(&self) -> Option<Instant> {
        let is_between = self.framing.is_watching()
            && self.watch.scanner().is_some_and(Scanner::is_between)
            && !self.owes
            && !self.live.is_busy();
        is_between.then(|| self.last_sign + LULL)
    }

    fn saw(&mut self, bytes: &[u8]) -> Result<(), Flood> {
        let scanner = match &mut self.watch {
            Watch::Incoming(scanner) => scanner,
            Watch::Frames(frames) => return frames.came(bytes),
        };
        self.last_sign = Instant::now();
        if self.framing.is_watching() {
            self.framing.found(scanner.feed(bytes));
            self.head_began = scanner.is_in_head().then(|| self.head_began.unwrap_or(self.last_sign));
        } else {
            self.head_began = None;
        }
        Ok(())
    }

    fn sent<'b>(&mut self, bufs: impl IntoIterator<Item = &'b [u8]>, written: &Poll<io::Result<usize>>) {
        self.owes = true;
        let (Watch::Frames(frames), Poll::Ready(Ok(written))) = (&mut self.watch, written) else { return };
        let mut left = *written;
        for buf in bufs {
            let here = left.min(buf.len());
            frames.sent(buf.get(..here).unwrap_or_default());
            left -= here;
        }
    }

    /// What became of an attempt to send something; an error when the client has taken nothing for too long.
    /// What is no HTTP any more may wait.
    fn taken<T>(&mut self, sent: Poll<io::Result<T>>, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        if sent.is_ready() || self.framing.is_upgraded() {
            self.untaken_since = None;
            return sent;
        }
        let end = *self.untaken_since.get_or_insert_with(Instant::now) + self.timing.write;
        let alarm = self.untaken_alarm.get_or_insert_with(|| Box::pin(sleep_until(end)));
        // One that was set for an earlier stall rings early.
        while alarm.as_mut().poll(cx).is_ready() {
            if Instant::now() >= end {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            alarm.as_mut().reset(end);
        }
        Poll::Pending
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
            let silent_at = self.silent_at().filter(|silent| *silent < deadline);
            let next = silent_at.unwrap_or(deadline);
            // An alarm that rings early is set again then: cheaper than setting it at every sign.
            if next < self.alarm.deadline() {
                self.alarm.as_mut().reset(next);
            }
            ready!(self.alarm.as_mut().poll(cx));
            if next > self.alarm.deadline() {
                self.alarm.as_mut().reset(next);
                continue;
            }
            if silent_at.is_some() {
                // Whoever drives the connection looks for it.
                self.framing.fall_silent();
                return Poll::Pending;
            }
            if self.head_began.is_some() || !self.live.is_busy() {
                return Poll::Ready(());
            }
        }
    }
}

impl Wire<ServerStream<TcpStream>> {
    /// Waits for the client's next word, holding nothing to read it into.
    pub(crate) async fn rest(&mut self) -> Awakening {
        std::future::poll_fn(|cx| self.poll_rest(cx)).await
    }

    fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<Awakening> {
        match self.io.poll_peek(cx) {
            Poll::Ready(Ok(0)) => return Poll::Ready(Awakening::Goodbye),
            Poll::Ready(Ok(_bytes)) => {
                self.framing.wake();
                return Poll::Ready(Awakening::Word);
            }
            Poll::Ready(Err(_lost)) => return Poll::Ready(Awakening::End),
            Poll::Pending => {}
        }
        let deadline = self.last_sign + self.timing.idle;
        if self.alarm.deadline() != deadline {
            self.alarm.as_mut().reset(deadline);
        }
        self.alarm.as_mut().poll(cx).map(|()| Awakening::End)
    }
}

impl<IO: AsyncWrite + Unpin> Wire<IO> {
    /// Says why an HTTP/2 connection ends, if that can be said at once.
    fn send_away(&mut self, cx: &mut Context<'_>) {
        if let Watch::Frames(frames) = &self.watch
            && frames.is_between_frames()
            && Pin::new(&mut self.io).poll_write(cx, &GOAWAY).is_ready()
        {
            drop(Pin::new(&mut self.io).poll_flush(cx));
        }
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AsyncRead for Wire<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if !this.unread.is_empty() {
            let here = this.unread.len().min(buf.remaining());
            buf.put_slice(this.unread.get(..here).unwrap_or_default());
            this.unread.advance(here);
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        match Pin::new(&mut this.io).poll_read(cx, buf) {
            Poll::Ready(Ok(())) => {
                if this.saw(buf.filled().get(before..).unwrap_or_default()).is_err() {
                    this.send_away(cx);
                    return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
                }
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
        let written = Pin::new(&mut self.io).poll_write(cx, buf);
        self.sent([buf], &written);
        self.taken(written, cx)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.io).poll_flush(cx);
        self.owes &= !matches!(flushed, Poll::Ready(Ok(())));
        self.taken(flushed, cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let ended = Pin::new(&mut self.io).poll_shutdown(cx);
        self.taken(ended, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write_vectored(cx, bufs);
        self.sent(bufs.iter().map(|buf| &**buf), &written);
        self.taken(written, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}
