//! The near end of a tunnel: listens on this machine, and gives whoever connects the identity of a
//! certificate that they never see.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use countersign_core::ids::SpkiSha256;
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tracing::{debug, error, info, warn};

use super::address::Destination;
use super::http;
use super::listen::{Accepted, ForwardListen, ListenError, Listener};
use super::source::{SourceError, TlsSource};
use super::splice::{SpliceLimits, Traffic, splice};
use super::status::{ForwardStatus, Status};
use crate::client::ConnectError;
use crate::stream::ClientStream;

/// How long a door that is away may take to come back before whoever waits for it is let go.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long between two tries.
const PAUSE: Duration = Duration::from_millis(200);
/// How long is waited when the system has no more file descriptors.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(50);

/// What goes through a tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Cargo {
    /// Bytes, as they come.
    #[default]
    Bytes,
    /// HTTP/1.1: each request is told the door's host, and what a web page could have sent is refused.
    Http,
}

/// What a forward is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForwardConfig {
    /// Where it listens.
    pub listen: ForwardListen,
    /// Where it leads.
    pub to: Destination,
    /// What goes through it.
    pub cargo: Cargo,
    /// How long a session may last.
    pub limits: SpliceLimits,
    /// How many sessions it holds; further ones wait.
    pub most: usize,
}

impl ForwardConfig {
    /// Bytes from here to there, for as long as both sides wish.
    #[must_use]
    pub fn new(listen: ForwardListen, to: Destination) -> Self {
        Self { listen, to, cargo: Cargo::Bytes, limits: SpliceLimits::default(), most: 4096 }
    }
}

/// Why somebody who connected was let go.
#[derive(Debug, Error)]
pub(super) enum ReachError {
    #[error("prepare TLS")]
    Source(#[from] SourceError),
    #[error("reach the door")]
    Connect(#[from] ConnectError),
}

/// A listener that gives whoever connects an identity.
#[derive(Debug)]
pub struct Forward {
    listener: Listener,
    shared: Arc<Shared>,
}

/// What the sessions of a forward have in common.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) config: ForwardConfig,
    source: Arc<TlsSource>,
    pub(super) status: Arc<Status>,
}

impl Forward {
    /// Binds the listener: connections are taken from now on, and served once it [runs](Self::run).
    ///
    /// # Errors
    /// When its address is taken or cannot be bound.
    pub async fn bind(config: ForwardConfig, source: Arc<TlsSource>) -> Result<Self, ListenError> {
        let listener = Listener::bind(&config.listen).await?;
        let status = Arc::new(Status::new(listener.name(), config.to.to_string()));
        Ok(Self { listener, shared: Arc::new(Shared { config, source, status }) })
    }

    /// Where it listens: an address with the port that was taken, or `unix:` and a path.
    #[must_use]
    pub fn listens_at(&self) -> String {
        self.listener.name()
    }

    /// How it gets on, to be asked at any time.
    #[must_use]
    pub fn watch(&self) -> ForwardWatch {
        ForwardWatch(Arc::clone(&self.shared.status))
    }

    /// Serves whoever connects, for ever. Dropping it cuts every session.
    pub async fn run(self) {
        let Self { listener, shared } = self;
        let room = Arc::new(Semaphore::new(shared.config.most));
        let mut sessions = JoinSet::new();
        loop {
            let Ok(place) = Arc::clone(&room).acquire_owned().await else { return };
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                Some(_ended) = sessions.join_next() => continue,
            };
            match accepted {
                Ok(local) => {
                    let shared = Arc::clone(&shared);
                    sessions.spawn(async move {
                        shared.serve(local).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    warn!(%error, "connection not accepted");
                    sleep_until(Instant::now() + EXHAUSTED_PAUSE).await;
                }
            }
        }
    }
}

/// How a forward gets on.
#[derive(Clone, Debug)]
pub struct ForwardWatch(Arc<Status>);

impl ForwardWatch {
    /// At this moment.
    #[must_use]
    pub fn now(&self) -> ForwardStatus {
        self.0.now()
    }
}

impl Shared {
    async fn serve(self: Arc<Self>, mut local: Accepted) {
        self.status.opened();
        let (began, traffic) = (Instant::now(), Traffic::default());
        let end = match self.config.cargo {
            Cargo::Http => {
                http::serve(local, Arc::clone(&self), &traffic).await;
                "closed"
            }
            Cargo::Bytes => match self.reach().await {
                Ok(mut door) => splice(&mut local, &mut door, self.config.limits, &traffic).await.as_str(),
                // Closing is all that can be said: what is spoken here is not known.
                Err(_told) => "unreachable",
            },
        };
        self.status.ended(&traffic);
        info!(
            listen = self.status.listen,
            to = %self.config.to,
            milliseconds = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
            sent = traffic.forth(),
            received = traffic.back(),
            end,
            "forwarded session ended"
        );
    }

    /// A connection to the door. A door that is away is waited for a while; one that is not the right one
    /// is not.
    pub(super) async fn reach(&self) -> Result<ClientStream<TcpStream>, ReachError> {
        let end = Instant::now() + PATIENCE;
        loop {
            let error = match self.try_reach().await {
                Ok(stream) => {
                    self.status.reached();
                    return Ok(stream);
                }
                Err(error) => error,
            };
            let is_away = matches!(error, ReachError::Connect(ConnectError::Tcp { .. }));
            if is_away && Instant::now() < end {
                debug!(to = %self.config.to, %error, "door away, trying again");
                sleep_until(Instant::now() + PAUSE).await;
                continue;
            }
            self.tell(&error);
            return Err(error);
        }
    }

    async fn try_reach(&self) -> Result<ClientStream<TcpStream>, ReachError> {
        let Destination { host, port, server_name } = &self.config.to;
        let tls = self.source.current()?;
        let tls = if self.config.cargo == Cargo::Http { tls.with_protocols(&[b"http/1.1"]) } else { tls };
        let away = |source| ConnectError::Tcp { address: self.config.to.to_string(), source };
        let connecting = async {
            let io = TcpStream::connect((host.as_str(), *port)).await.map_err(away)?;
            io.set_nodelay(true).map_err(away)?;
            tls.handshake(server_name, io).await
        };
        let late = |_elapsed| away(io::ErrorKind::TimedOut.into());
        Ok(tokio::time::timeout(PATIENCE, connecting).await.map_err(late)??)
    }

    fn tell(&self, failure: &ReachError) {
        let reason = std::error::Error::source(failure).map(ToString::to_string).unwrap_or_default();
        if let ReachError::Connect(ConnectError::KeyMismatch { got }) = failure {
            self.status.key_changed(*got);
            return error!(to = %self.config.to, got = %got, "the door's key is not the pinned one, nothing was sent to it");
        }
        self.status.failed(&format!("{failure}: {reason}"));
        warn!(to = %self.config.to, error = %failure, reason, "door out of reach");
    }
}

/// A key that is not the pinned one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyChange {
    /// The key that was shown.
    pub got: SpkiSha256,
    /// How often.
    pub times: u64,
}
