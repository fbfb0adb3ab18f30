//! One connection: its requests, and its end.

use std::error::Error as _;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::{Arc, OnceLock};
use std::task::Poll;
use std::time::Duration;

use countersign_tls::{Peer, ServerStream};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tracing::debug;

use super::frame_watch::FrameWatch;
use super::framing::Scanner;
use super::room::Share;
use super::service::{self, Worker};
use super::stream::{Offered, Streams};
use super::told::Told;
use super::wire::{Awakening, Framing, Timing, Watch, Wire};
use crate::accept::limits::Slot;
use crate::registry::{Ending, Registration};

/// How long the head of a request may be; the HTTP library takes at most 100 fields over HTTP/1.1.
const HEAD_LIMIT: usize = 64 * 1024;
/// The same over HTTP/2, counted as RFC 9113 section 6.5.2 has it. Up to four times as much is answered 431;
/// more, or a head in more CONTINUATION frames than it takes, ends the connection.
const HEADER_LIST_LIMIT: u32 = 64 * 1024;
/// What a client may have the door remember of earlier heads.
const HEADER_TABLE: u32 = 4096;
/// How many requests a connection may have under way: each may hold an answer's piece, and a head.
const STREAMS: u32 = 128;
/// How many requests may be reset by the client before they were looked at; more end the connection.
const UNSEEN_RESETS: usize = 20;
/// How many requests may be reset for an error of the client's; more end the connection.
const ERROR_RESETS: usize = 100;
/// How much of the bodies of a connection's requests, and of one of them, may wait to be taken.
const WINDOW: u32 = 1024 * 1024;
/// How much of an answer may wait for its client, besides the piece that is next.
const SEND_BUFFER: usize = 64 * 1024;
const FRAME: u32 = 16 * 1024;
const PING_EVERY: Duration = Duration::from_secs(30);
const PING_PATIENCE: Duration = Duration::from_secs(20);

/// What is known of a connection.
#[derive(Debug)]
pub(crate) struct Arrived {
    /// The other side of the handshake.
    pub(crate) peer: Peer,
    /// Where it comes from, by the socket or the PROXY header.
    pub(crate) address: SocketAddr,
    /// Where it came to.
    pub(crate) local: SocketAddr,
    /// What serves it.
    pub(crate) worker: Arc<Worker>,
    /// Its entry among the live connections.
    pub(crate) live: Arc<Registration>,
    /// What its bytes look like.
    pub(crate) framing: Framing,
    /// What was told about it last.
    pub(crate) told: Mutex<Option<Arc<Told>>>,
    /// How much of the control plane its requests may take.
    pub(crate) share: OnceLock<Share>,
    /// Its place in the count of connections.
    pub(crate) _slot: Slot,
}

/// Serves a connection until it ends or is ended.
pub(crate) async fn serve(stream: ServerStream<TcpStream>, arrived: Arrived, timing: Timing) {
    let arrived = Arc::new(arrived);
    if arrived.peer.alpn() == Some(b"h2") {
        // Boxed: a silent connection of the other kind need not have room for it.
        Box::pin(http_2(stream, arrived, timing)).await;
    } else {
        http_1(stream, arrived, timing).await;
    }
}

/// A connection is the HTTP library's, with its buffers, only while there is something to say: a silent one
/// rests, from its beginning and between requests, with nothing but its TLS state.
async fn http_1(stream: ServerStream<TcpStream>, arrived: Arc<Arrived>, timing: Timing) {
    let live = Arc::clone(&arrived.live);
    let watch = Watch::Incoming(Scanner::new());
    let mut wire = Wire::new(stream, watch, arrived.framing.clone(), Arc::clone(&live), timing);
    loop {
        if !rest(&mut wire, &live).await {
            return;
        }
        match Box::pin(converse(wire, &arrived)).await {
            Some(silent) => wire = silent,
            None => return,
        }
        arrived.told.lock().take();
    }
}

/// Waits for the next word of a silent connection, and ends it when it is told to. Whether there is one.
async fn rest(wire: &mut Wire<ServerStream<TcpStream>>, live: &Registration) -> bool {
    let _resting = live.resting();
    let awakening = tokio::select! {
        biased;
        () = live.told(Ending::Retire) => Awakening::Goodbye,
        awakening = wire.rest() => awakening,
    };
    match awakening {
        Awakening::Word => return true,
        Awakening::End => return false,
        Awakening::Goodbye => {}
    }
    tokio::select! {
        biased;
        () = live.told(Ending::Kill) => {}
        ended = wire.shutdown() => {
            if let Err(error) = ended {
                debug!(%error, "connection ended early");
            }
        }
    }
    false
}

