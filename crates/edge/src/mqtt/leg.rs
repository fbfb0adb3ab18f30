//! One side of a conversation: its stream, what came in and is not taken yet, what is to go out.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::wire::{Fault, Frame, next_frame};

/// How much is read at once.
const CHUNK: usize = 16 * 1024;

/// Buffers up to this size are kept while nothing is in them.
const KEPT: usize = 512;

/// One side.
#[derive(Debug)]
pub(super) struct Leg<S> {
    stream: S,
    inbox: Vec<u8>,
    /// How much of the inbox was taken.
    taken: usize,
    pub(super) outbox: Vec<u8>,
    /// How much of the outbox went out.
    sent: usize,
    is_flushed: bool,
    is_ended: bool,
    /// When something last went out, or there was nothing to go out.
    pub(super) moved: Instant,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Leg<S> {
    pub(super) fn new(stream: S) -> Self {
        Self {
            stream,
            inbox: Vec::new(),
            taken: 0,
            outbox: Vec::new(),
            sent: 0,
            is_flushed: true,
            is_ended: false,
            moved: Instant::now(),
        }
    }

    /// How many bytes are still to go out.
    pub(super) fn waiting(&self) -> usize {
        self.outbox.len() - self.sent
    }

    /// Whether everything went out.
    pub(super) fn is_drained(&self) -> bool {
        self.waiting() == 0 && self.is_flushed
    }

    /// Whether the other side says nothing more.
    pub(super) const fn is_ended(&self) -> bool {
        self.is_ended
    }

    /// The next packet that came in whole.
    pub(super) fn peek(&self, limit: usize) -> Result<Option<Frame<'_>>, Fault> {
        next_frame(self.inbox.get(self.taken..).unwrap_or_default(), limit)
    }

    /// Goes past a packet of so many bytes.
    pub(super) fn advance(&mut self, bytes: usize) {
        self.taken = self.taken.saturating_add(bytes).min(self.inbox.len());
    }

    /// Takes a packet out; for when the rest is to be changed meanwhile.
    pub(super) fn next(&mut self, limit: usize) -> Result<Option<Vec<u8>>, Fault> {
        let Some(bytes) = self.peek(limit)?.map(|frame| frame.bytes.to_vec()) else { return Ok(None) };
        self.advance(bytes.len());
        Ok(Some(bytes))
    }

    /// Parts of it, to look at a packet and write to it at once.
    pub(super) fn split(&mut self) -> (&[u8], &mut Vec<u8>) {
        (self.inbox.get(self.taken..).unwrap_or_default(), &mut self.outbox)
    }

    /// Reads once. Whether something came.
    pub(super) fn poll_fill(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        if self.is_ended {
            return Ok(false);
        }
        self.compact();
        let mut space = [MaybeUninit::uninit(); CHUNK];
        let mut buffer = ReadBuf::uninit(&mut space);
        match Pin::new(&mut self.stream).poll_read(cx, &mut buffer) {
            Poll::Pending => Ok(false),
            Poll::Ready(Err(error)) => Err(error),
            Poll::Ready(Ok(())) => {
                let filled = buffer.filled();
                self.is_ended = filled.is_empty();
                self.inbox.extend_from_slice(filled);
                Ok(true)
            }
        }
    }

    fn compact(&mut self) {
        if self.taken == self.inbox.len() {
            self.inbox.clear();
            if self.inbox.capacity() > KEPT {
                self.inbox = Vec::new();
            }
        } else {
            self.inbox.drain(..self.taken);
        }
        self.taken = 0;
    }

    /// Writes what there is. Whether something went out.
    pub(super) fn poll_drain(&mut self, cx: &mut Context<'_>, now: Instant) -> io::Result<bool> {
        let mut is_moved = false;
        while let Some(rest) = self.outbox.get(self.sent..).filter(|rest| !rest.is_empty()) {
            match Pin::new(&mut self.stream).poll_write(cx, rest) {
                Poll::Pending => break,
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(count)) => {
                    self.sent += count;
                    self.is_flushed = false;
                    is_moved = true;
                }
            }
        }
        if self.waiting() == 0 {
            self.outbox.clear();
            self.sent = 0;
            if self.outbox.capacity() > KEPT {
                self.outbox = Vec::new();
            }
        }
        if !self.is_flushed {
            match Pin::new(&mut self.stream).poll_flush(cx) {
                Poll::Pending => {}
                Poll::Ready(flushed) => {
                    flushed?;
                    self.is_flushed = true;
                }
            }
        }
        if is_moved || self.is_drained() {
            self.moved = now;
        }
        Ok(is_moved)
    }

    /// Writes everything out.
    pub(super) async fn drain(&mut self) -> io::Result<()> {
        std::future::poll_fn(|cx| {
            if let Err(error) = self.poll_drain(cx, Instant::now()) {
                return Poll::Ready(Err(error));
            }
            if self.is_drained() { Poll::Ready(Ok(())) } else { Poll::Pending }
        })
        .await
    }

    /// Reads until a whole packet is there, and takes it out.
    pub(super) async fn receive(&mut self, limit: usize) -> Result<Vec<u8>, ReceiveError> {
        loop {
            if let Some(packet) = self.next(limit)? {
                return Ok(packet);
            }
            if self.is_ended {
                return Err(ReceiveError::Ended);
            }
            let filled = std::future::poll_fn(|cx| match self.poll_fill(cx) {
                Ok(true) => Poll::Ready(Ok(())),
                Ok(false) => Poll::Pending,
                Err(error) => Poll::Ready(Err(error)),
            });
            filled.await?;
        }
    }

    /// Ends the stream.
    pub(super) async fn shutdown(&mut self) -> io::Result<()> {
        std::future::poll_fn(|cx| Pin::new(&mut self.stream).poll_shutdown(cx)).await
    }
}

/// No packet came.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReceiveError {
    /// The other side is gone.
    #[error("the connection ended")]
    Ended,
    /// It cannot be read.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// The connection broke.
    #[error("the connection broke")]
    Broken(#[from] io::Error),
}
