//! What stands behind every door that is measured, on the load generator's processor: the smallest HTTP server
//! that will do, and one that takes or sends bytes.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::Context as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

const ANSWER: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 14\r\n\r\nhello, device\n";
const GOODBYE: &[u8] =
    b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: text/plain\r\ncontent-length: 14\r\n\r\nhello, device\n";

/// What a client sends who wants bytes; whoever sends something else first has some to give.
pub(crate) const SEND: u8 = b'>';
/// How many bytes are taken or sent at a time.
const PIECE: usize = 64 * 1024;

/// What stands behind the doors.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Upstreams {
    /// Answers requests.
    pub(crate) http: SocketAddr,
    /// Sends as many bytes as are taken, or takes as many as are sent.
    pub(crate) bulk: SocketAddr,
}

/// What is to serve there.
#[derive(Debug)]
pub(crate) struct Sockets {
    http: std::net::TcpListener,
    bulk: std::net::TcpListener,
}

/// Listens for both.
pub(crate) fn listen() -> anyhow::Result<(Upstreams, Sockets)> {
    let one = || -> anyhow::Result<(SocketAddr, std::net::TcpListener)> {
        let socket =
            std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("listen for the upstream")?;
        socket.set_nonblocking(true).context("listen for the upstream")?;
        Ok((socket.local_addr().context("listen for the upstream")?, socket))
    };
    let ((http, http_socket), (bulk, bulk_socket)) = (one()?, one()?);
    Ok((Upstreams { http, bulk }, Sockets { http: http_socket, bulk: bulk_socket }))
}

/// Serves both on the runtime that this is called on, the load generator's: two threads on one processor would
/// wake each other, and whom the server wakes would not be the one who runs.
pub(crate) fn serve_both(sockets: Sockets) {
    tokio::spawn(serve(sockets.http));
    tokio::spawn(move_bytes(sockets.bulk));
}

async fn serve(socket: std::net::TcpListener) {
    let Ok(listener) = TcpListener::from_std(socket) else { return };
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(answer(stream));
    }
}

async fn move_bytes(socket: std::net::TcpListener) {
    let Ok(listener) = TcpListener::from_std(socket) else { return };
    while let Ok((mut stream, _)) = listener.accept().await {
        tokio::spawn(async move {
            let mut piece = vec![7; PIECE];
            if matches!(stream.read_u8().await, Ok(SEND)) {
                while stream.write_all(&piece).await.is_ok() {}
            } else {
                while matches!(stream.read(&mut piece).await, Ok(count) if count > 0) {}
            }
        });
    }
}

/// Answers requests without bodies until the connection ends.
async fn answer(mut stream: TcpStream) {
    stream.set_nodelay(true).unwrap_or_default();
    let mut buffer = Vec::with_capacity(16 * 1024);
    while matches!(stream.read_buf(&mut buffer).await, Ok(count) if count > 0) {
        if !buffer.ends_with(b"\r\n\r\n") {
            continue;
        }
        let line = buffer.split(|byte| *byte == b'\r').next().unwrap_or_default();
        let is_last = line.ends_with(b"HTTP/1.0");
        buffer.clear();
        let answer = if is_last { GOODBYE } else { ANSWER };
        if stream.write_all(answer).await.is_err() || is_last {
            return;
        }
    }
}
