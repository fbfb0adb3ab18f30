//! Bodies, streamed in both directions and never gathered.

use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::{Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use tower::util::BoxCloneSyncService;

use super::upstreams::Line;
use crate::registry::RequestGuard;

/// Why a body ended early.
pub type BodyError = Box<dyn Error + Send + Sync>;

/// A request's or answer's body.
pub type Body = UnsyncBoxBody<Bytes, BodyError>;

/// The control plane as the door calls it.
pub type LocalService = BoxCloneSyncService<Request<Body>, Response<Body>, Infallible>;

/// A body of known content.
pub(crate) fn full(content: impl Into<Bytes>) -> Body {
    Full::new(content.into()).map_err(|never: Infallible| match never {}).boxed_unsync()
}

/// What is removed from the trailers that pass.
type TrailerFilter = fn(&mut HeaderMap);

/// A body on its way through the door: filters its trailers, and counts as a request under way until
/// it has passed.
pub(crate) struct Passing<B> {
    inner: B,
    filter: TrailerFilter,
    _kept: Kept,
}

/// What is held until a body has passed, and let go of after the body.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    _guard: Option<RequestGuard>,
    _line: Option<Line>,
}

impl Kept {
    /// The request counts as under way, and the connection that the body comes over, if it is one to an
    /// upstream, is lent.
    pub(crate) const fn new(guard: RequestGuard, line: Option<Line>) -> Self {
        Self { _guard: Some(guard), _line: line }
    }
}

impl<B> Passing<B> {
    pub(crate) const fn new(inner: B, filter: TrailerFilter, kept: Kept) -> Self {
        Self { inner, filter, _kept: kept }
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
        Pin::new(&mut self.inner).poll_frame(cx).map(|frame| {
            frame.map(|read| {
                let mut frame = read.map_err(Into::into)?;
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
