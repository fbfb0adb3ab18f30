//! A request for the control plane is read ahead before it takes one of the places there, so that those who
//! are slow to say what they want keep nobody else out. What is read ahead is bounded, for each request and
//! for all of a door.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::body::{BodyError, Passing};

/// How much of one request is read ahead: more than what devices say.
const OF_ONE: usize = 64 * 1024;
/// How much of all.
const OF_ALL: usize = 64 * 1024 * 1024;

/// What may be read ahead of all requests of a door.
#[derive(Clone, Debug)]
pub(crate) struct Shelf(Arc<Semaphore>);

impl Default for Shelf {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(OF_ALL)))
    }
}

/// A request's body, its beginning read ahead.
#[derive(Debug)]
pub(crate) struct ReadAhead {
    beginning: Bytes,
    /// What came after it: trailers, an error, or content for which there was no room.
    next: Option<Result<Frame<Bytes>, BodyError>>,
    rest: Passing<Incoming>,
    /// Given back when the body is gone.
    _kept: Option<OwnedSemaphorePermit>,
}

impl Shelf {
    /// Reads a body to its end, or until enough is read or there is no room.
    pub(crate) async fn read_ahead(&self, mut rest: Passing<Incoming>) -> ReadAhead {
        let (mut beginning, mut next, mut kept) = (BytesMut::new(), None, None);
        while beginning.len() < OF_ONE && !rest.is_end_stream() {
            let Some(frame) = rest.frame().await else { break };
            match frame.as_ref().ok().and_then(Frame::data_ref) {
                Some(content) if self.keep(content.len(), &mut kept) => beginning.extend_from_slice(content),
                Some(_) | None => {
                    next = Some(frame);
                    break;
                }
            }
        }
        ReadAhead { beginning: beginning.freeze(), next, rest, _kept: kept }
    }

    fn keep(&self, bytes: usize, kept: &mut Option<OwnedSemaphorePermit>) -> bool {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let Ok(more) = Arc::clone(&self.0).try_acquire_many_owned(bytes) else { return false };
        match kept {
            Some(kept) => kept.merge(more),
            None => *kept = Some(more),
        }
        true
    }
}

impl Body for ReadAhead {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if !self.beginning.is_empty() {
            let beginning = std::mem::take(&mut self.beginning);
            return Poll::Ready(Some(Ok(Frame::data(beginning))));
        }
        match self.next.take() {
            Some(frame) => Poll::Ready(Some(frame)),
            None => Pin::new(&mut self.rest).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.beginning.is_empty() && self.next.is_none() && self.rest.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let next = self.next.as_ref().and_then(|next| next.as_ref().ok()?.data_ref());
        let here = u64::try_from(self.beginning.len() + next.map_or(0, Bytes::len)).unwrap_or(u64::MAX);
        let (rest, mut hint) = (self.rest.size_hint(), SizeHint::new());
        hint.set_lower(rest.lower().saturating_add(here));
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper.saturating_add(here));
        }
        hint
    }
}
