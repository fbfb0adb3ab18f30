//! Connections to upstreams, kept open between requests.
//!
//! Each worker has its own, so that no request waits for another thread. Over HTTP/1.1 a connection has no
//! task of its own either: whoever asks over it drives it, until the answer comes and then with the answer's
//! body ([`Answering`]), and nobody drives one that is kept. It saves two wake-ups for each request. Only
//! where the answer begins before the request has ended does the connection get a task, so that neither
//! waits for the other to be read.

use std::sync::{Arc, Weak};
use std::time::Duration;

use http::{Method, Request, Response, request};
use hyper::body::Incoming;
use parking_lot::Mutex;
use thiserror::Error;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout_at};

use super::answering::{Answering, Line};
use super::body::{BodyError, Outgoing, Passing};
use super::deadline::Deadline;
use super::dial::Dialer;
use super::group::UpstreamProtocol;
use super::members::{Group, Member, Tried};
use super::multiplexed::Multiplexed;
use super::open::{KEPT_IDLE, Open, Patience, Readiness};

/// How often is looked after connections that nobody uses.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// A request's body on its way to an upstream.
pub(crate) type Onward = Passing<Outgoing>;

/// The connections of one worker to upstreams.
#[derive(Debug)]
pub(crate) struct Upstreams {
    dialer: Dialer,
    /// By the members' numbers.
    kept: Box<[Kept]>,
}

/// The connections to one upstream.
#[derive(Debug, Default)]
struct Kept {
    idle: Mutex<Vec<Open>>,
    multiplexed: Multiplexed,
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
    /// It stopped in the middle of its answer.
    #[error("wait for the rest of the upstream's answer")]
    Idle,
    /// None of the group is well.
    #[error("no upstream of the route is well")]
    NoneWell,
}

/// A request that got no answer.
enum Missed {
    /// Nothing of it has reached the upstream: another one may be asked.
    Untouched(Box<Request<Onward>>, UpstreamError),
    /// The upstream may have begun to serve it.
    Lost(UpstreamError),
}

impl Upstreams {
    /// No connection yet, to so many upstreams. To be made on the worker's runtime, on which it lets go of
    /// what stays unused.
    pub(crate) fn new(count: usize) -> Arc<Self> {
        let mut kept = Vec::new();
        kept.resize_with(count, Kept::default);
        let upstreams = Arc::new(Self { dialer: Dialer::new(), kept: kept.into() });
        tokio::spawn(let_go(Arc::downgrade(&upstreams)));
        upstreams
    }

    /// Sends a request to an upstream of the group, and waits so long for its answer to begin. One that
    /// never reached an upstream goes to another, and so does one that may be repeated: without a body, and
    /// by a method that says so (RFC 9110 section 9.2.2).
    ///
    /// # Errors
    /// When no upstream is well or can be reached, or one is silent or breaks off a request that it may
    /// have begun to serve.
    pub(crate) async fn request(
        self: &Arc<Self>,
        group: &Group,
        mut request: Request<Onward>,
        patience: Duration,
    ) -> Result<Response<Answering>, UpstreamError> {
        let mut deadline = Deadline::new(patience, request.body().watch());
        let again = if group.members().len() > 1 { repeatable(&request) } else { None };
        let mut tried = Tried::default();
        let mut missed = UpstreamError::NoneWell;
        while let Some(member) = group.next(&mut tried) {
            let asked = match group.protocol {
                UpstreamProtocol::Http1 => self.over_http1((group, member), request, &mut deadline).await,
                UpstreamProtocol::Http2 => self.over_http2((group, member), request, &mut deadline).await,
            };
            (request, missed) = match asked {
                Ok(response) => return Ok(response),
                Err(Missed::Untouched(untouched, error)) => (*untouched, error),
                Err(Missed::Lost(UpstreamError::Timeout)) => return Err(UpstreamError::Timeout),
                Err(Missed::Lost(error)) => match &again {
                    Some(head) => (Request::from_parts(head.clone(), Passing::nothing()), error),
                    None => return Err(error),
                },
            };
        }
        Err(missed)
    }

    /// Asks over a connection of its own whether an upstream is there at all.
    pub(crate) async fn try_out(
        self: &Arc<Self>,
        group: &Group,
        member: &Arc<Member>,
        request: Request<Onward>,
        patience: Duration,
    ) -> Result<Response<Answering>, UpstreamError> {
        let mut deadline = Deadline::new(patience, request.body().watch());
        let asked = match group.protocol {
            UpstreamProtocol::Http1 => self.over_new_http1((group, member), request, &mut deadline).await,
            UpstreamProtocol::Http2 => self.over_http2((group, member), request, &mut deadline).await,
        };
        asked.map_err(|missed| match missed {
            Missed::Untouched(_, error) | Missed::Lost(error) => error,
        })
    }

    async fn over_http1(
        self: &Arc<Self>,
        (group, member): (&Group, &Arc<Member>),
        mut request: Request<Onward>,
        deadline: &mut Deadline,
    ) -> Result<Response<Answering>, Missed> {
        while let Some(mut open) = self.take(member) {
            match open.ask(request, deadline).await.map_err(Missed::Lost)? {
                Ok(response) => return Ok(self.lend((group, member), open, response, deadline)),
                Err(mut error) => match error.take_message() {
                    Some(untouched) => request = untouched,
                    None => return Err(Missed::Lost(UpstreamError::Request(error.into_error()))),
                },
            }
        }
        self.over_new_http1((group, member), request, deadline).await
    }

