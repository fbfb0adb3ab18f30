//! What the listeners of a process are called when their sockets are handed over.

/// The admin listener.
pub(crate) const ADMIN: &str = "admin";
/// The HTTP door.
pub(super) const HTTP_DOOR: &str = "http-door";
/// The MQTT door.
pub(super) const MQTT_DOOR: &str = "mqtt-door";
/// The listener for plain HTTP that leads there.
pub(super) const REDIRECT: &str = "redirect";

/// A TCP door.
pub(super) fn tcp_door(name: &(impl std::fmt::Display + ?Sized)) -> String {
    format!("tcp-door-{name}")
}

/// Each socket with the listener's name.
pub(super) fn named(
    name: &str,
    sockets: Vec<std::net::TcpListener>,
) -> impl Iterator<Item = (String, std::net::TcpListener)> + use<'_> {
    sockets.into_iter().map(move |socket| (name.to_owned(), socket))
}
