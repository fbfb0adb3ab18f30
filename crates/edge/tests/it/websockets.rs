//! A WebSocket passes whichever version of HTTP the client and the upstream speak, and ends with its device.

use std::time::Duration;

use bytes::Bytes;
use countersign_core::settings::Enforcement;
use countersign_core::snapshot::Bar;
use countersign_edge::{Route, RouteScreen, Upstream, UpstreamGroup, UpstreamProtocol};
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper::ext::Protocol;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use crate::site::{PATIENCE, Plan, Site, device_key, upstream_http2};
use crate::visitor::{HOST, Visitor};

/// RFC 6455's example, and the answer to it.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// The usual site, and the same upstream over HTTP/2 at `/two`.
async fn site() -> Site {
    let mut plan = Plan::usual().await;
    let group = UpstreamGroup::new(vec![format!("http://{}", upstream_http2().await).parse().unwrap()]);
    plan.config.routes.push(Route {
        host: None,
        path_prefix: "/two".to_owned(),
        upstream: Upstream::from(UpstreamGroup { protocol: UpstreamProtocol::Http2, ..group }),
        identity: Enforcement::Off,
        audience: None,
        renewal_paths: Vec::new(),
        screen: RouteScreen::default(),
    });
    plan.open()
}

async fn over_http1(visitor: &Visitor, path: &str) -> Response<Incoming> {
    let stream = visitor.stream().await;
    let (mut client, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection.with_upgrades());
    let request = Request::get(path)
        .header(header::HOST, HOST)
        .header(header::CONNECTION, "Upgrade")
        .header(header::UPGRADE, "websocket")
        .header(header::SEC_WEBSOCKET_KEY, KEY)
        .body(Full::<Bytes>::default())
        .unwrap();
    timeout(PATIENCE, client.send_request(request)).await.unwrap().unwrap()
}

async fn over_http2(visitor: &Visitor, path: &str, protocol: &'static str) -> Response<Incoming> {
    let stream = visitor.http2_stream().await;
    let (mut client, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    // The door's settings say that it knows extended CONNECT; one answer later they are here.
    let hello = Request::get(format!("https://{HOST}/open/hello")).body(Full::<Bytes>::default()).unwrap();
    assert_eq!(timeout(PATIENCE, client.send_request(hello)).await.unwrap().unwrap().status(), 200);
    let mut request = Request::connect(format!("https://{HOST}{path}")).body(Full::default()).unwrap();
    request.extensions_mut().insert(Protocol::from_static(protocol));
    timeout(PATIENCE, client.send_request(request)).await.unwrap().unwrap()
}

async fn echoes(response: Response<Incoming>) -> TokioIo<hyper::upgrade::Upgraded> {
    let upgraded = timeout(PATIENCE, hyper::upgrade::on(response)).await.unwrap().unwrap();
    let mut io = TokioIo::new(upgraded);
    for _again in 0..2 {
        timeout(PATIENCE, io.write_all(b"hello")).await.unwrap().unwrap();
        let mut back = [0; 5];
        timeout(PATIENCE, io.read_exact(&mut back)).await.unwrap().unwrap();
        assert_eq!(&back, b"hello");
    }
    io
}

#[tokio::test]
async fn from_http_1_to_either() {
    let site = site().await;
    let certificate = site.device("d1");
    for path in ["/open/upgrade", "/two/upgrade"] {
        let response = over_http1(&site.visitor(Some(&certificate)), path).await;
        assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS, "{path}");
        assert_eq!(response.headers().get(header::SEC_WEBSOCKET_ACCEPT).unwrap(), ACCEPT, "{path}");
        assert_eq!(response.headers().get(header::UPGRADE).unwrap(), "websocket", "{path}");
        echoes(response).await;
    }
}

#[tokio::test]
async fn from_http_2_to_either() {
    let site = site().await;
    let certificate = site.device("d1");
    for path in ["/open/upgrade", "/two/upgrade"] {
        let response = over_http2(&site.visitor(Some(&certificate)), path, "websocket").await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        for absent in [header::SEC_WEBSOCKET_ACCEPT, header::UPGRADE, header::CONNECTION] {
            assert!(!response.headers().contains_key(&absent), "{path}: {absent}");
        }
        if path.starts_with("/two") {
            assert_eq!(response.headers().get("x-device"), Some(&HeaderValue::from_static("d1")));
        }
        echoes(response).await;
    }
}

#[tokio::test]
async fn who_may_not_in_gets_no_websocket() {
    let site = site().await;
    let nobody = site.visitor(None);
    for response in [
        over_http1(&nobody, "/required/upgrade").await,
        over_http2(&nobody, "/required/upgrade", "websocket").await,
    ] {
        assert_eq!(response.status(), StatusCode::FORBIDDEN);
    }
}

#[tokio::test]
async fn nothing_else_goes_through_a_connect() {
    let site = site().await;
    for protocol in ["connect-udp", "h2c"] {
        let response = over_http2(&site.visitor(None), "/open/upgrade", protocol).await;
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{protocol}");
    }
}

#[tokio::test]
async fn an_upstream_that_does_not_mean_this_handshake_gets_none() {
    let site = site().await;
    let response = over_http2(&site.visitor(None), "/open/wrong/upgrade", "websocket").await;
    assert_eq!(response.status(), StatusCode::BAD_GATEWAY);
}

#[tokio::test]
async fn a_revocation_cuts_it_over_both() {
    let mut site = site().await;
    let certificate = site.device("d1");
    let visitor = site.visitor(Some(&certificate));
    let mut open = vec![
        echoes(over_http1(&visitor, "/two/upgrade").await).await,
        echoes(over_http2(&visitor, "/open/upgrade", "websocket").await).await,
    ];
    site.apply(|snapshot| snapshot.barred.insert(device_key("d1"), Bar::Quarantined)).await;
    for io in &mut open {
        let mut rest = Vec::new();
        let ended = timeout(Duration::from_secs(5), io.read_to_end(&mut rest)).await;
        assert!(ended.is_ok(), "it ends");
        assert_eq!(rest, b"");
    }
    assert_eq!(site.visitor(Some(&certificate)).get("/required/x").await.status, 403);
}
