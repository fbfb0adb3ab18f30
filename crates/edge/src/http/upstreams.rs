//! Connections to upstreams, kept open between requests.
//!
//! Each worker has its own, so that no request waits for another thread. A connection has no task of its
//! own either: whoever asks over it drives it, until the answer comes and then with the answer's body
//! ([`Answering`]), and nobody drives one that is kept. It saves two wake-ups for each request. Only where
//! the answer begins before the request has ended does the connection get a task, so that neither waits
//! for the other to be read.

use std::collections::HashMap;
use std::fmt;
use std::pin::{Pin, pin};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::uri::Authority;
use http::{Request, Response, Uri};
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::client::legacy::connect::HttpConnector;
use parking_lot::Mutex;
use thiserror::Error;
use tokio::runtime::Handle;
use tokio::task::unconstrained;
use tokio::time::{Instant, MissedTickBehavior, Sleep, interval, sleep_until, timeout, timeout_at};
use tower::ServiceExt as _;
use tracing::debug;

use super::body::{BodyError, OnItsWay, Passing};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a connection is kept that nobody uses.
const KEPT_IDLE: Duration = Duration::from_secs(30);
/// How often is looked after those.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// A request's body on its way to an upstream.
type Onward = Passing<Incoming>;
/// What moves a connection's bytes while it is polled.
type Driver = Pin<Box<dyn Future<Output = Result<(), hyper::Error>> + Send>>;

/// The connections of one worker to upstreams.
#[derive(Debug)]
pub(crate) struct Upstreams {
    connector: HttpConnector,
    idle: Mutex<HashMap<Authority, Vec<Open>>>,
}

