//! The listener for plain HTTP that leads to the door.

use std::io::ErrorKind;
use std::net::SocketAddr;

use anyhow::Context as _;
use countersign_edge::{DoorError, Redirect, RedirectConfig};
use countersign_supervisor::Sockets;

use super::listening::REDIRECT;
use crate::config::{self, PublicName, Resolved};

/// Opens it, if it is wanted and there is a door to lead to.
///
/// # Errors
/// When it cannot listen, unless its address is another program's: then it stays closed, as a door does.
pub(super) fn open(
    config: &Resolved,
    door: Option<SocketAddr>,
    sockets: &mut Sockets,
) -> anyhow::Result<Option<Redirect>> {
    let (Some(wanted), Some(door)) = (config.redirect, door) else { return Ok(None) };
    let settings = settings(config, wanted, door.port());
    match Redirect::start(settings, sockets.take(REDIRECT, wanted.listen)) {
        Ok(redirect) => Ok(Some(redirect)),
        Err(DoorError::Listen { address, source }) if source.kind() == ErrorKind::AddrInUse => {
            tracing::warn!(%address, "port taken, redirect stays closed");
            Ok(None)
        }
        Err(error) => Err(error).context("open the redirect"),
    }
}

/// Where it leads to; `port` is the door's own.
pub(super) fn settings(config: &Resolved, wanted: config::Redirect, port: u16) -> RedirectConfig {
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
