//! A request's body may not trickle, and nobody else waits for one that does; what is silent by nature may be.

use std::time::Duration;

use bytes::Bytes;
use countersign_edge::{BodyPace, EdgeReport};
use http::Method;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{interval, timeout};

use crate::cut::{goes_on, tunnel_to};
use crate::raw_http2::{DATA, END_STREAM, HEADERS, RST_STREAM, RawHttp2, frame, post};
use crate::site::{PATIENCE, Plan, Site};
use crate::streaming::{echo, piece_by_piece};

const SHORT: Duration = Duration::from_millis(300);
const PACE: BodyPace = BodyPace { silence: SHORT, bytes_per_second: 1000 };

async fn site() -> Site {
    let mut plan = Plan::usual().await;
    plan.config.body_pace = PACE;
    plan.open()
}

/// Lets four times the patience of the door go by.
async fn a_while() {
    let mut ticks = interval(SHORT);
    for _ in 0..=4 {
        ticks.tick().await;
    }
}

/// Writes these pieces one after the other, so far apart, and reads until the door closes the connection.
async fn said(site: &Site, head: &str, pieces: impl Iterator<Item = &[u8]>, every: Duration) -> String {
    let (mut read, mut write) = tokio::io::split(site.visitor(None).stream().await);
    write.write_all(head.as_bytes()).await.unwrap();
    let writing = async {
        let mut ticks = interval(every);
        for piece in pieces {
            ticks.tick().await;
            if write.write_all(piece).await.is_err() || write.flush().await.is_err() {
                break;
            }
        }
        std::future::pending::<()>().await;
    };
    let mut heard = Vec::new();
    let reading = async {
        // A door that does not wait for the rest may close without TLS's goodbye.
        drop(timeout(PATIENCE, read.read_to_end(&mut heard)).await.expect("closed in time"));
    };
    tokio::select! {
        () = writing => {}
        () = reading => {}
    }
    String::from_utf8_lossy(&heard).into_owned()
}

async fn refused_code(site: &mut Site) -> String {
    let EdgeReport::Refused(facts) = site.next_report().await else { panic!("a refusal") };
    facts.code
}

#[tokio::test]
async fn over_http_1_it_is_answered_408_and_the_connection_closed() {
    let mut site = site().await;
    let tick = Duration::from_millis(20);
    for path in ["/open/gather", "/api/v1/agents/enroll"] {
        let length = format!("POST {path} HTTP/1.1\r\nHost: door.test\r\nContent-Length: 5000\r\n\r\n");
        let chunks = format!("POST {path} HTTP/1.1\r\nHost: door.test\r\nTransfer-Encoding: chunked\r\n\r\n");
        let silent = said(&site, &length, std::iter::empty(), tick).await;
        let trickling = said(&site, &length, std::iter::repeat(&b"x"[..]), tick).await;
        let in_chunks = said(&site, &chunks, std::iter::repeat(&b"1\r\nx\r\n"[..]), tick).await;
        for heard in [silent, trickling, in_chunks] {
            assert!(heard.starts_with("HTTP/1.1 408"), "{path}: {heard}");
            assert!(heard.contains("BODY_TOO_SLOW") && heard.contains("connection: close"), "{heard}");
            assert_eq!(refused_code(&mut site).await, "BODY_TOO_SLOW");
        }
    }
}

#[tokio::test]
async fn over_http_2_it_is_answered_408_and_the_connection_goes_on() {
    let mut site = site().await;
    let mut raw = RawHttp2::new(&site.visitor(None)).await;
    for (stream, path) in [(1, "/open/gather"), (3, "/api/v1/agents/enroll")] {
        raw.send(&[post(stream, path), frame(DATA, 0, stream, b"{")].concat()).await;
        assert_eq!(raw.until(HEADERS).await.stream, stream);
        let body = raw.until(DATA).await;
        assert!(String::from_utf8_lossy(&body.payload).contains("BODY_TOO_SLOW"), "{body:?}");
        assert_eq!(refused_code(&mut site).await, "BODY_TOO_SLOW");
    }
    raw.settle().await;
}

#[tokio::test]
async fn a_slow_body_that_is_fast_enough_is_taken() {
    let site = site().await;
    for path in ["/open/gather", "/api/v1/agents/enroll"] {
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: door.test\r\nConnection: close\r\nContent-Length: 3000\r\n\r\n"
        );
        let pieces = std::iter::repeat_n(&[b'x'; 100][..], 30);
        let heard = said(&site, &head, pieces, SHORT / 6).await;
        assert!(heard.starts_with("HTTP/1.1 200"), "{path}: {heard}");
    }
}

#[tokio::test]
async fn an_upstream_that_takes_its_time_is_not_the_clients_fault() {
    let site = site().await;
    let mut line = site.visitor(None).http1().await;
    let (parts, _) = line.request(Method::POST, "/open/wait").into_parts();
    let large = http::Request::from_parts(parts, Full::new(Bytes::from(vec![0; 32 << 20])));
    let waiting = tokio::spawn(async move { line.send(large).await.map(|answer| answer.status()) });
    a_while().await;
    assert!(!waiting.is_finished());
    let released = async {
        while !waiting.is_finished() {
            drop(site.visitor(None).get("/open/go").await);
        }
    };
    timeout(PATIENCE, released).await.unwrap();
    assert_eq!(waiting.await.unwrap().unwrap(), 200);
}

#[tokio::test]
async fn grpc_and_websockets_may_be_silent_and_other_streams_may_not() {
    let site = site().await;
    let visitor = site.visitor(None);
    let (_line, mut socket) = tunnel_to(&visitor, "/open/upgrade").await;
    for (kind, may_be_silent) in [("application/grpc", true), ("text/plain", false)] {
        let io = TokioIo::new(visitor.http2_stream().await);
        let (mut client, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
        tokio::spawn(connection);
        let (sender, mut request) = echo("https://door.test/open/echo");
        request.headers_mut().insert("content-type", kind.parse().unwrap());
        let response = timeout(PATIENCE, client.send_request(request)).await.unwrap().unwrap();
        if may_be_silent {
            a_while().await;
            piece_by_piece(sender, response).await;
        } else {
            let mut body = response.into_body();
            assert!(timeout(PATIENCE, body.frame()).await.unwrap().unwrap().is_err());
        }
    }
    assert!(goes_on(&mut socket).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_bodies_keep_nobody_out_of_the_control_plane() {
    // With the usual patience: more of them than the control plane has places.
    let site = Site::usual().await;
    let mut slow = Vec::new();
    for _ in 0..40 {
        let mut raw = RawHttp2::new(&site.visitor(None)).await;
        for stream in (1..64).step_by(2) {
            let begun = [post(stream, "/api/v1/agents/enroll"), frame(DATA, 0, stream, b"{")].concat();
            raw.send(&begun).await;
        }
        raw.settle().await;
        slow.push(raw);
    }
    let answer = site.visitor(None).get("/api/v1/agents/x/heartbeat").await;
    assert_ne!(answer.code(), "OVERLOADED");
    let mut enrolling = site.visitor(None).http1().await;
    let request = enrolling.request(Method::POST, "/api/v1/agents/enroll").map(|_| Full::from("{}"));
    assert_eq!(enrolling.call(request).await.unwrap().status, 200);
    let (Some(raw), last) = (slow.first_mut(), frame(DATA, END_STREAM, 1, b"}")) else { panic!() };
    raw.send(&last).await;
    let answered = raw.until(HEADERS).await;
    assert_eq!(answered.stream, 1, "and who does finish is answered: {answered:?}");
    assert_ne!(raw.next().await.unwrap().kind, RST_STREAM);
}
