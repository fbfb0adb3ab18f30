//! What is refused before there is a request is told of like any other refusal.

use countersign_edge::{EdgeReport, Limits};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::site::{PATIENCE, Plan, Site};

/// RFC 9113 section 3.4, and SETTINGS that change nothing.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
/// HEADERS of stream 1, complete: a path alone, without a method.
const NO_METHOD: &[u8] = b"\0\0\x01\x01\x05\0\0\0\x01\x84";
/// The same with `GET https / `, without an authority.
const WHOLE: &[u8] = b"\0\0\x03\x01\x05\0\0\0\x03\x82\x87\x84";
/// DATA of no stream.
const OF_NO_STREAM: &[u8] = b"\0\0\x01\0\0\0\0\0\0x";

async fn refused_code(site: &mut Site) -> String {
    let EdgeReport::Refused(facts) = site.next_report().await else { panic!("a refusal") };
    assert!(facts.address.ip().is_loopback(), "{facts:?}");
    facts.code
}

async fn until_closed(tcp: &mut TcpStream) {
    drop(timeout(PATIENCE, tcp.read_to_end(&mut Vec::new())).await.expect("closed in time"));
}

#[tokio::test]
async fn what_is_no_http_1() {
    let mut site = Site::usual().await;
    site.visitor(None).raw("what is this\r\n\r\n").await;
    assert_eq!(refused_code(&mut site).await, "UNREADABLE_REQUEST");
}

#[tokio::test]
async fn what_is_no_request_over_http_2() {
    let mut site = Site::usual().await;
    let mut stream = site.visitor(None).http2_stream().await;
    stream.write_all(&[PREFACE, NO_METHOD].concat()).await.unwrap();
    assert_eq!(refused_code(&mut site).await, "UNREADABLE_REQUEST");
    stream.write_all(WHOLE).await.unwrap();
    assert_eq!(refused_code(&mut site).await, "BAD_HOST", "the connection goes on");
}

#[tokio::test]
async fn what_is_no_http_2() {
    let mut site = Site::usual().await;
    let mut stream = site.visitor(None).http2_stream().await;
    stream.write_all(&[PREFACE, OF_NO_STREAM].concat()).await.unwrap();
    assert_eq!(refused_code(&mut site).await, "UNREADABLE_REQUEST");
}

#[tokio::test]
async fn who_hangs_up_is_not_refused() {
    let mut site = Site::usual().await;
    let mut stream = site.visitor(None).http2_stream().await;
    stream.write_all(PREFACE).await.unwrap();
    drop(stream);
    site.visitor(None).raw("what is this\r\n\r\n").await;
    assert_eq!(refused_code(&mut site).await, "UNREADABLE_REQUEST");
    assert!(site.reports.try_recv().is_err(), "and nothing of the one before");
}

#[tokio::test]
async fn whoever_finds_no_place() {
    for (limits, code) in [
        (Limits { total: 1, per_address: 10 }, "DOOR_FULL"),
        (Limits { total: 10, per_address: 1 }, "TOO_MANY_CONNECTIONS"),
    ] {
        let mut plan = Plan::usual().await;
        plan.config.limits = limits;
        let mut site = plan.open();
        let mut first = site.visitor(None).http1().await;
        until_closed(&mut site.visitor(None).tcp().await).await;
        assert_eq!(refused_code(&mut site).await, code);
        assert_eq!(first.get("/open/x").await.unwrap().status, 200);
    }
}

#[tokio::test]
async fn a_balancer_that_does_not_say_for_whom_it_comes() {
    let mut plan = Plan::usual().await;
    plan.config.proxy_networks = vec!["127.0.0.0/8".parse().unwrap()];
    let mut site = plan.open();
    let mut tcp = site.visitor(None).tcp().await;
    tcp.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    until_closed(&mut tcp).await;
    assert_eq!(refused_code(&mut site).await, "PROXY_HEADER_MALFORMED");
}
