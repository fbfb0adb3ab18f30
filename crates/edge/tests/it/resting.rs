//! A silent connection rests without buffers, and is still cut, retired, timed out and served.

use std::time::{Duration, Instant};

use countersign_tls::ClientStream;
use http::Method;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::site::{NOW, PATIENCE, Plan, Site, device_key, let_expire};
use crate::visitor::Line;

const SHORT: Duration = Duration::from_millis(300);
const REQUEST: &[u8] = b"GET /open/x HTTP/1.1\r\nHost: door.test\r\n\r\n";

async fn until_resting(site: &Site, count: usize) {
    let rests = async {
        while site.door.resting_connections() != count {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, rests).await.expect("it rests in time");
}

/// A connection that has been served and rests.
async fn served(site: &Site, name: &str) -> Line {
    let certificate = site.device(name);
    let mut line = site.visitor(Some(&certificate)).http1().await;
    assert_eq!(line.get("/required/x").await.unwrap().status, 200);
    until_resting(site, 1).await;
    line
}

/// Reads an answer's head and its body, which is JSON.
async fn answer(stream: &mut ClientStream<TcpStream>) -> String {
    let mut heard = Vec::new();
    while !heard.ends_with(b"}") {
        let read = timeout(PATIENCE, stream.read_buf(&mut heard)).await.expect("an answer in time");
        assert_ne!(read.unwrap(), 0, "{}", String::from_utf8_lossy(&heard));
    }
    String::from_utf8(heard).unwrap()
}

#[tokio::test]
async fn it_rests_before_its_first_word_and_between_requests_and_is_served() {
    let site = Site::usual().await;
    let mut stream = site.visitor(None).stream().await;
    for _again in 0..2 {
        until_resting(&site, 1).await;
        stream.write_all(REQUEST).await.unwrap();
        assert!(answer(&mut stream).await.starts_with("HTTP/1.1 200"));
        assert_eq!(site.door.resting_connections(), 0, "it was a moment ago");
    }
    drop(stream);
    until_resting(&site, 0).await;
}

#[tokio::test]
async fn it_is_served_with_the_same_identity_as_before() {
    let site = Site::usual().await;
    let mut line = served(&site, "d1").await;
    let answer = line.get("/required/x").await.unwrap();
    assert_eq!(answer.told_header("countersign-device").as_deref(), Some("d1"));
}

#[tokio::test]
async fn a_revocation_cuts_it_at_once() {
    let mut site = Site::usual().await;
    let certificate = site.device("d1");
    let visitor = site.visitor(Some(&certificate));
    let mut used = visitor.http1().await;
    assert_eq!(used.get("/required/x").await.unwrap().status, 200);
    let mut unused = visitor.http1().await;
    until_resting(&site, 2).await;
    let began = Instant::now();
    site.apply(|snapshot| snapshot.denied.insert(certificate.reference.clone())).await;
    assert_eq!(site.door.live_connections(&device_key("d1")), 0, "applied means that they are gone");
    used.closed().await;
    unused.closed().await;
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    assert_eq!(site.door.resting_connections(), 0);
}

#[tokio::test]
async fn expiry_ends_it_too() {
    let site = Site::usual().await;
    let mut line = served(&site, "d1").await;
    let_expire(&site.clock);
    line.closed().await;
}

#[tokio::test]
async fn a_superseded_one_says_goodbye() {
    let mut site = Site::usual().await;
    let certificate = site.device("d1");
    let mut stream = site.visitor(Some(&certificate)).stream().await;
    until_resting(&site, 1).await;
    let until = NOW + Duration::from_secs(100);
    site.apply(|snapshot| snapshot.superseded.insert(certificate.reference.clone(), until)).await;
    let mut heard = Vec::new();
    let ended = timeout(PATIENCE, stream.read_to_end(&mut heard)).await.expect("closed in time");
    assert_eq!(ended.unwrap(), 0, "with TLS's goodbye, or this would be an error");
}

#[tokio::test]
async fn a_drain_closes_it_at_once() {
    let site = Site::usual().await;
    let mut line = served(&site, "d1").await;
    let began = Instant::now();
    site.door.drain(PATIENCE).await;
    line.closed().await;
    assert!(began.elapsed() < PATIENCE / 2, "{:?}", began.elapsed());
}

#[tokio::test]
async fn it_may_not_rest_for_longer_than_a_connection_may_idle() {
    let mut plan = Plan::usual().await;
    plan.config.idle_timeout = Duration::from_millis(1500);
    let site = plan.open();
    let mut line = served(&site, "d1").await;
    assert!(line.closed().await < PATIENCE / 2);
    assert_eq!(site.door.resting_connections(), 0);
}

#[tokio::test]
async fn a_head_that_drips_out_of_its_rest_is_cut() {
    let mut plan = Plan::usual().await;
    plan.config.header_timeout = SHORT;
    let site = plan.open();
    let mut stream = site.visitor(None).stream().await;
    stream.write_all(REQUEST).await.unwrap();
    answer(&mut stream).await;
    until_resting(&site, 1).await;
    let began = Instant::now();
    stream.write_all(b"GET /open/x HTTP/1.1\r\nHost:").await.unwrap();
    let mut heard = Vec::new();
    drop(timeout(PATIENCE, stream.read_to_end(&mut heard)).await.expect("closed in time"));
    assert!(heard.is_empty() && began.elapsed() >= SHORT, "{:?}", began.elapsed());
}

#[tokio::test]
async fn an_ambiguous_request_is_told_after_a_rest_as_before() {
    let site = Site::usual().await;
    let mut stream = site.visitor(None).stream().await;
    stream.write_all(REQUEST).await.unwrap();
    answer(&mut stream).await;
    until_resting(&site, 1).await;
    let two_lengths = b"POST /open/x HTTP/1.1\r\nHost: door.test\r\nContent-Length: 3\r\n\
        Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    stream.write_all(two_lengths).await.unwrap();
    let heard = answer(&mut stream).await;
    assert!(heard.starts_with("HTTP/1.1 400") && heard.contains("BAD_FRAMING"), "{heard}");
}

#[tokio::test]
async fn the_wait_for_a_slow_answer_is_no_rest() {
    let site = Site::usual().await;
    let mut waiting = site.visitor(None).http1().await;
    let request = waiting.request(Method::GET, "/open/wait");
    let waiting = tokio::spawn(async move { waiting.call(request).await });
    // Rests, though it came later: the one that waits has had the time for it.
    let _bystander = served(&site, "d1").await;
    let released = async {
        while !waiting.is_finished() {
            drop(site.visitor(None).get("/open/go").await);
        }
    };
    timeout(PATIENCE, released).await.unwrap();
    assert_eq!(waiting.await.unwrap().unwrap().status, 200);
}
