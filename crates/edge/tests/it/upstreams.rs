//! An upstream that fails is told from one that refuses.

use std::time::Duration;

use countersign_core::settings::Enforcement;
use countersign_edge::{DoorError, HttpDoor, Route, Upstream};

use crate::site::{Plan, Site};

fn route(upstream: &str) -> Route {
    Route {
        host: None,
        path_prefix: "/elsewhere".to_owned(),
        upstream: Upstream::Http(upstream.parse().unwrap()),
        identity: Enforcement::Off,
        renewal_paths: Vec::new(),
    }
}

#[tokio::test]
async fn nobody_there_is_a_502() {
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap();
    drop(taken);
    let mut plan = Plan::usual().await;
    plan.config.routes.push(route(&format!("http://{address}")));
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
    assert!(matches!(HttpDoor::start(config, inputs), Err(DoorError::Route { .. })));
    let (config, inputs) = site.another_door(|config| config.addresses.clear());
    assert!(matches!(HttpDoor::start(config, inputs), Err(DoorError::NoAddress)));
}
