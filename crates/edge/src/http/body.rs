//! Bodies, streamed in both directions and never gathered.

use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::{Frame, SizeHint};
use http_body_util::Full;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use tower::util::BoxCloneSyncService;

use super::answering::Answering;
use super::pace::Tempo;
use crate::front::entry::Logged;
use crate::registry::RequestGuard;

/// Why a body ended early.
pub type BodyError = Box<dyn Error + Send + Sync>;

/// A request's or answer's body.
pub type Body = UnsyncBoxBody<Bytes, BodyError>;

/// The control plane as the door calls it.
pub type LocalService = BoxCloneSyncService<Request<Body>, Response<Body>, Infallible>;

/// The body of what a door answers, unboxed: there is one for every request.
#[derive(Debug)]
pub(crate) enum Answered {
    /// The door's own.
    Own(Full<Bytes>),
    /// An upstream's.
    Upstream(Passing<Answering>),
    /// The control plane's.
    ControlPlane(Passing<Body>),
    /// Any, written down when it has passed.
    Logged(Box<Logged>),
}

/// A body of known content.
pub(crate) fn full(content: impl Into<Bytes>) -> Answered {
    Answered::Own(Full::new(content.into()))
}

/// What is sent to an upstream.
#[derive(Debug)]
pub(crate) enum Outgoing {
    /// What a client sends.
    Client(Incoming),
    /// Nothing.
    Nothing,
}

impl http_body::Body for Outgoing {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match self.get_mut() {
            Self::Client(body) => Pin::new(body).poll_frame(cx),
            Self::Nothing => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Client(body) => body.is_end_stream(),
            Self::Nothing => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Client(body) => body.size_hint(),
            Self::Nothing => SizeHint::with_exact(0),
        }
    }
}

impl Passing<Outgoing> {
    /// No body.
    pub(crate) const fn nothing() -> Self {
        Self { inner: Outgoing::Nothing, filter: |_trailers| {}, _guard: None, watched: None, tempo: None }
    }
}

/// What is removed from the trailers that pass.
type TrailerFilter = fn(&mut HeaderMap);

/// A body on its way through the door: filters its trailers, and counts as a request under way until
/// it has passed.
pub(crate) struct Passing<B> {
    inner: B,
    filter: TrailerFilter,
    /// Let go of after the body.
    _guard: Option<RequestGuard>,
    /// Counts what has passed.
    watched: Option<Arc<AtomicUsize>>,
    /// Ends it when it comes too slowly.
    tempo: Option<Box<Tempo>>,
}

/// Tells whether a body is still on its way, and whether it moves.
#[derive(Debug)]
pub(crate) struct OnItsWay(Option<Arc<AtomicUsize>>);

impl OnItsWay {
    /// Whether it is.
    pub(crate) fn is_so(&self) -> bool {
        self.0.as_ref().is_some_and(|watched| Arc::strong_count(watched) > 1)
    }

    /// How many pieces of it have passed.
    pub(crate) fn moved(&self) -> usize {
        self.0.as_ref().map_or(0, |watched| watched.load(Ordering::Relaxed))
    }
}

impl<B> Passing<B> {
    /// A request's body.
    pub(crate) fn request(inner: B, filter: TrailerFilter) -> Self
    where
        B: http_body::Body,
    {
        let watched = (!inner.is_end_stream()).then(Arc::default);
        Self { inner, filter, _guard: None, watched, tempo: None }
    }

    /// The same, ended with an error when it comes too slowly for this.
    pub(crate) fn at(mut self, tempo: Option<Box<Tempo>>) -> Self {
        self.tempo = tempo;
        self
    }

    /// An answer's body. Unless what is under way has been handed on, the request counts until the body
    /// has passed.
    pub(crate) const fn answer(inner: B, filter: TrailerFilter, guard: Option<RequestGuard>) -> Self {
        Self { inner, filter, _guard: guard, watched: None, tempo: None }
    }

    /// Tells from now on whether this body is still there.
    pub(crate) fn watch(&self) -> OnItsWay {
        OnItsWay(self.watched.clone())
    }
}

impl<B> fmt::Debug for Passing<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Passing").finish_non_exhaustive()
    }
}

impl<B> http_body::Body for Passing<B>
where
    B: http_body::Body<Data = Bytes> + Unpin,
    B::Error: Into<BodyError>,
{
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let filter = self.filter;
        let Self { inner, watched, tempo, .. } = &mut *self;
        let polled = Pin::new(inner).poll_frame(cx);
        if polled.is_pending()
            && let Some(tempo) = tempo
        {
            return tempo.poll_over(cx).map(|slow| Some(Err(slow.into())));
        }
        polled.map(|frame| {
            frame.map(|read| {
                let mut frame = read.map_err(Into::into)?;
                if let Some(tempo) = tempo {
                    tempo.came(frame.data_ref().map_or(0, Bytes::len));
                }
                if let Some(watched) = watched {
                    watched.fetch_add(1, Ordering::Relaxed);
                }
                if let Some(trailers) = frame.trailers_mut() {
                    filter(trailers);
                }
                Ok(frame)
            })
        })
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl http_body::Body for Answered {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            Self::Own(body) => Pin::new(body).poll_frame(cx).map_err(|never| match never {}),
            Self::Upstream(body) => Pin::new(body).poll_frame(cx),
            Self::ControlPlane(body) => Pin::new(body).poll_frame(cx),
            Self::Logged(body) => body.poll(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Own(body) => body.is_end_stream(),
            Self::Upstream(body) => body.is_end_stream(),
            Self::ControlPlane(body) => body.is_end_stream(),
            Self::Logged(body) => body.is_end(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Own(body) => body.size_hint(),
            Self::Upstream(body) => body.size_hint(),
            Self::ControlPlane(body) => body.size_hint(),
            Self::Logged(body) => body.size(),
        }
    }
}
