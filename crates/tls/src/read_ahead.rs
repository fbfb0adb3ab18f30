//! Reads what is there to be read at once: the TLS library asks for 4 KiB at a time, which for a full record
//! would be five calls to the system.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::buffers::Buffer;

/// A transport that is read ahead of the TLS library. It holds a buffer only while the library has not taken
/// what was read.
#[derive(Debug)]
pub(crate) struct ReadAhead<IO> {
    io: IO,
    untaken: Option<Untaken>,
}

#[derive(Debug)]
struct Untaken {
    buffer: Buffer,
    from: usize,
    to: usize,
}

impl<IO> ReadAhead<IO> {
    pub(crate) const fn new(io: IO) -> Self {
        Self { io, untaken: None }
    }

    /// The transport itself, to be looked at.
    pub(crate) const fn transport(&self) -> &IO {
        &self.io
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for ReadAhead<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut untaken = match self.untaken.take() {
            Some(untaken) => untaken,
            None => {
                let mut buffer = Buffer::take();
                let mut room = ReadBuf::new(&mut buffer);
                ready!(Pin::new(&mut self.io).poll_read(cx, &mut room))?;
                let to = room.filled().len();
                Untaken { buffer, from: 0, to }
            }
        };
        let rest = untaken.buffer.get(untaken.from..untaken.to).unwrap_or_default();
        let taken = rest.len().min(buf.remaining());
        buf.put_slice(rest.get(..taken).unwrap_or_default());
        untaken.from += taken;
        if untaken.from < untaken.to {
            self.untaken = Some(untaken);
        }
        Poll::Ready(Ok(()))
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for ReadAhead<IO> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;

    use super::*;

    /// Gives a thousand octets at a time, and counts how often it is asked.
    #[derive(Default)]
    struct Thousands {
        left: usize,
        asked: usize,
    }

    impl AsyncRead for Thousands {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _cx: &mut Context<'_>,
            buf: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            self.asked += 1;
            let here = self.left.min(1000).min(buf.remaining());
            buf.put_slice(&vec![u8::try_from(self.left / 1000).unwrap(); here]);
            self.left -= here;
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn small_reads_are_served_from_few_large_ones() {
        let mut ahead = ReadAhead::new(Thousands { left: 3000, asked: 0 });
        let mut read = Vec::new();
        let mut piece = [0; 300];
        loop {
            let length = ahead.read(&mut piece).await.unwrap();
            if length == 0 {
                break;
            }
            read.extend_from_slice(&piece[..length]);
        }
        assert_eq!(read, [vec![3; 1000], vec![2; 1000], vec![1; 1000]].concat());
        assert_eq!(ahead.transport().asked, 4, "three times for something, once for the end");
    }

    #[tokio::test]
    async fn a_buffer_is_held_only_while_there_is_something_in_it() {
        let mut ahead = ReadAhead::new(Thousands { left: 1000, asked: 0 });
        assert_eq!(ahead.read(&mut [0; 999]).await.unwrap(), 999);
        assert!(ahead.untaken.is_some());
        assert_eq!(ahead.read(&mut [0; 999]).await.unwrap(), 1);
        assert!(ahead.untaken.is_none());
    }
}