/// Serves the requests of a connection until it ends, which gives `None`, or falls silent.
async fn converse(
    wire: Wire<ServerStream<TcpStream>>,
    arrived: &Arc<Arrived>,
) -> Option<Wire<ServerStream<TcpStream>>> {
    let mut builder = http1::Builder::new();
    // The wire keeps the time, and tells a head that drips from a connection that waits.
    builder.header_read_timeout(None).max_buf_size(HEAD_LIMIT);
    let own = Arc::clone(arrived);
    let service = service_fn(move |request| service::handle(Arc::clone(&own), request));
    let mut connection = builder.serve_connection(TokioIo::new(wire), service).with_upgrades();
    let framing = &arrived.framing;
    let until_silence = std::future::poll_fn(|cx| match Pin::new(&mut connection).poll(cx) {
        Poll::Ready(ended) => Poll::Ready(Some(ended)),
        Poll::Pending if framing.is_silent() => Poll::Ready(None),
        Poll::Pending => Poll::Pending,
    });
    let stop = tokio::select! {
        biased;
        () = arrived.live.told(Ending::Retire) => Stop::Retire,
        ended = until_silence => ended.map_or(Stop::Rest, Stop::Ended),
    };
    let ended = match stop {
        Stop::Ended(ended) => ended,
        Stop::Rest => {
            let parts = connection.into_parts()?;
            return Some(parts.io.into_inner().resting(parts.read_buf));
        }
        Stop::Retire => {
            retire(connection, &arrived.live, |connection| connection.graceful_shutdown()).await?
        }
    };
    let ended = ended.inspect_err(|error| debug!(%error, "connection ended early"));
    if ended.is_err_and(|error| error.is_parse()) {
        arrived.worker.gate().lasting.tell_of_unreadable(arrived.address);
    }
    None
}

/// Why a conversation stops.
enum Stop {
    Ended(Result<(), hyper::Error>),
    Retire,
    Rest,
}

async fn http_2(stream: ServerStream<TcpStream>, arrived: Arc<Arrived>, timing: Timing) {
    let live = Arc::clone(&arrived.live);
    let watch = Watch::Frames(FrameWatch::new(Arc::clone(&arrived)));
    let wire = Wire::new(stream, watch, arrived.framing.clone(), Arc::clone(&live), timing);
    let builder = limited(http2::Builder::new(Streams { patience: timing.write }));
    let own = Arc::clone(&arrived);
    let service = service_fn(move |request| {
        // Boxed: it is large, and the HTTP library moves it about.
        let answer = Box::pin(service::handle(Arc::clone(&own), request));
        async { answer.await.map(|response| response.map(Offered::new)) }
    });
    let mut connection = builder.serve_connection(TokioIo::new(wire), service);
    live.is_of_streams();
    let ended = tokio::select! {
        biased;
        () = live.told(Ending::Retire) => None,
        ended = &mut connection => Some(ended),
    };
    let ended = match ended {
        Some(ended) => Some(ended),
        None => retire(connection, &live, |connection| connection.graceful_shutdown()).await,
    };
    // A request alone that cannot be read resets its stream, which `FrameWatch` sees.
    if let Some(Err(error)) = ended {
        debug!(%error, "connection ended early");
        if is_told_by_us(&error) {
            arrived.worker.gate().lasting.tell_of_unreadable(arrived.address);
        }
    }
}

/// Says how much of everything a connection may take, also where the HTTP library has a limit of its own.
fn limited(mut builder: http2::Builder<Streams>) -> http2::Builder<Streams> {
    builder
        .timer(TokioTimer::new())
        .enable_connect_protocol()
        .max_concurrent_streams(STREAMS)
        .max_pending_accept_reset_streams(UNSEEN_RESETS)
        .max_local_error_reset_streams(ERROR_RESETS)
        .max_header_list_size(HEADER_LIST_LIMIT)
        .header_table_size(HEADER_TABLE)
        .initial_connection_window_size(WINDOW)
        .initial_stream_window_size(WINDOW)
        .max_frame_size(FRAME)
        .max_send_buf_size(SEND_BUFFER)
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_PATIENCE);
    builder
}

/// Whether a connection ended because we could not read it.
fn is_told_by_us(error: &hyper::Error) -> bool {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<h2::Error>());
    cause.is_some_and(|cause| cause.is_go_away() && cause.is_library())
}

/// Lets a connection end after the responses under way. `None`: it is to be cut, and is dropped, which
/// closes the socket.
async fn retire<C>(
    connection: C,
    live: &Registration,
    gracefully: fn(Pin<&mut C>),
) -> Option<Result<(), hyper::Error>>
where
    C: Future<Output = Result<(), hyper::Error>>,
{
    let mut connection = pin!(connection);
    if live.is_told(Ending::Kill) {
        return None;
    }
    gracefully(connection.as_mut());
    tokio::select! {
        biased;
        () = live.told(Ending::Kill) => None,
        ended = connection.as_mut() => Some(ended),
    }
}
