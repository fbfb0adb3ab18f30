//! Several servers behind a route take turns; who is not well is passed over, and nothing is sent twice that
//! may not be.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use countersign_core::settings::Enforcement;
use countersign_edge::{
    HealthCheck, Route, RouteScreen, Upstream, UpstreamAddress, UpstreamGroup, UpstreamProtocol,
    UpstreamTimeouts,
};
use countersign_testkit::vacant_address;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, UnixListener};

use crate::site::{PATIENCE, Plan, Site, upstream_http2};
use crate::streaming::{echo, piece_by_piece};
use crate::visitor::Answer;

/// A server that says its name and what state it was told to be in.
#[derive(Clone)]
struct Server {
    name: &'static str,
    status: Arc<AtomicUsize>,
}

impl Server {
    fn named(name: &'static str) -> Self {
        Self { name, status: Arc::new(AtomicUsize::new(200)) }
    }

    fn answers(&self, status: u16) {
        self.status.store(usize::from(status), Ordering::Relaxed);
    }

    async fn serve<IO: AsyncRead + AsyncWrite + Send + Unpin + 'static>(self, stream: IO) {
        let service = service_fn(move |request: Request<Incoming>| {
            let is_check = request.uri().path() == "/health";
            let status = if is_check { self.status.load(Ordering::Relaxed) } else { 200 };
            let mut response = Response::new(Full::<Bytes>::from(self.name));
            *response.status_mut() = StatusCode::from_u16(status.try_into().unwrap()).unwrap();
            async move { Ok::<_, Infallible>(response) }
        });
        drop(http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
    }

    async fn listen(&self) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = self.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(server.clone().serve(stream));
            }
        });
        address
    }
}

fn http(address: SocketAddr) -> UpstreamAddress {
    format!("http://{address}").parse().unwrap()
}

async fn site(group: UpstreamGroup) -> Site {
    let mut plan = Plan::usual().await;
    plan.config.workers = NonZeroUsize::MIN;
    plan.config.routes.push(Route {
        host: None,
        path_prefix: "/group".to_owned(),
        upstream: Upstream::from(group),
        identity: Enforcement::Off,
        audience: None,
        renewal_paths: Vec::new(),
        screen: RouteScreen::default(),
    });
    plan.open()
}

async fn ask(site: &Site, method: Method, body: &'static str) -> Answer {
    let mut line = site.visitor(None).http1().await;
    let mut request = line.request(method, "/group/x");
    *request.body_mut() = Full::from(body);
    line.call(request).await.unwrap()
}

async fn name(site: &Site) -> String {
    let answer = ask(site, Method::GET, "").await;
    String::from_utf8(answer.body.to_vec()).unwrap()
}

fn check(every: Duration) -> HealthCheck {
    HealthCheck { path: "/health".to_owned(), interval: every, well_after: 1, unwell_after: 2 }
}

/// Asks until the answer is right.
async fn until(mut ask: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !ask().await {
        assert!(began.elapsed() < PATIENCE, "in time");
    }
}

#[tokio::test]
async fn they_take_turns() {
    let (a, b) = (Server::named("a").listen().await, Server::named("b").listen().await);
    let site = site(UpstreamGroup::new(vec![http(a), http(b)])).await;
    let mut heard = Vec::new();
    for _ in 0..4 {
        heard.push(name(&site).await);
    }
    assert_eq!(heard, ["a", "b", "a", "b"]);
}

#[tokio::test]
async fn what_reached_nobody_goes_to_another_whatever_it_is() {
    let here = Server::named("here").listen().await;
    let site = site(UpstreamGroup::new(vec![http(vacant_address()), http(here)])).await;
    for method in [Method::POST, Method::GET, Method::POST] {
        let answer = ask(&site, method, "body").await;
        assert_eq!((answer.status, &answer.body[..]), (StatusCode::OK, &b"here"[..]));
    }
}

#[tokio::test]
async fn all_out_of_reach_is_a_502_and_then_a_503() {
    let site = site(UpstreamGroup::new(vec![http(vacant_address()), http(vacant_address())])).await;
    assert_eq!(ask(&site, Method::GET, "").await.code(), "UPSTREAM_UNREACHABLE");
    let unwell = ask(&site, Method::GET, "").await;
    assert_eq!((unwell.status.as_u16(), unwell.code().as_str()), (503, "UPSTREAM_UNWELL"));
    assert!(unwell.headers.contains_key("retry-after"));
}

/// A server that reads a request and hangs up; how many it has read.
async fn hanging_up() -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let read = Arc::<AtomicUsize>::default();
    let count = Arc::clone(&read);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = [0; 4096];
            if stream.read(&mut head).await.unwrap_or_default() > 0 {
                count.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    (address, read)
}

