//! What the listeners of a process are called when their sockets are handed over.

use std::os::fd::OwnedFd;

/// The admin listener.
pub(crate) const ADMIN: &str = "admin";
/// The HTTP door.
pub(super) const HTTP_DOOR: &str = "http-door";
/// The MQTT door.
pub(super) const MQTT_DOOR: &str = "mqtt-door";
/// Its listener for tokens.
pub(super) const MQTT_TOKENS: &str = "mqtt-tokens";
/// The listeners through which local services reach upstreams.
pub(super) const EGRESS: &str = "egress";
/// The listener for plain HTTP that leads there.
pub(super) const REDIRECT: &str = "redirect";

/// A TCP door.
pub(super) fn tcp_door(name: &(impl std::fmt::Display + ?Sized)) -> String {
    format!("tcp-door-{name}")
}

/// Each socket with the listener's name.
pub(super) fn named<S: Into<OwnedFd>>(
    name: &str,
    sockets: Vec<S>,
) -> impl Iterator<Item = (String, OwnedFd)> + use<'_, S> {
    sockets.into_iter().map(move |socket| (name.to_owned(), socket.into()))
}
