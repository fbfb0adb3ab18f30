//! The body of an upstream's answer, with the connection that it comes over.

use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use tokio::runtime::Handle;
use tokio::time::{Instant, Sleep, sleep_until};
use tracing::debug;

use super::body::BodyError;
use super::members::Member;
use super::multiplexed::Stream;
use super::open::{Open, Patience, Readiness};
use super::upstreams::{UpstreamError, Upstreams};

/// A connection while it is lent; it goes back when this is dropped, if it is still good.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) upstreams: Weak<Upstreams>,
    pub(crate) member: Arc<Member>,
    pub(crate) open: Option<Open>,
}

impl Line {
    /// Gives the connection a task of its own, until it can take a request again.
    pub(crate) fn run_alone(&mut self, patience: Patience) {
        // Where the runtime is going, so are its connections.
        let (Some(mut open), Ok(runtime)) = (self.open.take(), Handle::try_current()) else { return };
        let (upstreams, member) = (Weak::clone(&self.upstreams), Arc::clone(&self.member));
        runtime.spawn(async move {
            if open.finish(patience).await == Readiness::Ready
                && let Some(upstreams) = upstreams.upgrade()
            {
                upstreams.keep(&member, open);
            }
        });
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let Some(open) = &mut self.open else { return };
        match open.settle() {
            Readiness::Over => {}
            Readiness::Busy => self.run_alone(Patience::Short),
            Readiness::Ready => {
                if let (Some(upstreams), Some(open)) = (self.upstreams.upgrade(), self.open.take()) {
                    upstreams.keep(&self.member, open);
                }
            }
        }
    }
}

/// What an answer comes over.
#[derive(Debug)]
enum Way {
    /// A connection of its own.
    Line(Line),
    /// A stream among others.
    Stream(Stream),
}

/// The body of an upstream's answer, with the connection that it comes over.
#[derive(Debug)]
pub(crate) struct Answering {
    body: Incoming,
    way: Way,
    silence: Silence,
}

impl Answering {
    /// Over a connection of its own.
    pub(crate) const fn over_line(body: Incoming, line: Line, idle: Option<Duration>) -> Self {
        Self { body, way: Way::Line(line), silence: Silence::limited(idle) }
    }

    /// Over a stream among others.
    pub(crate) const fn over_stream(body: Incoming, stream: Stream, idle: Option<Duration>) -> Self {
        Self { body, way: Way::Stream(stream), silence: Silence::limited(idle) }
    }

    /// Lets a connection run that is HTTP no more, for whoever waits for what it becomes. A stream counts as
    /// one until what is given back is dropped.
    pub(crate) fn run_on(self) -> Option<Stream> {
        match self.way {
            Way::Stream(stream) => Some(stream),
            Way::Line(mut line) => {
                if let Some(driver) = line.open.take().and_then(Open::into_driver) {
                    tokio::spawn(async move {
                        if let Err(error) = driver.await {
                            debug!(%error, "connection to an upstream ended early");
                        }
                    });
                }
                None
            }
        }
    }

    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        http_body::Body::poll_frame(Pin::new(&mut self.body), cx)
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        if !matches!(&self.way, Way::Line(Line { open: Some(_), .. })) {
            return self.poll_body(cx);
        }
        // Nothing but the driver, here, can bring more of it: nobody need be woken for it.
        let mut nobody = Context::from_waker(Waker::noop());
        let brought = self.poll_body(&mut nobody);
        if brought.is_ready() {
            return brought;
        }
        if let Way::Line(Line { open: Some(open), .. }) = &mut self.way {
            open.drive(cx);
        }
        self.poll_body(&mut nobody)
    }
}

impl http_body::Body for Answering {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.poll_piece(cx) {
            Poll::Ready(piece) => {
                self.silence.is_broken();
                Poll::Ready(piece.map(|read| read.map_err(Into::into)))
            }
            Poll::Pending => self.silence.poll_too_long(cx).map(|()| Some(Err(UpstreamError::Idle.into()))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// How long an upstream has said nothing. Whose answer is there at once needs no clock.
#[derive(Debug)]
struct Silence {
    limit: Option<Duration>,
    since: Option<Instant>,
    alarm: Option<Pin<Box<Sleep>>>,
}

impl Silence {
    const fn limited(limit: Option<Duration>) -> Self {
        Self { limit, since: None, alarm: None }
    }

    const fn is_broken(&mut self) {
        self.since = None;
    }

    fn poll_too_long(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(limit) = self.limit else { return Poll::Pending };
        let end = *self.since.get_or_insert_with(Instant::now) + limit;
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep_until(end)));
        // One that was set for an earlier silence rings early.
        while alarm.as_mut().poll(cx).is_ready() {
            if Instant::now() >= end {
                return Poll::Ready(());
            }
            alarm.as_mut().reset(end);
        }
        Poll::Pending
    }
}