#[tokio::test]
async fn what_may_be_repeated_is_and_nothing_else() {
    let (broken, read) = hanging_up().await;
    let here = Server::named("here").listen().await;
    for (method, body, repeated) in [
        (Method::GET, "", true),
        (Method::DELETE, "", true),
        (Method::POST, "", false),
        (Method::PUT, "body", false),
    ] {
        let site = site(UpstreamGroup::new(vec![http(broken), http(here)])).await;
        let before = read.load(Ordering::Relaxed);
        let answer = ask(&site, method.clone(), body).await;
        assert_eq!(answer.status.is_success(), repeated, "{method} {body}: {answer:?}");
        assert_eq!(read.load(Ordering::Relaxed), before + 1, "asked once");
        if !repeated {
            assert_eq!(answer.code(), "UPSTREAM_UNREACHABLE");
        }
    }
}

#[tokio::test]
async fn who_fails_its_checks_is_passed_over_until_it_is_well() {
    let (a, b) = (Server::named("a"), Server::named("b"));
    let mut group = UpstreamGroup::new(vec![http(a.listen().await), http(b.listen().await)]);
    group.health = Some(check(Duration::from_millis(20)));
    let site = site(group).await;
    a.answers(500);
    until(async || [name(&site).await, name(&site).await, name(&site).await] == ["b", "b", "b"]).await;
    b.answers(404);
    until(async || ask(&site, Method::GET, "").await.status == 503).await;
    a.answers(302);
    until(async || name(&site).await == "a").await;
}

#[tokio::test]
async fn one_that_is_alone_is_checked_too() {
    let alone = Server::named("alone");
    let mut group = UpstreamGroup::new(vec![http(alone.listen().await)]);
    group.health = Some(check(Duration::from_millis(20)));
    let site = site(group).await;
    assert_eq!(name(&site).await, "alone");
    alone.answers(500);
    until(async || ask(&site, Method::GET, "").await.status == 503).await;
}

#[tokio::test]
async fn a_unix_socket_is_an_address_too() {
    let folder = tempfile::tempdir().unwrap();
    let path: PathBuf = folder.path().join("app.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let server = Server::named("unix");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(server.clone().serve(stream));
        }
    });
    let site = site(UpstreamGroup::new(vec![UpstreamAddress::Unix(path)])).await;
    assert_eq!(name(&site).await, "unix");
    assert_eq!(name(&site).await, "unix");
}

#[tokio::test]
async fn an_answer_that_stops_in_the_middle_is_cut() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        // Asked first: an answer to nothing is none.
        assert!(stream.read(&mut [0; 1024]).await.unwrap() > 0);
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello").await.unwrap();
        let mut rest = Vec::new();
        drop(stream.read_to_end(&mut rest).await);
    });
    let mut group = UpstreamGroup::new(vec![http(address)]);
    group.timeouts = UpstreamTimeouts { idle: Some(Duration::from_millis(100)), ..group.timeouts };
    let site = site(group).await;
    let mut line = site.visitor(None).http1().await;
    let response = line.send(line.request(Method::GET, "/group/x")).await.unwrap();
    assert_eq!(response.status(), 200);
    assert!(Answer::read(response).await.is_err(), "not a whole answer");
}

#[tokio::test]
async fn over_http_2_calls_stream_both_ways_with_their_trailers() {
    let address = upstream_http2().await;
    let mut group = UpstreamGroup::new(vec![http(address)]);
    group.protocol = UpstreamProtocol::Http2;
    let site = site(group).await;
    let stream = site.visitor(None).http2_stream().await;
    let (mut client, connection) =
        hyper::client::conn::http2::handshake(hyper_util::rt::TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    tokio::spawn(connection);
    let (sender, request) = echo("https://door.test/group/echo");
    let response = tokio::time::timeout(PATIENCE, client.send_request(request)).await.expect("in time");
    piece_by_piece(sender, response.unwrap()).await;
    let told = site.visitor(None).get("/group/x?y").await;
    assert_eq!(told.told("path"), "http://door.test/group/x?y", "host and path are one");
}

#[tokio::test]
async fn a_server_without_http_2_is_not_spoken_to_in_it() {
    let here = Server::named("here").listen().await;
    let mut group = UpstreamGroup::new(vec![http(here)]);
    group.protocol = UpstreamProtocol::Http2;
    assert_eq!(ask(&site(group).await, Method::GET, "").await.code(), "UPSTREAM_UNREACHABLE");
}
