//! One connection: its requests, and its end.

use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use countersign_tls::{Peer, ServerStream};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use parking_lot::Mutex;
use tokio::net::TcpStream;
use tracing::debug;

use super::framing::Scanner;
use super::room::Share;
use super::service::{self, Worker};
use super::told::Told;
use super::wire::{Framing, Timing, Wire};
use crate::accept::limits::Slot;
use crate::registry::{Ending, Registration};

const HEAD_LIMIT: usize = 64 * 1024;
const HEADER_LIST_LIMIT: u32 = 64 * 1024;
const STREAMS: u32 = 250;
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
        http_2(stream, arrived, timing).await;
    } else {
        http_1(stream, arrived, timing).await;
    }
}

async fn http_1(stream: ServerStream<TcpStream>, arrived: Arc<Arrived>, timing: Timing) {
    let (live, gate, address) =
        (Arc::clone(&arrived.live), Arc::clone(&arrived.worker.gate), arrived.address);
    let scanner = Some(Scanner::new());
    let wire = Wire::new(stream, scanner, arrived.framing.clone(), Arc::clone(&live), timing);
    let mut builder = http1::Builder::new();
    // The wire keeps the time, and tells a head that drips from a connection that waits.
    builder.header_read_timeout(None).max_buf_size(HEAD_LIMIT);
    let service = service_fn(move |request| service::handle(Arc::clone(&arrived), request));
    let connection = builder.serve_connection(TokioIo::new(wire), service).with_upgrades();
    let ended = drive(connection, &live, |connection| connection.graceful_shutdown()).await;
    if ended.is_err_and(|error| error.is_parse()) {
        gate.tell_of_unreadable(address);
    }
}

async fn http_2(stream: ServerStream<TcpStream>, arrived: Arc<Arrived>, timing: Timing) {
    let live = Arc::clone(&arrived.live);
    let wire = Wire::new(stream, None, arrived.framing.clone(), Arc::clone(&live), timing);
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(HEADER_LIST_LIMIT)
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_PATIENCE);
    let service = service_fn(move |request| service::handle(Arc::clone(&arrived), request));
    let connection = builder.serve_connection(TokioIo::new(wire), service);
    // Over HTTP/2 what cannot be read resets its stream.
    drop(drive(connection, &live, |connection| connection.graceful_shutdown()).await);
}

/// Runs a connection until it ends, retires when told to, and is dropped, which closes the socket,
/// when it is to be cut.
async fn drive<C>(connection: C, live: &Registration, retire: fn(Pin<&mut C>)) -> Result<(), hyper::Error>
where
    C: Future<Output = Result<(), hyper::Error>>,
{
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        biased;
        () = live.told(Ending::Kill) => return Ok(()),
        () = live.told(Ending::Retire) => None,
        ended = connection.as_mut() => Some(ended),
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            retire(connection.as_mut());
            tokio::select! {
                biased;
                () = live.told(Ending::Kill) => return Ok(()),
                ended = connection.as_mut() => ended,
            }
        }
    };
    ended.inspect_err(|error| debug!(%error, "connection ended early"))
}
