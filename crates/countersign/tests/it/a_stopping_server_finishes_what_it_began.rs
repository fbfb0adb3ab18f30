//! Proves that SIGTERM lets what was begun come to its end, takes nothing new, and never waits longer
//! than it was told to.

use std::time::{Duration, Instant};

use countersign_testkit::Connection;
use rustix::process::Signal;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use crate::harness::{Device, Installation, Time, until};

const BODY: &str = "{\"status\":\"online\"}";

/// Begins a heartbeat and waits until the server asks for its body.
async fn begin(installation: &Installation, device: &Device) -> impl AsyncRead + AsyncWrite + Unpin + use<> {
    let mut stream = device.client(installation).stream(installation.door()).await.unwrap();
    let header = format!(
        "POST /api/v1/agents/{}/heartbeat HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\nExpect: 100-continue\r\n\r\n",
        device.agent,
        device.token,
        BODY.len(),
    );
    stream.write_all(header.as_bytes()).await.unwrap();
    let mut asked = [0; "HTTP/1.1 100 Continue\r\n\r\n".len()];
    stream.read_exact(&mut asked).await.unwrap();
    assert!(asked.starts_with(b"HTTP/1.1 100 "));
    stream
}

async fn finish(mut stream: impl AsyncRead + AsyncWrite + Unpin, rest: &str) -> String {
    stream.write_all(rest.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // The other side may end without saying goodbye.
    drop(stream.read_to_end(&mut answer).await);
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn a_request_under_way_is_answered_and_the_exit_is_a_good_one() {
    let mut installation = Installation::start().await;
    let device = Device::enrol(&installation, "ws-01").await;
    let stream = begin(&installation, &device).await;
    // Idle connections have nothing to finish.
    let mut idle = device.connect(&installation).await;
    assert_eq!(device.heartbeat(&mut idle).await.status, 200);
    let mut idle_admin = Connection::plain(installation.admin_address()).await.unwrap();
    assert_eq!(idle_admin.json("GET", "/health", None, None).await.unwrap().status, 200);

    installation.signal(Signal::TERM);
    until("it drains", async || installation.drains()).await;
    idle.closed().await;
    until("nothing new is taken", async || installation.client().connect(installation.door()).await.is_err())
        .await;
    let answer = finish(stream, BODY).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.ends_with("\"renewCert\":false}"), "{answer}");
    idle_admin.closed().await;
    assert_eq!(installation.ended().await.code(), Some(0));
    assert!(installation.log().contains("stopped"));
}

#[tokio::test]
async fn a_request_that_does_not_end_is_cut_off_when_the_time_is_up() {
    let mut installation = Installation::configured("drain_seconds = 1\n", Time::Real).await;
    let device = Device::enrol(&installation, "ws-01").await;
    let stream = begin(&installation, &device).await;
    let began = Instant::now();
    assert_eq!(installation.terminate().await.code(), Some(0));
    assert!(began.elapsed() >= Duration::from_secs(1));
    assert_eq!(finish(stream, "").await, "");
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let mut installation = Installation::start().await;
    let device = Device::enrol(&installation, "ws-01").await;
    let stream = begin(&installation, &device).await;
    let began = Instant::now();
    installation.signal(Signal::TERM);
    until("it drains", async || installation.drains()).await;
    installation.signal(Signal::TERM);
    assert_eq!(installation.ended().await.code(), Some(1));
    assert!(began.elapsed() < Duration::from_secs(20), "it did not wait for the drain to be over");
    assert_eq!(finish(stream, "").await, "");
    installation.start_again().await;
    assert_eq!(device.heartbeat(&mut device.connect(&installation).await).await.status, 200);
}