/// Why an upstream gave no answer.
#[derive(Debug, Error)]
pub(crate) enum UpstreamError {
    /// There is no connection to it.
    #[error("connect to the upstream")]
    Connect(#[source] BodyError),
    /// The connection broke, or what came back is not HTTP.
    #[error("ask the upstream")]
    Request(#[source] hyper::Error),
    /// It took too long.
    #[error("wait for the upstream")]
    Timeout,
}

/// An open connection.
struct Open {
    sender: SendRequest<Onward>,
    /// `None`: it has ended.
    driver: Option<Driver>,
    /// Rings when a request's patience ends, or earlier.
    alarm: Pin<Box<Sleep>>,
    /// When it was used last.
    since: Instant,
}

/// A connection while it is lent; it goes back when this is dropped, if it is still good.
#[derive(Debug)]
struct Line {
    upstreams: Weak<Upstreams>,
    authority: Authority,
    open: Option<Open>,
}

/// The body of an upstream's answer, with the connection that it comes over.
#[derive(Debug)]
pub(crate) struct Answering {
    body: Incoming,
    line: Line,
}

impl Upstreams {
    /// None yet. To be made on the worker's runtime, on which it lets go of what stays unused.
    pub(crate) fn new() -> Arc<Self> {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        connector.set_nodelay(true);
        let upstreams = Arc::new(Self { connector, idle: Mutex::default() });
        tokio::spawn(let_go(Arc::downgrade(&upstreams)));
        upstreams
    }

    /// Sends a request in origin form to the upstream, and waits so long for its answer to begin. One that
    /// a kept connection did not take, because the upstream had closed it, goes over another.
    ///
    /// # Errors
    /// When the upstream cannot be reached, is silent, or breaks off a request that it may have begun to
    /// serve.
    pub(crate) async fn request(
        self: &Arc<Self>,
        authority: &Authority,
        mut request: Request<Onward>,
        patience: Duration,
    ) -> Result<Response<Answering>, UpstreamError> {
        let end = Instant::now() + patience;
        let on_its_way = request.body().watch();
        while let Some(mut open) = self.take(authority) {
            match open.ask(request, end).await? {
                Ok(response) => return Ok(self.lend(authority, open, (response, on_its_way))),
                Err(mut error) => match error.take_message() {
                    Some(untouched) => request = untouched,
                    None => return Err(UpstreamError::Request(error.into_error())),
                },
            }
        }
        let connecting = timeout_at(end, self.connect(authority, end)).await;
        let mut open = connecting.map_err(|_elapsed| UpstreamError::Timeout)??;
        let answered = open.ask(request, end).await?;
        let response = answered.map_err(|error| UpstreamError::Request(error.into_error()))?;
        Ok(self.lend(authority, open, (response, on_its_way)))
    }

    /// The connection that was used last: the others may end.
    fn take(&self, authority: &Authority) -> Option<Open> {
        self.idle.lock().get_mut(authority)?.pop()
    }

    async fn connect(&self, authority: &Authority, end: Instant) -> Result<Open, UpstreamError> {
        let mut parts = http::uri::Parts::default();
        parts.scheme = Some(http::uri::Scheme::HTTP);
        parts.authority = Some(authority.clone());
        parts.path_and_query = Some(http::uri::PathAndQuery::from_static("/"));
        let uri = Uri::from_parts(parts).map_err(|error| UpstreamError::Connect(error.into()))?;
        let stream = self
            .connector
            .clone()
            .oneshot(uri)
            .await
            .map_err(|error| UpstreamError::Connect(error.into()))?;
        let (sender, connection) = http1::handshake(stream).await.map_err(UpstreamError::Request)?;
        Ok(Open {
            sender,
            driver: Some(Box::pin(connection.with_upgrades())),
            alarm: Box::pin(sleep_until(end)),
            since: Instant::now(),
        })
    }

    fn lend(
        self: &Arc<Self>,
        authority: &Authority,
        open: Open,
        (response, on_its_way): (Response<Incoming>, OnItsWay),
    ) -> Response<Answering> {
        let mut line =
            Line { upstreams: Arc::downgrade(self), authority: authority.clone(), open: Some(open) };
        if on_its_way.is_so() {
            line.run_alone(Patience::Endless);
        }
        response.map(|body| Answering { body, line })
    }

    fn keep(&self, authority: &Authority, mut open: Open) {
        open.since = Instant::now();
        let mut idle = self.idle.lock();
        match idle.get_mut(authority) {
            Some(kept) => kept.push(open),
            None => {
                idle.insert(authority.clone(), vec![open]);
            }
        }
    }
}

impl Open {
    /// Sends a request and drives the connection until its answer begins.
    async fn ask(
        &mut self,
        request: Request<Onward>,
        end: Instant,
    ) -> Result<Result<Response<Incoming>, TrySendError<Request<Onward>>>, UpstreamError> {
        // Nothing but the driver, here, can bring the answer: nobody need be woken for it.
        let mut answer = pin!(unconstrained(self.sender.try_send_request(request)));
        std::future::poll_fn(|cx| {
            self.drive(cx);
            if let Poll::Ready(answered) = answer.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                return Poll::Ready(Ok(answered));
            }
            self.poll_patience(end, cx).map(|()| Err(UpstreamError::Timeout))
        })
        .await
    }

    /// Moves what can be moved.
    fn drive(&mut self, cx: &mut Context<'_>) {
        let Some(driver) = &mut self.driver else { return };
        if let Poll::Ready(ended) = driver.as_mut().poll(cx) {
            self.driver = None;
            if let Err(error) = ended {
                debug!(%error, "connection to an upstream ended early");
            }
        }
    }

    /// Ready at `end`. The alarm is not set for each request: one that rings early is set again.
    fn poll_patience(&mut self, end: Instant, cx: &mut Context<'_>) -> Poll<()> {
        if end < self.alarm.deadline() {
            self.alarm.as_mut().reset(end);
        }
        while self.alarm.as_mut().poll(cx).is_ready() {
            if Instant::now() >= end {
                return Poll::Ready(());
            }
            self.alarm.as_mut().reset(end);
        }
        Poll::Pending
    }

    /// Looks whether it can take a request, and leaves nobody to be woken by it.
    fn settle(&mut self) -> Readiness {
        self.drive(&mut Context::from_waker(Waker::noop()));
        self.readiness()
    }

    fn readiness(&self) -> Readiness {
        match &self.driver {
            None => Readiness::Over,
            Some(_) if self.sender.is_ready() => Readiness::Ready,
            Some(_) => Readiness::Busy,
        }
    }

    /// Drives it until it can take a request or is over.
    async fn finish(&mut self, patience: Patience) -> Readiness {
        let done = std::future::poll_fn(|cx| {
            self.drive(cx);
            match self.readiness() {
                Readiness::Busy => Poll::Pending,
                settled @ (Readiness::Ready | Readiness::Over) => Poll::Ready(settled),
            }
        });
        match patience {
            Patience::Endless => done.await,
            Patience::Short => timeout(KEPT_IDLE, done).await.unwrap_or(Readiness::Over),
        }
    }
}

impl fmt::Debug for Open {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Open").field("since", &self.since).finish_non_exhaustive()
    }
}

