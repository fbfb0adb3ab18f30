//! A client of the door that writes HTTP/2 frame by frame, as no library would.

use countersign_tls::ClientStream;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::site::PATIENCE;
use crate::visitor::Visitor;

/// RFC 9113 section 3.4, and SETTINGS that change nothing.
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
pub(crate) const DATA: u8 = 0x00;
pub(crate) const HEADERS: u8 = 0x01;
pub(crate) const PRIORITY: u8 = 0x02;
pub(crate) const RST_STREAM: u8 = 0x03;
pub(crate) const SETTINGS: u8 = 0x04;
pub(crate) const PING: u8 = 0x06;
pub(crate) const GOAWAY: u8 = 0x07;
pub(crate) const WINDOW_UPDATE: u8 = 0x08;
pub(crate) const CONTINUATION: u8 = 0x09;
pub(crate) const UNKNOWN: u8 = 0x42;
pub(crate) const ACK: u8 = 0x01;
pub(crate) const END_STREAM: u8 = 0x01;
pub(crate) const END_HEADERS: u8 = 0x04;
pub(crate) const ENHANCE_YOUR_CALM: u32 = 0x0b;

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// The head of `GET https://door.test<path>`, or of a POST, without Huffman coding or memory.
pub(crate) fn head(method: &str, path: &str) -> Vec<u8> {
    let method = if method == "GET" { 0x82 } else { 0x83 };
    let length = u8::try_from(path.len()).unwrap();
    [&[method, 0x87, 0x01, 9], b"door.test".as_slice(), &[0x04, length], path.as_bytes()].concat()
}

pub(crate) fn get(stream: u32, path: &str) -> Vec<u8> {
    frame(HEADERS, END_STREAM | END_HEADERS, stream, &head("GET", path))
}

/// The head of a POST whose body is to follow.
pub(crate) fn post(stream: u32, path: &str) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, &head("POST", path))
}

/// A frame of the door's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

pub(crate) struct RawHttp2 {
    pub(crate) read: ReadHalf<ClientStream<TcpStream>>,
    pub(crate) write: WriteHalf<ClientStream<TcpStream>>,
}

impl RawHttp2 {
    pub(crate) async fn new(visitor: &Visitor) -> Self {
        Self::saying(visitor, PREFACE).await
    }

    pub(crate) async fn saying(visitor: &Visitor, first: &[u8]) -> Self {
        let (read, write) = tokio::io::split(visitor.http2_stream().await);
        let mut raw = Self { read, write };
        raw.send(first).await;
        raw
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        self.write.write_all(bytes).await.unwrap();
        self.write.flush().await.unwrap();
    }

    /// The same; whether the connection took it.
    pub(crate) async fn try_send(&mut self, bytes: &[u8]) -> bool {
        self.write.write_all(bytes).await.is_ok() && self.write.flush().await.is_ok()
    }

    /// The next frame; `None` at the end of the connection.
    pub(crate) async fn next(&mut self) -> Option<Frame> {
        next(&mut self.read).await
    }

    /// The next frame of a kind.
    pub(crate) async fn until(&mut self, kind: u8) -> Frame {
        let found = async {
            loop {
                let frame = self.next().await.expect("the connection goes on");
                if frame.kind == kind {
                    return frame;
                }
            }
        };
        timeout(PATIENCE, found).await.expect("a frame in time")
    }

    /// Waits until the door has read everything that was sent.
    pub(crate) async fn settle(&mut self) {
        assert!(timeout(PATIENCE, self.try_settle()).await.expect("in time"), "the connection goes on");
    }

    /// The same; whether the connection goes on.
    pub(crate) async fn try_settle(&mut self) -> bool {
        if !self.try_send(&frame(PING, 0, 0, b"settled?")).await {
            return false;
        }
        while let Some(frame) = self.next().await {
            if frame.kind == GOAWAY {
                return false;
            }
            if frame.kind == PING && frame.flags & ACK != 0 {
                return true;
            }
        }
        false
    }
}

async fn next(read: &mut ReadHalf<ClientStream<TcpStream>>) -> Option<Frame> {
    let mut header = [0; 9];
    read.read_exact(&mut header).await.ok()?;
    let [a, b, c, kind, flags, stream @ ..] = header;
    let mut payload = vec![0; usize::try_from(u32::from_be_bytes([0, a, b, c])).unwrap()];
    read.read_exact(&mut payload).await.ok()?;
    Some(Frame { kind, flags, stream: u32::from_be_bytes(stream), payload })
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    /// The code of the door's GOAWAY, if it came.
    pub(crate) reason: Option<u32>,
}

/// Sends `begin` and then `more` again and again, reading what comes back, until the door ends the connection.
pub(crate) async fn flood(visitor: &Visitor, begin: &[u8], mut more: impl FnMut(u32) -> Vec<u8>) -> Ended {
    let RawHttp2 { mut read, mut write } = RawHttp2::saying(visitor, &[PREFACE, begin].concat()).await;
    let sending = async {
        // Sending fails once the door has ended it.
        for round in 0.. {
            let sent = async {
                write.write_all(&more(round)).await?;
                write.flush().await
            };
            if sent.await.is_err() {
                break;
            }
        }
    };
    let reading = async {
        let mut reason = None;
        while let Some(frame) = next(&mut read).await {
            if frame.kind == GOAWAY {
                reason = frame.payload.get(4..8).map(|code| u32::from_be_bytes(code.try_into().unwrap()));
            }
        }
        Ended { reason }
    };
    let both = async {
        // What has been read to its end has ended, whether or not it can still be written to.
        let mut reading = std::pin::pin!(reading);
        tokio::select! {
            ended = &mut reading => ended,
            () = sending => reading.await,
        }
    };
    timeout(PATIENCE, both).await.expect("ended in time")
}
