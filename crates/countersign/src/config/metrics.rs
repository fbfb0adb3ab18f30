//! `[metrics]`: a listener of its own for Prometheus.

use std::net::SocketAddr;

use serde::Deserialize;

use super::pick::{Layers, Picker};
use super::raw::Place;
use super::settings::{Setting, Shown};

/// `[metrics]` as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawMetrics {
    pub(super) listen: Place<String>,
}

/// Where metrics are served to whoever asks, if anywhere.
pub(super) fn metrics(pick: &mut Picker<'_>, raw: RawMetrics) -> Option<SocketAddr> {
    let listen = Layers::new("metrics.listen", raw.listen);
    let read = |text: String| {
        text.parse::<SocketAddr>()
            .map_err(|_invalid| format!("not an address and port, such as 127.0.0.1:9464: {text:?}"))
    };
    pick.optional(listen, read).map(|(address, _)| address)
}

/// The setting in words.
pub(super) const SETTINGS: &[Setting] = &[Setting::new(
    "metrics.listen",
    "",
    "\"127.0.0.1:9464\"",
    Shown::Example,
    "Where metrics are served to Prometheus, and /health and /health/ready to who looks after the process,\nwithout a token: keep it to a network that may see them. The admin listener serves them too, metrics to\ntokens with the scope metrics:read. Default: there alone.",
)];

#[cfg(test)]
mod tests {
    use super::super::problem::ConfigError;
    use super::super::reading::read;

    #[test]
    fn it_is_nowhere_unless_an_address_is_given() {
        assert_eq!(read("").unwrap().resolved.metrics, None);
        let found = read("[metrics]\nlisten = \"127.0.0.1:9464\"\n").unwrap().resolved.metrics;
        assert_eq!(found, "127.0.0.1:9464".parse().ok());
        let Err(ConfigError::Problems(problems)) = read("[metrics]\nlisten = \"9464\"\n") else { panic!() };
        assert!(problems.iter().any(|one| one.to_string().contains("metrics.listen: not an address")));
    }
}
