//! A door that is handed over to another process refuses nobody and breaks off nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use countersign_edge::HttpDoor;
use tokio::task::JoinSet;

use crate::site::{PATIENCE, Plan, Site};
use crate::visitor::Visitor;

/// A door on the sockets of another one, as a second process would open it.
async fn successor(site: &Site) -> Site {
    let mut plan = Plan::usual().await;
    plan.ca = site.ca.clone();
    let sockets = site.door.sockets().unwrap();
    plan.open_by(|config, inputs| HttpDoor::start_on(config, inputs, sockets).unwrap())
}

#[derive(Default)]
struct Tally {
    answered: AtomicUsize,
    failed: AtomicUsize,
}

async fn new_connections(visitor: Visitor, tally: Arc<Tally>, stop: Arc<AtomicBool>) {
    while !stop.load(Ordering::SeqCst) {
        let answered = async {
            let mut line = visitor.try_http1().await?;
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(line.get("/open/x").await?.status == 200)
        };
        match answered.await {
            Ok(true) => tally.answered.fetch_add(1, Ordering::SeqCst),
            Ok(false) | Err(_) => tally.failed.fetch_add(1, Ordering::SeqCst),
        };
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_who_comes_meanwhile_is_refused() {
    let first = Site::usual().await;
    let (tally, stop) = (Arc::new(Tally::default()), Arc::new(AtomicBool::new(false)));
    let mut clients = JoinSet::new();
    for _ in 0..4 {
        clients.spawn(new_connections(first.visitor(None), Arc::clone(&tally), Arc::clone(&stop)));
    }
    let until = async |count: usize| {
        while tally.answered.load(Ordering::SeqCst) < count {
            tokio::task::yield_now().await;
        }
    };
    let handed = async {
        until(20).await;
        let mut site = first;
        for _ in 0..5 {
            let next = successor(&site).await;
            let Site { door, .. } = std::mem::replace(&mut site, next);
            door.hand_over(PATIENCE, PATIENCE).await;
            until(tally.answered.load(Ordering::SeqCst) + 20).await;
        }
        site
    };
    let _last = tokio::time::timeout(3 * PATIENCE, handed).await.expect("handed over in time");
    stop.store(true, Ordering::SeqCst);
    clients.join_all().await;
    assert_eq!(tally.failed.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn whoever_is_there_asks_once_more_and_is_then_told_to_go() {
    let first = Site::usual().await;
    let visitor = first.visitor(None);
    let (mut one, mut silent, mut two) =
        (visitor.http1().await, visitor.http1().await, visitor.http2().await);
    for line in [&mut one, &mut two] {
        assert_eq!(line.get("/open/x").await.unwrap().status, 200);
    }
    let _next = successor(&first).await;
    let leaving = tokio::spawn(first.door.hand_over(PATIENCE, PATIENCE));
    two.closed().await;
    let last = one.get("/open/x").await.unwrap();
    assert_eq!((last.status.as_u16(), &last.headers["connection"]), (200, &"close".parse().unwrap()));
    assert_eq!(silent.get("/open/x").await.unwrap().status, 200, "it had asked for nothing yet");
    tokio::time::timeout(PATIENCE / 2, leaving).await.expect("empty before its patience ends").unwrap();
    assert_eq!(visitor.get("/open/x").await.status, 200);
}

#[tokio::test]
async fn whoever_asks_for_nothing_is_not_waited_for_beyond_patience() {
    let first = Site::usual().await;
    let mut silent = first.visitor(None).http1().await;
    let _next = successor(&first).await;
    first.door.hand_over(Duration::from_millis(100), PATIENCE).await;
    silent.closed().await;
}