/// What a connection can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Readiness {
    /// Take a request.
    Ready,
    /// A message is still on its way.
    Busy,
    /// Nothing any more.
    Over,
}

/// How long a connection may take to finish what is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Patience {
    /// As long as somebody waits for it.
    Endless,
    /// For a while: nobody does.
    Short,
}

impl Line {
    /// Gives the connection a task of its own, until it can take a request again.
    fn run_alone(&mut self, patience: Patience) {
        // Where the runtime is going, so are its connections.
        let (Some(mut open), Ok(runtime)) = (self.open.take(), Handle::try_current()) else { return };
        let (upstreams, authority) = (Weak::clone(&self.upstreams), self.authority.clone());
        runtime.spawn(async move {
            if open.finish(patience).await == Readiness::Ready
                && let Some(upstreams) = upstreams.upgrade()
            {
                upstreams.keep(&authority, open);
            }
        });
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let Some(open) = &mut self.open else { return };
        match open.settle() {
            Readiness::Over => {}
            Readiness::Busy => self.run_alone(Patience::Short),
            Readiness::Ready => {
                if let (Some(upstreams), Some(open)) = (self.upstreams.upgrade(), self.open.take()) {
                    upstreams.keep(&self.authority, open);
                }
            }
        }
    }
}

impl Answering {
    /// Lets a connection run that is HTTP no more, for whoever waits for what it becomes.
    pub(crate) fn run_on(mut self) {
        if let Some(driver) = self.line.open.take().and_then(|open| open.driver) {
            tokio::spawn(async move {
                if let Err(error) = driver.await {
                    debug!(%error, "connection to an upstream ended early");
                }
            });
        }
    }

    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        http_body::Body::poll_frame(Pin::new(&mut self.body), cx)
    }
}

impl http_body::Body for Answering {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        if self.line.open.is_none() {
            return self.poll_body(cx);
        }
        // Nothing but the driver, here, can bring more of it: nobody need be woken for it.
        let mut nobody = Context::from_waker(Waker::noop());
        let brought = self.poll_body(&mut nobody);
        if brought.is_ready() {
            return brought;
        }
        if let Some(open) = &mut self.line.open {
            open.drive(cx);
        }
        self.poll_body(&mut nobody)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Closes what nobody has used for a while or the upstream has closed, as long as there is a worker.
async fn let_go(upstreams: Weak<Upstreams>) {
    let mut ticks = interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(upstreams) = upstreams.upgrade() else { return };
        let mut idle = upstreams.idle.lock();
        for kept in idle.values_mut() {
            kept.retain_mut(|one| one.since.elapsed() < KEPT_IDLE && one.settle() == Readiness::Ready);
        }
        idle.retain(|_authority, kept| !kept.is_empty());
    }
}