    async fn over_new_http1(
        self: &Arc<Self>,
        (group, member): (&Group, &Arc<Member>),
        request: Request<Onward>,
        deadline: &mut Deadline,
    ) -> Result<Response<Answering>, Missed> {
        let mut open = match self.connect(member, deadline.end()).await {
            Ok(open) => open,
            Err(error) => return Err(Missed::Untouched(Box::new(request), error)),
        };
        match open.ask(request, deadline).await.map_err(Missed::Lost)? {
            Ok(response) => Ok(self.lend((group, member), open, response, deadline)),
            Err(mut error) => Err(match error.take_message() {
                Some(untouched) => {
                    Missed::Untouched(Box::new(untouched), UpstreamError::Request(error.into_error()))
                }
                None => Missed::Lost(UpstreamError::Request(error.into_error())),
            }),
        }
    }

    async fn over_http2(
        &self,
        (group, member): (&Group, &Arc<Member>),
        request: Request<Onward>,
        deadline: &mut Deadline,
    ) -> Result<Response<Answering>, Missed> {
        let Some(Kept { multiplexed, .. }) = self.kept.get(member.index) else {
            return Err(Missed::Lost(UpstreamError::NoneWell));
        };
        let generation = member.generation();
        let found = match multiplexed.free(generation) {
            Some(found) => found,
            None => match self.connect_http2(member, multiplexed, deadline.end()).await {
                Ok(found) => found,
                Err(error) => return Err(Missed::Untouched(Box::new(request), error)),
            },
        };
        let (mut sender, stream) = found;
        let mut answer = std::pin::pin!(sender.try_send_request(request));
        let answered = loop {
            match timeout_at(deadline.end(), answer.as_mut()).await {
                Ok(answered) => break answered,
                Err(_elapsed) if deadline.is_over() => return Err(Missed::Lost(UpstreamError::Timeout)),
                Err(_elapsed) => {}
            }
        };
        match answered {
            Ok(response) => {
                Ok(response.map(|body| Answering::over_stream(body, stream, group.timeouts.idle)))
            }
            Err(mut error) => Err(match error.take_message() {
                Some(untouched) => {
                    Missed::Untouched(Box::new(untouched), UpstreamError::Request(error.into_error()))
                }
                None => Missed::Lost(UpstreamError::Request(error.into_error())),
            }),
        }
    }

    /// The connection that was used last: the others may end. One of old credentials ends here.
    fn take(&self, member: &Member) -> Option<Open> {
        let mut idle = self.kept.get(member.index)?.idle.lock();
        if member.tls.is_some() {
            let generation = member.generation();
            idle.retain(|one| one.generation == generation);
        }
        idle.pop()
    }

    async fn connect(&self, member: &Member, end: Instant) -> Result<Open, UpstreamError> {
        let connecting = timeout_at(end, self.dialer.http1(member, end)).await;
        noted(member, connecting.unwrap_or(Err(UpstreamError::Timeout)))
    }

    async fn connect_http2(
        &self,
        member: &Member,
        multiplexed: &Multiplexed,
        end: Instant,
    ) -> Result<super::multiplexed::Found, UpstreamError> {
        let connecting = async {
            let _turn = multiplexed.turn.lock().await;
            let generation = member.generation();
            if let Some(found) = multiplexed.free(generation) {
                return Ok(found);
            }
            noted(member, self.dialer.http2(member, multiplexed).await)?;
            multiplexed.free(member.generation()).ok_or(UpstreamError::NoneWell)
        };
        timeout_at(end, connecting).await.unwrap_or(Err(UpstreamError::Timeout))
    }

    fn lend(
        self: &Arc<Self>,
        (group, member): (&Group, &Arc<Member>),
        open: Open,
        response: Response<Incoming>,
        deadline: &Deadline,
    ) -> Response<Answering> {
        let mut line = Line { upstreams: Arc::downgrade(self), member: Arc::clone(member), open: Some(open) };
        if deadline.is_sending() {
            line.run_alone(Patience::Endless);
        }
        response.map(|body| Answering::over_line(body, line, group.timeouts.idle))
    }

    pub(crate) fn keep(&self, member: &Member, mut open: Open) {
        open.since = Instant::now();
        if let Some(kept) = self.kept.get(member.index) {
            kept.idle.lock().push(open);
        }
    }
}

/// Tells the member whether it was reached.
fn noted<T>(member: &Member, connected: Result<T, UpstreamError>) -> Result<T, UpstreamError> {
    match &connected {
        Ok(_connection) => member.was_reached(),
        Err(_error) => member.was_unreachable(),
    }
    connected
}

/// The head of a request that may be sent again.
fn repeatable(request: &Request<Onward>) -> Option<request::Parts> {
    let is_idempotent = matches!(
        *request.method(),
        Method::GET | Method::HEAD | Method::OPTIONS | Method::PUT | Method::DELETE
    );
    if !is_idempotent || !http_body::Body::is_end_stream(request.body()) {
        return None;
    }
    let mut head = Request::new(()).into_parts().0;
    head.method = request.method().clone();
    head.uri = request.uri().clone();
    head.version = request.version();
    head.headers = request.headers().clone();
    Some(head)
}

/// Closes what nobody has used for a while or the upstream has closed, as long as there is a worker.
async fn let_go(upstreams: Weak<Upstreams>) {
    let mut ticks = interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(upstreams) = upstreams.upgrade() else { return };
        for kept in &upstreams.kept {
            let is_good =
                |one: &mut Open| one.since.elapsed() < KEPT_IDLE && one.settle() == Readiness::Ready;
            kept.idle.lock().retain_mut(is_good);
            kept.multiplexed.let_go();
        }
    }
}
