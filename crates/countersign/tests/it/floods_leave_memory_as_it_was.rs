//! Proves that stalled handshakes, slow heads and rapid resets take bounded memory of the server's process, as
//! the kernel counts it, while another client is served; and that it is not kept.

use countersign_testkit::{Connection, HttpVersion};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::harness::{Installation, Time};

/// How many connections a flood holds open: as many as one address may, but for the other client's.
const MANY: usize = 100;
const CONFIG: &str = "[http_door]\nmax_connections = 400\nmax_connections_per_ip = 400\n\
     handshake_timeout_seconds = 120\nheader_timeout_seconds = 300\n";
/// What a connection may take at most: a head of 64 KiB, as much again while it is read, and TLS.
const EACH: u64 = 192 * 1024;
/// What a process keeps of what it once had: the allocator gives back what it likes.
const SLACK: u64 = 24 * 1024 * 1024;

/// An installation that has done everything once.
async fn warm() -> (Installation, Connection, u64) {
    let installation = Installation::configured(CONFIG, Time::Real).await;
    let mut other = installation.client().connect(installation.own_door()).await.unwrap();
    for _ in 0..50 {
        assert!(is_served(&mut other).await);
    }
    let before = installation.resident_bytes();
    (installation, other, before)
}

async fn is_served(other: &mut Connection) -> bool {
    other.json("GET", "/health", None, None).await.is_ok_and(|answer| answer.status == 200)
}

fn assert_grown(installation: &Installation, before: u64, most: u64, what: &str) {
    let grown = installation.resident_bytes().saturating_sub(before);
    assert!(grown <= most, "{what}: {} KiB more than before", grown / 1024);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_stalled_handshakes() {
    let (installation, mut other, before) = warm().await;
    let mut stalled = Vec::new();
    for _ in 0..MANY {
        let mut stream = TcpStream::connect(installation.own_door()).await.unwrap();
        // The head of a record of 16 KiB with a ClientHello in it, and the beginning of that.
        stream.write_all(&[22, 3, 1, 0x40, 0, 1, 0, 0x3f, 0xfc, 3, 3]).await.unwrap();
        stream.write_all(&[7; 8 * 1024]).await.unwrap();
        stalled.push(stream);
    }
    assert!(is_served(&mut other).await);
    assert_grown(&installation, before, MANY as u64 * EACH, "while they wait");
    drop(stalled);
    assert!(is_served(&mut other).await);
    assert_grown(&installation, before, SLACK, "when they are gone");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_slow_heads() {
    let (installation, mut other, before) = warm().await;
    let mut slow = Vec::new();
    let line = format!("x-filler: {}\r\n", "y".repeat(1000));
    for _ in 0..MANY {
        let mut stream = installation.client().stream(installation.own_door()).await.unwrap();
        stream.write_all(b"GET /health HTTP/1.1\r\nhost: localhost\r\n").await.unwrap();
        stream.write_all(line.repeat(30).as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
        slow.push(stream);
    }
    assert!(is_served(&mut other).await);
    assert_grown(&installation, before, MANY as u64 * EACH, "while they wait");
    drop(slow);
    assert!(is_served(&mut other).await);
    assert_grown(&installation, before, 2 * SLACK, "when they are gone");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_rapid_resets() {
    let (installation, mut other, before) = warm().await;
    let client = installation.client().http(HttpVersion::Http2);
    let mut written = 0;
    for _ in 0..40 {
        let mut stream = client.stream(installation.own_door()).await.unwrap();
        let mut flood = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        flood.extend(frame(SETTINGS, 0, 0, &[]));
        for number in 0..5000 {
            flood.extend(frame(HEADERS, END_OF_ALL, 1 + 2 * number, REQUEST));
            flood.extend(frame(RST_STREAM, 0, 1 + 2 * number, &CANCEL));
        }
        // The door ends it before it has all of it.
        for piece in flood.chunks(4096) {
            if stream.write_all(piece).await.is_err() || stream.flush().await.is_err() {
                break;
            }
            written += 1;
        }
    }
    assert!(written > 40, "{written}");
    assert!(is_served(&mut other).await);
    assert_grown(&installation, before, SLACK, "after them");
}

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
/// END_STREAM and END_HEADERS.
const END_OF_ALL: u8 = 5;
const CANCEL: [u8; 4] = [0, 0, 0, 8];
/// `GET https://localhost/health`, by the static table.
const REQUEST: &[u8] = b"\x82\x87\x44\x07/health\x41\x09localhost";

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}
