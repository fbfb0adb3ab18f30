//! A client of the door.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use countersign_tls::{ClientStream, ClientTls};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::site::PATIENCE;

/// The host every request asks for unless it says otherwise.
pub(crate) const HOST: &str = "door.test";

pub(crate) struct Visitor {
    tls: ClientTls,
    address: SocketAddr,
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("JSON, not {:?}", self.body))
    }

    pub(crate) fn code(&self) -> String {
        self.json().get("code").and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    /// What came out on the other side.
    pub(crate) fn told(&self, field: &str) -> Value {
        assert_eq!(self.status, StatusCode::OK, "{:?}", self.body);
        self.json().get(field).cloned().unwrap_or_default()
    }

    /// A header as it came out on the other side.
    pub(crate) fn told_header(&self, name: &str) -> Option<String> {
        self.told("headers").get(name).and_then(Value::as_str).map(str::to_owned)
    }

    pub(crate) async fn read(response: Response<Incoming>) -> Result<Self, hyper::Error> {
        let (parts, body) = response.into_parts();
        let body = timeout(PATIENCE, body.collect()).await.expect("a body in time")?.to_bytes();
        Ok(Self { status: parts.status, headers: parts.headers, body })
    }
}

impl Visitor {
    pub(crate) const fn new(tls: ClientTls, address: SocketAddr) -> Self {
        Self { tls, address }
    }

    pub(crate) async fn tcp(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    pub(crate) async fn stream(&self) -> ClientStream<TcpStream> {
        self.tls.handshake("127.0.0.1", self.tcp().await).await.unwrap()
    }

    /// The handshake over a connection that has begun already.
    pub(crate) async fn over(&self, tcp: TcpStream) -> Line {
        let stream = self.tls.handshake("127.0.0.1", tcp).await.unwrap();
        Line::http1(TokioIo::new(stream)).await
    }

    /// A connection, or why there is none.
    pub(crate) async fn try_http1(&self) -> Result<Line, Box<dyn std::error::Error + Send + Sync>> {
        let tcp = TcpStream::connect(self.address).await?;
        Ok(Line::http1(TokioIo::new(self.tls.handshake("127.0.0.1", tcp).await?)).await)
    }

    pub(crate) async fn http1(&self) -> Line {
        Line::http1(TokioIo::new(self.stream().await)).await
    }

    pub(crate) async fn http2_stream(&self) -> ClientStream<TcpStream> {
        let tls = self.tls.clone().with_http2();
        tls.handshake("127.0.0.1", self.tcp().await).await.unwrap()
    }

    pub(crate) async fn http2(&self) -> Line {
        self.http2_by(&http2::Builder::new(TokioExecutor::new())).await
    }

    /// Sends a PING every so often, whatever else it does.
    pub(crate) async fn http2_pinging(&self, every: Duration) -> Line {
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder.timer(TokioTimer::new()).keep_alive_interval(every).keep_alive_while_idle(true);
        self.http2_by(&builder).await
    }

    async fn http2_by(&self, builder: &http2::Builder<TokioExecutor>) -> Line {
        let io = TokioIo::new(self.http2_stream().await);
        let (sender, connection) = builder.handshake(io).await.unwrap();
        Line { sender: Sender::Http2(sender), end: tokio::spawn(async move { drop(connection.await) }) }
    }

    /// One request over a connection of its own.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.http1().await.get(path).await.unwrap()
    }

    /// Writes these bytes and reads until the door closes the connection.
    pub(crate) async fn raw(&self, bytes: impl AsRef<[u8]>) -> String {
        let mut stream = self.stream().await;
        let mut heard = Vec::new();
        // A door that refuses may not read all of it, and may close without TLS's goodbye.
        drop(stream.write_all(bytes.as_ref()).await);
        drop(timeout(PATIENCE, stream.read_to_end(&mut heard)).await.expect("closed in time"));
        String::from_utf8_lossy(&heard).into_owned()
    }
}

enum Sender {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

/// A connection that stays open between requests.
pub(crate) struct Line {
    sender: Sender,
    end: JoinHandle<()>,
}

impl Line {
    async fn http1<IO>(io: IO) -> Self
    where
        IO: hyper::rt::Read + hyper::rt::Write + Send + Unpin + 'static,
    {
        let (sender, connection) = http1::handshake(io).await.unwrap();
        let end = tokio::spawn(async move { drop(connection.with_upgrades().await) });
        Self { sender: Sender::Http1(sender), end }
    }

    pub(crate) async fn send(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, hyper::Error> {
        let response = async {
            match &mut self.sender {
                Sender::Http1(sender) => {
                    sender.ready().await?;
                    sender.send_request(request).await
                }
                Sender::Http2(sender) => {
                    sender.ready().await?;
                    sender.send_request(request).await
                }
            }
        };
        timeout(PATIENCE, response).await.expect("an answer in time")
    }

    /// Sends a request over HTTP/2; dropping the answer that is to come resets the stream.
    pub(crate) fn begin(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> impl Future<Output = Result<Response<Incoming>, hyper::Error>> {
        match &mut self.sender {
            Sender::Http1(_) => panic!("over HTTP/2"),
            Sender::Http2(sender) => sender.send_request(request),
        }
    }

    pub(crate) async fn call(&mut self, request: Request<Full<Bytes>>) -> Result<Answer, hyper::Error> {
        let response = self.send(request).await?;
        Answer::read(response).await
    }

    pub(crate) async fn get(&mut self, path: &str) -> Result<Answer, hyper::Error> {
        let request = self.request(Method::GET, path);
        self.call(request).await
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> Request<Full<Bytes>> {
        let builder = Request::builder().method(method);
        let builder = match self.sender {
            Sender::Http1(_) => builder.uri(path).header(http::header::HOST, HOST),
            Sender::Http2(_) => builder.uri(format!("https://{HOST}{path}")),
        };
        builder.body(Full::default()).unwrap()
    }

    /// Waits until the door has closed the connection; how long that took.
    pub(crate) async fn closed(&mut self) -> Duration {
        let began = Instant::now();
        timeout(PATIENCE, &mut self.end).await.expect("closed in time").unwrap();
        began.elapsed()
    }

    pub(crate) fn is_open(&self) -> bool {
        !self.end.is_finished()
    }
}

/// An RFC 9440 byte sequence.
pub(crate) fn rfc9440(certificate: &[u8]) -> String {
    format!(":{}:", STANDARD.encode(certificate))
}
