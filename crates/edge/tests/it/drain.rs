//! A door that closes lets requests under way finish, and takes no new ones.

use std::time::{Duration, Instant};

use http::Method;
use tokio::net::TcpStream;

use crate::cut::{goes_on, tunnel};
use crate::site::{PATIENCE, Plan, Release, Site};

#[tokio::test]
async fn requests_under_way_finish_and_idle_connections_close() {
    let mut plan = Plan::usual().await;
    let release = Release::of(&mut plan);
    let site = plan.open();
    let address = site.address();
    let (mut one, mut two) = (site.visitor(None).http1().await, site.visitor(None).http2().await);
    let mut idle = site.visitor(None).http1().await;
    assert_eq!(idle.get("/open/x").await.unwrap().status, 200);
    let asked_one = one.request(Method::GET, "/api/v1/agents/renew-cert");
    let asked_two = two.request(Method::GET, "/api/v1/agents/renew-cert");
    let one = tokio::spawn(async move { one.call(asked_one).await });
    let two = tokio::spawn(async move { two.call(asked_two).await });
    release.until_waiting(2).await;
    let drained = tokio::spawn(site.door.drain(PATIENCE));
    idle.closed().await;
    assert!(!drained.is_finished());
    release.all();
    assert_eq!(one.await.unwrap().unwrap().status, 200);
    assert_eq!(two.await.unwrap().unwrap().status, 200);
    drained.await.unwrap();
    assert!(TcpStream::connect(address).await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn what_does_not_finish_is_cut_when_grace_ends() {
    let site = Site::usual().await;
    let certificate = site.device("d1");
    let visitor = site.visitor(Some(&certificate));
    let (_line, mut open) = tunnel(&visitor).await;
    let grace = Duration::from_millis(200);
    let began = Instant::now();
    site.door.drain(grace).await;
    assert!(began.elapsed() >= grace && began.elapsed() < PATIENCE);
    assert!(!goes_on(&mut open).await);
}

#[tokio::test]
async fn a_dropped_handle_closes_the_door() {
    let site = Site::usual().await;
    let mut line = site.visitor(None).http1().await;
    drop(site.door);
    line.closed().await;
}
