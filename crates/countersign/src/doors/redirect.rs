//! The listener for plain HTTP that leads to the door: it can come, go and move while the process runs.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use anyhow::Context as _;
use countersign_edge::{DoorError, HttpChallenges, Redirect, RedirectChanges, RedirectConfig};
use countersign_supervisor::Sockets;
use parking_lot::Mutex;

use super::listening::{self, REDIRECT};
use crate::config::{self, PublicName, Resolved};

/// The one of a process. Clones are the same.
#[derive(Clone, Debug)]
pub(super) struct Leading(Arc<LeadingParts>);

#[derive(Debug)]
struct LeadingParts {
    /// The door's port; without a door there is nowhere to lead to.
    port: Option<u16>,
    challenges: HttpChallenges,
    open: Mutex<Option<(SocketAddr, Redirect)>>,
}

/// A change that was found to be right; dropped, it changes nothing.
#[derive(Debug)]
pub(super) struct PreparedRedirect {
    leading: Leading,
    change: Change,
}

#[derive(Debug)]
enum Change {
    /// It leads elsewhere.
    Settings(RedirectChanges, RedirectConfig),
    /// It listens elsewhere, with the sockets for it, or for the first time.
    Open(SocketAddr, RedirectConfig, Vec<TcpListener>),
    /// There is none.
    Close,
}

impl Leading {
    /// Opens it, if it is wanted and there is a door to lead to.
    ///
    /// # Errors
    /// When it cannot listen, unless its address is another program's: then it stays closed, as a door does.
    pub(super) fn open(
        config: &Resolved,
        door: Option<SocketAddr>,
        sockets: &mut Sockets,
    ) -> anyhow::Result<Self> {
        let port = door.map(|door| door.port());
        let parts = LeadingParts { port, challenges: HttpChallenges::default(), open: Mutex::default() };
        let leading = Self(Arc::new(parts));
        let (Some(wanted), Some(port)) = (config.redirect, port) else { return Ok(leading) };
        let here = sockets.take(REDIRECT, wanted.listen);
        match Redirect::start(settings(config, wanted, port), leading.challenges(), here) {
            Ok(redirect) => *leading.0.open.lock() = Some((wanted.listen, redirect)),
            Err(DoorError::Listen { address, source }) if source.kind() == ErrorKind::AddrInUse => {
                tracing::warn!(%address, "port taken, redirect stays closed");
            }
            Err(error) => return Err(error).context("open the redirect"),
        }
        Ok(leading)
    }

    /// What it answers CAs that look whose a name is.
    pub(super) fn challenges(&self) -> HttpChallenges {
        self.0.challenges.clone()
    }

    /// Whether anybody can ask.
    pub(super) fn is_open(&self) -> bool {
        self.0.open.lock().is_some()
    }

    /// Checks what it is to become. A new address is taken by this.
    ///
    /// # Errors
    /// Fails closed: when the address cannot be had.
    pub(super) fn prepare(&self, config: &Resolved) -> anyhow::Result<PreparedRedirect> {
        let open = self.0.open.lock();
        let change = match (config.redirect, self.0.port) {
            (Some(wanted), Some(port)) => {
                let settings = settings(config, wanted, port);
                match &*open {
                    Some((listen, redirect)) if *listen == wanted.listen => {
                        Change::Settings(redirect.changes(), settings)
                    }
                    Some(_) | None => {
                        let sockets = Redirect::reserve(&settings).context("open the redirect")?;
                        Change::Open(wanted.listen, settings, sockets)
                    }
                }
            }
            (None, _) | (_, None) => Change::Close,
        };
        Ok(PreparedRedirect { leading: self.clone(), change })
    }

    /// Its sockets once more, by name.
    pub(super) fn sockets(&self) -> io::Result<Vec<(String, OwnedFd)>> {
        match &*self.0.open.lock() {
            Some((_, redirect)) => Ok(listening::named(REDIRECT, redirect.sockets()?).collect()),
            None => Ok(Vec::new()),
        }
    }

    /// The listener, to be closed.
    pub(super) fn take(&self) -> Option<Redirect> {
        self.0.open.lock().take().map(|(_, redirect)| redirect)
    }
}

impl PreparedRedirect {
    /// Puts it in force.
    pub(super) fn publish(self) {
        match self.change {
            Change::Settings(redirect, settings) => redirect.publish(settings),
            Change::Close => self.leading.close(),
            Change::Open(listen, settings, sockets) => {
                self.leading.close();
                match Redirect::start(settings, self.leading.challenges(), sockets) {
                    Ok(redirect) => *self.leading.0.open.lock() = Some((listen, redirect)),
                    Err(error) => tracing::error!(%error, "redirect not opened"),
                }
            }
        }
    }
}

impl Leading {
    fn close(&self) {
        if let Some(redirect) = self.take() {
            tokio::spawn(redirect.close());
        }
    }
}

/// Where it leads to; `port` is the door's own.
fn settings(config: &Resolved, wanted: config::Redirect, port: u16) -> RedirectConfig {
    RedirectConfig {
        listen: wanted.listen,
        hosts: hosts(config),
        https_port: wanted.https_port.unwrap_or(port),
    }
}

/// The hosts that the door serves; the public names, where it serves any.
fn hosts(config: &Resolved) -> Vec<String> {
    let named =
        if config.http_door.hosts.is_empty() { &config.public_names } else { &config.http_door.hosts };
    let of_routes = config.routes.iter().filter_map(|route| route.host.as_ref());
    named.iter().chain(of_routes).map(PublicName::in_url).collect()
}
