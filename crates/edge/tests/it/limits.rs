//! A client can neither hold the door open for nothing nor take all of it.

use std::time::{Duration, Instant};

use countersign_edge::Limits;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use crate::site::{PATIENCE, Plan, client_auth_required};

const SHORT: Duration = Duration::from_millis(300);

async fn is_closed_by_the_door(io: &mut (impl tokio::io::AsyncRead + Unpin)) -> Duration {
    let began = Instant::now();
    let mut heard = Vec::new();
    drop(timeout(PATIENCE, io.read_to_end(&mut heard)).await.expect("closed in time"));
    assert!(heard.is_empty(), "{heard:?}");
    began.elapsed()
}

#[tokio::test]
async fn a_handshake_that_stalls_is_cut() {
    let mut plan = Plan::usual().await;
    plan.config.handshake_timeout = SHORT;
    let site = plan.open();
    let mut silent = site.visitor(None).tcp().await;
    assert!(is_closed_by_the_door(&mut silent).await >= SHORT);
    let mut stalled = site.visitor(None).tcp().await;
    stalled.write_all(&[0x16, 0x03, 0x01, 0x02, 0x00, 0x01]).await.unwrap();
    is_closed_by_the_door(&mut stalled).await;
}

#[tokio::test]
async fn a_head_that_drips_is_cut_and_a_waiting_connection_is_not() {
    let mut plan = Plan::usual().await;
    plan.config.header_timeout = SHORT;
    let site = plan.open();
    let mut waiting = site.visitor(None).http1().await;
    assert_eq!(waiting.get("/open/x").await.unwrap().status, 200);
    let mut dripping = site.visitor(None).stream().await;
    dripping.write_all(b"GET /open/x HTTP/1.1\r\nHost:").await.unwrap();
    assert!(is_closed_by_the_door(&mut dripping).await >= SHORT);
    assert!(waiting.is_open());
    assert_eq!(waiting.get("/open/x").await.unwrap().status, 200);
}

#[tokio::test]
async fn a_connection_that_asks_for_nothing_is_closed_but_a_long_answer_is_waited_for() {
    let mut plan = Plan::usual().await;
    plan.config.idle_timeout = SHORT;
    let site = plan.open();
    let mut polling = site.visitor(None).http1().await;
    let request = polling.request(http::Method::GET, "/open/wait");
    let poll = tokio::spawn(async move { polling.call(request).await });
    let (mut one, mut two) = (site.visitor(None).http1().await, site.visitor(None).http2().await);
    one.closed().await;
    two.closed().await;
    assert!(!poll.is_finished());
    let released = async {
        while !poll.is_finished() {
            drop(site.visitor(None).get("/open/go").await);
        }
    };
    timeout(PATIENCE, released).await.unwrap();
    assert_eq!(poll.await.unwrap().unwrap().status, 200);
}

#[tokio::test]
async fn pings_are_no_requests() {
    let mut plan = Plan::usual().await;
    plan.config.idle_timeout = SHORT;
    let site = plan.open();
    let mut pinging = site.visitor(None).http2_pinging(SHORT / 6).await;
    assert_eq!(pinging.get("/open/x").await.unwrap().status, 200);
    assert!(pinging.closed().await < PATIENCE / 2);
}

#[tokio::test]
async fn one_address_cannot_take_more_than_its_share() {
    let mut plan = Plan::usual().await;
    plan.config.limits = Limits { total: 10, per_address: 2 };
    let site = plan.open();
    let mut first = site.visitor(None).http1().await;
    let _second = site.visitor(None).http1().await;
    let mut third = site.visitor(None).tcp().await;
    is_closed_by_the_door(&mut third).await;
    assert_eq!(first.get("/open/x").await.unwrap().status, 200);
}

#[tokio::test]
async fn where_a_certificate_is_required_the_handshake_refuses() {
    let mut plan = Plan::usual().await;
    plan.config = client_auth_required(plan.config);
    let mut site = plan.open();
    let certificate = site.device("d1");
    let visitor = site.visitor(Some(&certificate));
    assert_eq!(visitor.get("/required/x").await.status, 200);
    site.apply(|snapshot| snapshot.denied.insert(certificate.reference.clone())).await;
    for visitor in [site.visitor(None), visitor] {
        assert_eq!(visitor.raw("GET /open/x HTTP/1.1\r\nHost: a\r\n\r\n").await, "");
    }
}
