//! A listener for plain HTTP that leads to the door: every request is answered 301, and forwarded nowhere;
//! but for those of a CA that looks whose a name is.

use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{info, warn};

use super::challenges::HttpChallenges;
use crate::accept::limits::{Limits, Slots};
use crate::accept::listen::{self, Listeners};
use crate::door::{DoorError, spawn};
use crate::http::host::RequestedHost;

/// How long a client may take for its request, and then for the answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// How much of a request is read.
const HEAD_LIMIT: usize = 16 * 1024;
/// Connections in all and from one address: there is nothing to be had here.
const LIMITS: Limits = Limits { total: 2048, per_address: 128 };
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(50);

/// Where plain HTTP is led to.
#[derive(Clone, Debug)]
pub struct RedirectConfig {
    /// Where it listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The hosts that it leads to, lower case; a request for another one is answered 421. Never empty
    /// for a purpose: a redirect to wherever a client says is of use to nobody else.
    pub hosts: Vec<String>,
    /// The port of the door as clients see it.
    pub https_port: u16,
}

/// A listener that redirects. Dropping it closes it at once.
#[derive(Debug)]
pub struct Redirect {
    address: SocketAddr,
    config: Arc<ArcSwap<RedirectConfig>>,
    listening: Vec<TcpListener>,
    stop: watch::Sender<()>,
    thread: Option<JoinHandle<()>>,
}

/// What of an open redirect can be changed: where it leads to.
#[derive(Clone, Debug)]
pub struct RedirectChanges(Arc<ArcSwap<RedirectConfig>>);

impl RedirectChanges {
    /// Leads there from the next request on. The address stays what it is.
    pub fn publish(&self, config: RedirectConfig) {
        self.0.store(Arc::new(config));
    }
}

impl Redirect {
    /// Takes its address, where connections wait from now on until it is opened on these sockets.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub fn reserve(config: &RedirectConfig) -> Result<Vec<TcpListener>, DoorError> {
        listen::open(&[config.listen], NonZeroUsize::MIN, Vec::new()).map(Listeners::flattened)
    }

    /// Opens the listener, on sockets that were handed over if there are any. `challenges` has what it answers
    /// CAs that look whose a name is.
    ///
    /// # Errors
    /// When the address cannot be bound or the thread not be started.
    pub fn start(
        config: RedirectConfig,
        challenges: HttpChallenges,
        sockets: Vec<TcpListener>,
    ) -> Result<Self, DoorError> {
        let mut listeners = listen::open(&[config.listen], NonZeroUsize::MIN, sockets)?;
        let listening = listeners.again().map_err(|source| DoorError::HandedOver { source })?;
        let address = listeners.addresses.first().copied().unwrap_or(config.listen);
        let sockets = listeners.per_worker.pop().unwrap_or_default();
        let (stop, stopped) = watch::channel(());
        let config = Arc::new(ArcSwap::from_pointee(config));
        let own = Answers { config: Arc::clone(&config), challenges };
        let thread = spawn("redirect".to_owned(), move |runtime| {
            runtime.block_on(serve(sockets, &own, stopped));
        })?;
        info!(%address, "redirect open");
        Ok(Self { address, config, listening, stop, thread: Some(thread) })
    }

    /// Where it listens.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// What of it can be changed while it is open.
    #[must_use]
    pub fn changes(&self) -> RedirectChanges {
        RedirectChanges(Arc::clone(&self.config))
    }

    /// Its sockets once more, for the process that takes this one's place.
    ///
    /// # Errors
    /// When the system has no more file descriptors.
    pub fn sockets(&self) -> io::Result<Vec<TcpListener>> {
        self.listening.iter().map(TcpListener::try_clone).collect()
    }

    /// Closes it; answers under way are cut, which nobody misses who asks again.
    pub async fn close(mut self) {
        let thread = self.thread.take();
        drop((self.stop, self.listening));
        let joined = tokio::task::spawn_blocking(move || thread.map(JoinHandle::join));
        if !matches!(joined.await, Ok(None | Some(Ok(())))) {
            warn!("redirect ended badly");
        }
    }
}

