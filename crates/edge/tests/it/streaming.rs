//! Bodies and trailers pass as they come, in both directions, and nothing waits for the end.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::{Body, Frame};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::site::{PATIENCE, Site};

const PIECE: usize = 256 * 1024;
const PIECES: usize = 40;

/// A body that is written while the answer is read.
pub(crate) struct Feed(mpsc::Receiver<Frame<Bytes>>);

impl Body for Feed {
    type Data = Bytes;
    type Error = Infallible;
    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(cx).map(|frame| frame.map(Ok))
    }
}

pub(crate) fn echo(uri: &str) -> (mpsc::Sender<Frame<Bytes>>, Request<Feed>) {
    let (sender, receiver) = mpsc::channel(1);
    let request = Request::post(uri)
        .header("host", "door.test")
        .header("te", "trailers")
        .header("trailer", "x-digest, client-cert")
        .body(Feed(receiver))
        .unwrap();
    (sender, request)
}

/// Sends each piece only when the one before has come back.
pub(crate) async fn piece_by_piece(sender: mpsc::Sender<Frame<Bytes>>, response: Response<Incoming>) {
    assert_eq!(response.status(), 200);
    let mut body = response.into_body();
    for number in 0..PIECES {
        let piece = Bytes::from(vec![u8::try_from(number).unwrap(); PIECE]);
        sender.send(Frame::data(piece.clone())).await.unwrap();
        let mut back = Vec::new();
        while back.len() < PIECE {
            let frame =
                timeout(PATIENCE, body.frame()).await.expect("it comes back at once").unwrap().unwrap();
            back.extend_from_slice(frame.data_ref().unwrap());
        }
        assert!(back == piece);
    }
    let mut trailers = HeaderMap::new();
    trailers.insert("x-digest", HeaderValue::from_static("abc"));
    trailers.insert("client-cert", HeaderValue::from_static("forged"));
    sender.send(Frame::trailers(trailers)).await.unwrap();
    drop(sender);
    let rest = timeout(PATIENCE, body.collect()).await.unwrap().unwrap();
    let trailers = rest.trailers().cloned().expect("trailers pass");
    assert_eq!(trailers.get("x-digest").unwrap(), "abc");
    assert!(!trailers.contains_key("client-cert"), "but not forged ones");
}

#[tokio::test]
async fn http_1_bodies_stream_both_ways() {
    let site = Site::usual().await;
    let stream = site.visitor(None).stream().await;
    let (mut client, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let (sender, request) = echo("/open/echo");
    let response = timeout(PATIENCE, client.send_request(request)).await.expect("an answer before the end");
    piece_by_piece(sender, response.unwrap()).await;
}

#[tokio::test]
async fn http_2_bodies_stream_both_ways() {
    let site = Site::usual().await;
    let stream = site.visitor(None).http2_stream().await;
    let (mut client, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let (sender, request) = echo("https://door.test/open/echo");
    let response = timeout(PATIENCE, client.send_request(request)).await.expect("an answer before the end");
    piece_by_piece(sender, response.unwrap()).await;
}

#[tokio::test]
async fn an_expectation_of_100_is_met() {
    let site = Site::usual().await;
    let request = "POST /open/echo HTTP/1.1\r\nHost: door.test\r\nConnection: close\r\nExpect: 100-continue\r\n\
         Content-Length: 5\r\n\r\nhello";
    let heard = site.visitor(None).raw(request).await;
    assert!(heard.contains("200 OK") && heard.ends_with("hello"), "{heard}");
}
