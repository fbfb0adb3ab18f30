//! HTTP/2 connections to an upstream: few, and many requests over each.

use std::sync::Arc;
use std::time::Duration;

use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use parking_lot::Mutex;
use tokio::time::Instant;
use tracing::debug;

use super::open::KEPT_IDLE;
use super::upstreams::{Onward, UpstreamError};

/// How many requests go over one connection before there is another.
const STREAMS: usize = 100;
/// How often a connection is asked whether it is still there.
const PING_EVERY: Duration = Duration::from_secs(30);
const WINDOW: u32 = 1024 * 1024;

/// What a worker keeps of an upstream over HTTP/2.
#[derive(Debug, Default)]
pub(crate) struct Multiplexed {
    kept: Mutex<Vec<Shared>>,
    /// One connects at a time: the others find its connection.
    pub(crate) turn: tokio::sync::Mutex<()>,
}

/// A connection.
#[derive(Debug)]
struct Shared {
    sender: SendRequest<Onward>,
    streams: Arc<()>,
    since: Instant,
    generation: u64,
}

/// A place among the streams of a connection.
#[derive(Debug)]
pub(crate) struct Stream {
    _place: Arc<()>,
}

/// A connection, and a place among its streams.
pub(crate) type Found = (SendRequest<Onward>, Stream);

impl Multiplexed {
    /// A connection that has room.
    pub(crate) fn free(&self, generation: u64) -> Option<Found> {
        let mut kept = self.kept.lock();
        kept.retain(|one| !one.sender.is_closed());
        let one = kept
            .iter_mut()
            .find(|one| one.generation == generation && Arc::strong_count(&one.streams) <= STREAMS)?;
        one.since = Instant::now();
        Some((one.sender.clone(), Stream { _place: Arc::clone(&one.streams) }))
    }

    /// Begins to speak HTTP/2.
    pub(crate) async fn begin<IO>(&self, io: IO, generation: u64) -> Result<(), UpstreamError>
    where
        IO: hyper::rt::Read + hyper::rt::Write + Send + Unpin + 'static,
    {
        let (sender, connection) = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .keep_alive_interval(PING_EVERY)
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(WINDOW)
            .handshake(io)
            .await
            .map_err(UpstreamError::Request)?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                debug!(%error, "connection to an upstream ended early");
            }
        });
        self.kept.lock().push(Shared { sender, streams: Arc::new(()), since: Instant::now(), generation });
        Ok(())
    }

    /// Lets go of what nobody has used for a while.
    pub(crate) fn let_go(&self) {
        self.kept.lock().retain(|one| {
            let is_used = Arc::strong_count(&one.streams) > 1;
            let is_young = one.since.elapsed() < KEPT_IDLE;
            !one.sender.is_closed() && (is_used || is_young)
        });
    }
}