async fn serve(sockets: Vec<TcpListener>, answers: &Answers, mut stopped: watch::Receiver<()>) {
    let slots = Slots::new(LIMITS);
    for socket in sockets {
        tokio::spawn(accept(socket, answers.clone(), slots.clone()));
    }
    // Ends when the handle is gone, and with it the runtime and its tasks.
    while stopped.changed().await.is_ok() {}
}

async fn accept(socket: TcpListener, answers: Answers, slots: Slots) {
    let listener = match tokio::net::TcpListener::from_std(socket) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "listener lost"),
    };
    loop {
        let (stream, address) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                warn!(%error, "connection not accepted");
                sleep_until(Instant::now() + EXHAUSTED_PAUSE).await;
                continue;
            }
        };
        let Some(mut slot) = slots.take() else { continue };
        if slot.occupy(address.ip()).is_err() {
            continue;
        }
        let answers = answers.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request: Request<Incoming>| {
                let answer = answers.to(&request);
                async move { Ok::<_, Infallible>(answer) }
            });
            let mut builder = http1::Builder::new();
            builder.timer(TokioTimer::new()).header_read_timeout(PATIENCE).keep_alive(false);
            let connection = builder.max_buf_size(HEAD_LIMIT).serve_connection(TokioIo::new(stream), service);
            // Whether it ended well or in time is the client's affair.
            drop(timeout(2 * PATIENCE, connection).await);
            drop(slot);
        });
    }
}

/// Where requests are led to, and what CAs are answered.
#[derive(Clone)]
struct Answers {
    config: Arc<ArcSwap<RedirectConfig>>,
    challenges: HttpChallenges,
}

impl Answers {
    fn to<B>(&self, request: &Request<B>) -> Response<Full<Bytes>> {
        let Some(known) = self.challenges.find(request.uri().path()) else {
            return answer(request, &self.config.load());
        };
        let mut response = bare(StatusCode::OK);
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        response.map(|_nothing| Full::from(known))
    }
}

fn answer<B>(request: &Request<B>, config: &RedirectConfig) -> Response<Full<Bytes>> {
    let host = RequestedHost::of(request.uri(), request.headers());
    let Ok(host) = host else { return bare(StatusCode::BAD_REQUEST) };
    if !config.hosts.iter().any(|own| own == host.name()) {
        return bare(StatusCode::MISDIRECTED_REQUEST);
    }
    let port = match config.https_port {
        443 => String::new(),
        port => format!(":{port}"),
    };
    let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
    let target = if target.starts_with('/') { target } else { "/" };
    let location = HeaderValue::from_str(&format!("https://{}{port}{target}", host.name()));
    let Ok(location) = location else { return bare(StatusCode::BAD_REQUEST) };
    let mut response = bare(StatusCode::MOVED_PERMANENTLY);
    response.headers_mut().insert(header::LOCATION, location);
    response
}

fn bare(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(port: u16, target: &str, host: &str) -> (StatusCode, Option<String>) {
        let config = RedirectConfig {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            hosts: vec!["app.example.com".to_owned()],
            https_port: port,
        };
        let request = Request::builder().uri(target).header(header::HOST, host).body(()).unwrap();
        let response = answer(&request, &config);
        let location = response.headers().get(header::LOCATION);
        (response.status(), location.map(|value| value.to_str().unwrap().to_owned()))
    }

    #[test]
    fn leads_to_the_same_place_behind_the_door() {
        let (status, location) = asked(443, "/a/b?c=d", "App.example.com:80");
        assert_eq!((status.as_u16(), location.unwrap().as_str()), (301, "https://app.example.com/a/b?c=d"));
        let (_, location) = asked(8443, "/", "app.example.com");
        assert_eq!(location.unwrap(), "https://app.example.com:8443/");
    }

    #[test]
    fn leads_nowhere_else() {
        for (target, host, status) in [
            ("/", "evil.example", 421),
            ("/", "app.example.com@evil.example", 400),
            ("http://evil.example/", "app.example.com", 400),
            ("http://evil.example/", "evil.example", 421),
        ] {
            assert_eq!(asked(443, target, host), (StatusCode::from_u16(status).unwrap(), None));
        }
        let (_, location) = asked(443, "//evil.example/x", "app.example.com");
        assert_eq!(location.unwrap(), "https://app.example.com//evil.example/x");
    }
}
