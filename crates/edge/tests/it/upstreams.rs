//! An upstream that fails is told from one that refuses.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::time::Duration;

use countersign_core::settings::Enforcement;
use countersign_edge::{DoorError, HttpDoor, Route, RouteScreen, Upstream, UpstreamGroup};
use countersign_testkit::vacant_address;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::site::{Plan, Site};

fn route(upstream: &str) -> Route {
    Route {
        host: None,
        path_prefix: "/elsewhere".to_owned(),
        upstream: Upstream::from(UpstreamGroup::new(vec![upstream.parse().unwrap()])),
        identity: Enforcement::Off,
        audience: None,
        renewal_paths: Vec::new(),
        screen: RouteScreen::default(),
    }
}

#[tokio::test]
async fn nobody_there_is_a_502() {
    let mut plan = Plan::usual().await;
    plan.config.routes.push(route(&format!("http://{}", vacant_address())));
    let answer = plan.open().visitor(None).get("/elsewhere").await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (502, "UPSTREAM_UNREACHABLE"));
}

#[tokio::test]
async fn an_upstream_that_does_not_answer_is_a_504() {
    let mut plan = Plan::usual().await;
    plan.config.upstream_timeout = Duration::from_millis(200);
    let answer = plan.open().visitor(None).get("/open/wait").await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (504, "UPSTREAM_TIMEOUT"));
}

#[tokio::test]
async fn a_route_that_cannot_work_keeps_the_door_shut() {
    let site = Site::usual().await;
    let (config, inputs) = site.another_door(|config| config.routes.push(route("https://127.0.0.1:1")));
    assert!(matches!(HttpDoor::start(config, inputs), Err(DoorError::Upstreams { .. })));
    let (config, inputs) = site.another_door(|config| config.addresses.clear());
    assert!(matches!(HttpDoor::start(config, inputs), Err(DoorError::NoAddress)));
}

/// What an upstream does after an answer that promises to stay.
#[derive(Clone, Copy)]
enum Afterwards {
    Stay,
    Leave,
}

/// An upstream that says over which of its connections a request came.
async fn numbering(afterwards: Afterwards) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        for number in 0.. {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut head = Vec::new();
                while stream.read_buf(&mut head).await.unwrap_or_default() > 0 {
                    if !head.ends_with(b"\r\n\r\n") {
                        continue;
                    }
                    head.clear();
                    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n#{number}");
                    stream.write_all(answer.as_bytes()).await.unwrap();
                    if matches!(afterwards, Afterwards::Leave) {
                        return;
                    }
                }
            });
        }
    });
    address
}

/// What three requests, one after the other, hear.
async fn three(afterwards: Afterwards) -> Vec<String> {
    let mut plan = Plan::usual().await;
    plan.config.workers = NonZeroUsize::MIN;
    plan.config.routes.push(route(&format!("http://{}", numbering(afterwards).await)));
    let site = plan.open();
    let mut heard = Vec::new();
    for _again in 0..3 {
        let answer = site.visitor(None).get("/elsewhere").await;
        assert_eq!(answer.status.as_u16(), 200);
        heard.push(String::from_utf8(answer.body.to_vec()).unwrap());
    }
    heard
}

#[tokio::test]
async fn one_connection_serves_one_request_after_the_other() {
    assert_eq!(three(Afterwards::Stay).await, ["#0", "#0", "#0"]);
}

#[tokio::test]
async fn a_connection_that_the_upstream_has_closed_fails_no_request() {
    assert_eq!(three(Afterwards::Leave).await, ["#0", "#1", "#2"]);
}
