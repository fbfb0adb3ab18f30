//! One HTTP/1.1 connection to an upstream, driven by whoever asks over it.

use std::fmt;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{self, SendRequest};
use tokio::task::unconstrained;
use tokio::time::{Instant, Sleep, sleep_until, timeout};
use tracing::debug;

use super::deadline::Deadline;
use super::upstreams::{Onward, UpstreamError};

/// How long a connection is kept that nobody uses.
pub(crate) const KEPT_IDLE: Duration = Duration::from_secs(30);

/// What moves a connection's bytes while it is polled.
pub(crate) type Driver = Pin<Box<dyn Future<Output = Result<(), hyper::Error>> + Send>>;

/// An open connection.
pub(crate) struct Open {
    sender: SendRequest<Onward>,
    /// `None`: it has ended.
    driver: Option<Driver>,
    /// Rings when a request's patience ends, or earlier.
    alarm: Pin<Box<Sleep>>,
    /// When it was used last.
    pub(crate) since: Instant,
    /// With which credentials it was opened.
    pub(crate) generation: u64,
}

impl Open {
    /// Begins to speak HTTP/1.1.
    pub(crate) async fn over<IO>(io: IO, generation: u64, end: Instant) -> Result<Self, UpstreamError>
    where
        IO: hyper::rt::Read + hyper::rt::Write + Send + Unpin + 'static,
    {
        let (sender, connection) = http1::handshake(io).await.map_err(UpstreamError::Request)?;
        Ok(Self {
            sender,
            driver: Some(Box::pin(connection.with_upgrades())),
            alarm: Box::pin(sleep_until(end)),
            since: Instant::now(),
            generation,
        })
    }

    /// Sends a request and drives the connection until its answer begins.
    pub(crate) async fn ask(
        &mut self,
        request: Request<Onward>,
        deadline: &mut Deadline,
    ) -> Result<Result<Response<Incoming>, TrySendError<Request<Onward>>>, UpstreamError> {
        // Nothing but the driver, here, can bring the answer: nobody need be woken for it.
        let mut answer = pin!(unconstrained(self.sender.try_send_request(request)));
        std::future::poll_fn(|cx| {
            self.drive(cx);
            if let Poll::Ready(answered) = answer.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                return Poll::Ready(Ok(answered));
            }
            self.poll_patience(deadline, cx).map(|()| Err(UpstreamError::Timeout))
        })
        .await
    }

    /// Moves what can be moved.
    pub(crate) fn drive(&mut self, cx: &mut Context<'_>) {
        let Some(driver) = &mut self.driver else { return };
        if let Poll::Ready(ended) = driver.as_mut().poll(cx) {
            self.driver = None;
            if let Err(error) = ended {
                debug!(%error, "connection to an upstream ended early");
            }
        }
    }

    /// Ready when the deadline is over. The alarm is not set for each request: one that rings early is set
    /// again.
    fn poll_patience(&mut self, deadline: &mut Deadline, cx: &mut Context<'_>) -> Poll<()> {
        if deadline.end() < self.alarm.deadline() {
            self.alarm.as_mut().reset(deadline.end());
        }
        while self.alarm.as_mut().poll(cx).is_ready() {
            if deadline.is_over() {
                return Poll::Ready(());
            }
            self.alarm.as_mut().reset(deadline.end());
        }
        Poll::Pending
    }

    /// Looks whether it can take a request, and leaves nobody to be woken by it.
    pub(crate) fn settle(&mut self) -> Readiness {
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
    pub(crate) async fn finish(&mut self, patience: Patience) -> Readiness {
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

    /// What moves its bytes, for a connection that is HTTP no more.
    pub(crate) fn into_driver(self) -> Option<Driver> {
        self.driver
    }
}

impl fmt::Debug for Open {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Open").field("since", &self.since).finish_non_exhaustive()
    }
}

/// What a connection can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Readiness {
    /// Take a request.
    Ready,
    /// A message is still on its way.
    Busy,
    /// Nothing any more.
    Over,
}

/// How long a connection may take to finish what is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    /// As long as somebody waits for it.
    Endless,
    /// For a while: nobody does.
    Short,
}
