//! A connection that is handed over to the control plane stays killable: the control plane gets the
//! last word, in a moment, and the door the end.

use std::time::{Duration, Instant};

use countersign_api::OfferedUpgrade;
use countersign_core::snapshot::Bar;
use http::{Method, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use crate::site::{NOW, PATIENCE, Plan, Site, device_key};
use crate::visitor::{Line, Visitor};

const AT_ONCE: Duration = Duration::from_secs(1);
/// Talks as long as it may.
const TALKING: &str = "/api/v1/agents/x/ws";
/// Hears no notice.
const DEAF: &str = "/api/v1/agents/x/deaf";

type Talk = TokioIo<hyper::upgrade::Upgraded>;

/// What the fixture's control plane does with an offer: echoes what is said; "end" ends it from its
/// side, and so does notice from the door, unless it is deaf.
pub(crate) fn accept(offer: &OfferedUpgrade, path: &str) -> Option<Response<countersign_edge::Body>> {
    assert_eq!(offer.protocol(), "websocket");
    let is_deaf = path == DEAF;
    if !is_deaf && path != TALKING {
        return None;
    }
    let mut connection = offer.accept().unwrap();
    tokio::spawn(async move {
        let mut said = [0; 64];
        loop {
            let read = tokio::select! {
                () = connection.notice.given(), if !is_deaf => break,
                read = connection.stream.read(&mut said) => read.unwrap_or_default(),
            };
            match said.get(..read).unwrap() {
                [] if is_deaf => std::future::pending().await,
                [] | b"end" => break,
                said => connection.stream.write_all(said).await.unwrap(),
            }
        }
        drop(connection.stream.write_all(b"bye").await);
    });
    let switch = Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(header::CONNECTION, "upgrade")
        .header(header::UPGRADE, "websocket");
    let body = http_body_util::Full::default();
    let body = http_body_util::BodyExt::map_err(body, |never| match never {});
    Some(switch.body(http_body_util::BodyExt::boxed_unsync(body)).unwrap())
}

async fn talk(visitor: &Visitor, path: &str) -> (Line, Talk) {
    let mut line = visitor.http1().await;
    let mut request = line.request(Method::GET, path);
    request.headers_mut().insert("connection", "Upgrade".parse().unwrap());
    request.headers_mut().insert("upgrade", "websocket".parse().unwrap());
    let response = line.send(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
    assert_eq!(response.headers().get("upgrade").unwrap(), "websocket");
    let mut talk = TokioIo::new(hyper::upgrade::on(response).await.unwrap());
    assert_eq!(echoed(&mut talk, "hello").await, "hello");
    (line, talk)
}

async fn echoed(talk: &mut Talk, said: &str) -> String {
    talk.write_all(said.as_bytes()).await.unwrap();
    let mut heard = vec![0; said.len()];
    timeout(PATIENCE, talk.read_exact(&mut heard)).await.unwrap().unwrap();
    String::from_utf8(heard).unwrap()
}

/// What is still heard, to the end.
async fn rest(talk: &mut Talk) -> String {
    let mut heard = Vec::new();
    // A cut may come without TLS's goodbye.
    drop(timeout(PATIENCE, talk.read_to_end(&mut heard)).await.expect("ended in time"));
    String::from_utf8(heard).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fall_lets_the_control_plane_say_its_last_word() {
    let mut site = Site::usual().await;
    let certificate = site.device("d1");
    let (_line, mut open) = talk(&site.visitor(Some(&certificate)), TALKING).await;
    let other = site.device("d2");
    let (_other_line, mut bystander) = talk(&site.visitor(Some(&other)), TALKING).await;
    assert_eq!(site.door.live_connections(&device_key("d1")), 1);
    let began = Instant::now();
    site.apply(|snapshot| snapshot.barred.insert(device_key("d1"), Bar::Quarantined)).await;
    assert_eq!(site.door.live_connections(&device_key("d1")), 0, "applied means that it is gone");
    assert_eq!(rest(&mut open).await, "bye");
    assert!(began.elapsed() < AT_ONCE, "{:?}", began.elapsed());
    assert_eq!(echoed(&mut bystander, "still here").await, "still here");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_control_plane_that_does_not_hear_keeps_no_fallen_connection_open() {
    let mut site = Site::usual().await;
    let certificate = site.device("d1");
    let (_line, mut open) = talk(&site.visitor(Some(&certificate)), DEAF).await;
    let began = Instant::now();
    site.apply(|snapshot| snapshot.denied.insert(certificate.reference.clone())).await;
    assert_eq!(site.door.live_connections(&device_key("d1")), 0);
    assert_eq!(rest(&mut open).await, "");
    assert!(began.elapsed() < AT_ONCE, "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_superseded_certificates_talk_goes_on_until_the_overlap_ends() {
    let mut site = Site::usual().await;
    let certificate = site.device("d1");
    let (_line, mut open) = talk(&site.visitor(Some(&certificate)), TALKING).await;
    let until = NOW + Duration::from_secs(100);
    site.apply(|snapshot| snapshot.superseded.insert(certificate.reference.clone(), until)).await;
    assert_eq!(echoed(&mut open, "still here").await, "still here");
    site.clock.set(NOW + Duration::from_secs(101));
    assert_eq!(rest(&mut open).await, "bye");
}

#[tokio::test]
async fn it_ends_when_the_control_plane_lets_go_even_if_the_client_does_not() {
    let site = Site::usual().await;
    let certificate = site.device("d1");
    let (_line, mut open) = talk(&site.visitor(Some(&certificate)), TALKING).await;
    open.write_all(b"end").await.unwrap();
    assert_eq!(rest(&mut open).await, "bye");
    let gone = async {
        while site.door.live_connections(&device_key("d1")) > 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, gone).await.unwrap();
}

#[tokio::test]
async fn it_may_be_silent_for_longer_than_a_connection_may_idle() {
    let mut plan = Plan::usual().await;
    plan.config.idle_timeout = Duration::from_millis(200);
    let site = plan.open();
    let certificate = site.device("d1");
    let visitor = site.visitor(Some(&certificate));
    let (_line, mut open) = talk(&visitor, TALKING).await;
    let mut idle = visitor.http1().await;
    assert_eq!(idle.get("/required/x").await.unwrap().status, 200);
    idle.closed().await;
    assert!(timeout(Duration::from_millis(500), open.read_u8()).await.is_err(), "nothing is heard");
    assert_eq!(echoed(&mut open, "still here").await, "still here");
}

#[tokio::test]
async fn a_drain_cuts_it_when_patience_ends() {
    let site = Site::usual().await;
    let certificate = site.device("d1");
    let (_line, mut open) = talk(&site.visitor(Some(&certificate)), TALKING).await;
    let (drained, heard) = tokio::join!(site.door.drain(Duration::from_millis(200)), rest(&mut open));
    assert_eq!((drained, heard.as_str()), ((), "bye"));
}

#[tokio::test]
async fn without_the_wish_for_it_nothing_is_offered() {
    let site = Site::usual().await;
    let certificate = site.device("d1");
    let visitor = site.visitor(Some(&certificate));
    for mut line in [visitor.http1().await, visitor.http2().await] {
        let answer = line.get(TALKING).await.unwrap();
        assert_eq!(answer.told("offered"), false);
    }
    let mut line = visitor.http1().await;
    let mut request = line.request(Method::GET, "/api/v1/agents/x/other");
    request.headers_mut().insert("connection", "Upgrade".parse().unwrap());
    request.headers_mut().insert("upgrade", "websocket".parse().unwrap());
    let answer = line.call(request).await.unwrap();
    assert_eq!(answer.told("offered"), true, "and need not be taken");
}
