//! A server behind the door that writes down what reaches it: over a plain socket, as an operator's
//! application would.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Collected, Full, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// Where it stands behind a requirement of an identity.
pub(crate) const REQUIRED: &str = "/required";
/// Where it stands without one.
pub(crate) const OPEN: &str = "/open";

/// A request as it reached the upstream.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    /// Path and query.
    pub(crate) target: String,
    pub(crate) headers: HeaderMap,
    /// The body of a request that was answered `200 ok`.
    pub(crate) body: Bytes,
}

impl Received {
    /// A header's only value; `None` when it is not there.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        let value = values.next()?;
        assert!(values.next().is_none(), "more than one {name}: {:?}", self.headers);
        Some(value.to_str().unwrap())
    }
}

#[derive(Debug, Default)]
struct Shared {
    record: Mutex<Vec<Received>>,
    end_streams: Notify,
}

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// The server; gone with the test.
pub(crate) struct Upstream {
    address: SocketAddr,
    shared: Arc<Shared>,
    listening: JoinHandle<()>,
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

impl Upstream {
    /// Starts it. It answers `200 ok`; under `…/upgrade` it switches to a protocol that echoes, and
    /// under `…/stream` its answer begins, and ends with [`Self::end_streams`].
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::<Shared>::default();
        let serving = Arc::clone(&shared);
        let listening = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let shared = Arc::clone(&serving);
                let service = service_fn(move |request| answer(request, Arc::clone(&shared)));
                tokio::spawn(async move {
                    http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .with_upgrades()
                        .await
                });
            }
        });
        Self { address, shared, listening }
    }

    /// Where it stands, for a configuration.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A route to it that requires an identity, at [`REQUIRED`], and one that does not, at [`OPEN`].
    pub(crate) fn routes(&self) -> String {
        let url = self.url();
        format!(
            "[[route]]\npath = \"{REQUIRED}\"\nupstream = \"{url}\"\n\n\
             [[route]]\npath = \"{OPEN}\"\nupstream = \"{url}\"\nrequire_identity = false\n\n"
        )
    }

    /// Ends the answers under `…/stream` that have begun.
    pub(crate) fn end_streams(&self) {
        self.shared.end_streams.notify_waiters();
    }

    /// What has reached it since the last call.
    pub(crate) fn received(&self) -> Vec<Received> {
        std::mem::take(&mut *self.shared.record.lock().unwrap())
    }

    /// The one request that has reached it since the last call.
    pub(crate) fn received_one(&self) -> Received {
        let mut all = self.received();
        assert_eq!(all.len(), 1, "{all:?}");
        all.remove(0)
    }
}

async fn answer(mut request: Request<Incoming>, shared: Arc<Shared>) -> Result<Response<Body>, Infallible> {
    let path = request.uri().path().to_owned();
    let mut received = Received {
        target: request.uri().to_string(),
        headers: request.headers().clone(),
        body: Bytes::new(),
    };
    if !path.ends_with("/upgrade") && !path.ends_with("/stream") {
        received.body = request.body_mut().collect().await.map(Collected::to_bytes).unwrap_or_default();
    }
    shared.record.lock().unwrap().push(received);
    if path.ends_with("/upgrade") {
        let upgrading = hyper::upgrade::on(&mut request);
        tokio::spawn(async move {
            let mut io = TokioIo::new(upgrading.await.unwrap());
            let mut buffer = [0; 1024];
            while let Ok(read @ 1..) = io.read(&mut buffer).await {
                if io.write_all(buffer.get(..read).unwrap()).await.is_err() {
                    return;
                }
            }
        });
        let switch = Response::builder()
            .status(StatusCode::SWITCHING_PROTOCOLS)
            .header(header::CONNECTION, "upgrade")
            .header(header::UPGRADE, "websocket");
        return Ok(switch.body(Full::default().boxed_unsync()).unwrap());
    }
    if path.ends_with("/stream") {
        let (sender, mut frames) = tokio::sync::mpsc::channel::<Frame<Bytes>>(1);
        sender.send(Frame::data(Bytes::from_static(b"begun"))).await.unwrap();
        tokio::spawn(async move {
            tokio::select! {
                () = sender.closed() => {}
                () = shared.end_streams.notified() => drop(sender.send(Frame::data(Bytes::from_static(b" ended"))).await),
            }
        });
        let stream = futures_util::stream::poll_fn(move |context| {
            frames.poll_recv(context).map(|frame| frame.map(Ok))
        });
        return Ok(Response::new(StreamBody::new(stream).boxed_unsync()));
    }
    Ok(Response::new(Full::from("ok").boxed_unsync()))
}
