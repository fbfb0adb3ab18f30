//! `[traces]`: where spans of requests go.

use std::num::NonZeroU32;
use std::path::PathBuf;

use serde::Deserialize;

use super::names::HttpUrl;
use super::pick::{Layers, Picker};
use super::raw::Place;
use super::resolve::number;
use super::settings::{Setting, Shown};

/// How many requests there are for one that is traced, unless it is said.
const ONE_IN: u64 = 100;

/// `[traces]` as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawTraces {
    pub(super) otlp: Place<String>,
    pub(super) one_in: Place<u64>,
    pub(super) ca_file: Place<String>,
}

/// Where spans of requests go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TracesSettings {
    /// The collector.
    pub(crate) otlp: HttpUrl,
    /// How many requests there are for one that is traced.
    pub(crate) one_in: NonZeroU32,
    /// The roots that the collector is trusted by, PEM; the system's, when absent.
    pub(crate) ca_file: Option<PathBuf>,
}

/// Where spans go, if anywhere.
pub(super) fn traces(pick: &mut Picker<'_>, raw: RawTraces) -> Option<TracesSettings> {
    // Spans say who asked for what.
    let otlp =
        pick.optional(Layers::new("traces.otlp", raw.otlp), |text: String| HttpUrl::confidential(&text));
    let one_in = number(pick, Layers::new("traces.one_in", raw.one_in), 1, ONE_IN);
    let ca_file = pick.file(Layers::new("traces.ca_file", raw.ca_file)).map(|(path, _)| path);
    let one_in = u32::try_from(one_in).ok().and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MAX);
    otlp.map(|(otlp, _)| TracesSettings { otlp, one_in, ca_file })
}

/// The settings in words.
pub(super) const SETTINGS: &[Setting] = &[
    Setting::new(
        "traces.otlp",
        "",
        "\"http://127.0.0.1:4318\"",
        Shown::Example,
        "Where spans of requests to the HTTP door go: an OpenTelemetry collector that takes OTLP over HTTP, in JSON.\nDefault: nowhere, and no request is traced.",
    ),
    Setting::new(
        "traces.one_in",
        "",
        "100",
        Shown::Default,
        "How many requests there are for one that is traced, by chance; 1 traces all.",
    ),
    Setting::new(
        "traces.ca_file",
        "",
        "\"collector-root.pem\"",
        Shown::Example,
        "Roots that the collector is trusted by, PEM. Default: the system's.",
    ),
];

#[cfg(test)]
mod tests {
    use super::super::problem::ConfigError;
    use super::super::reading::read;

    #[test]
    fn they_go_nowhere_unless_a_collector_is_given() {
        assert_eq!(read("[traces]\none_in = 5\n").unwrap().resolved.traces, None);
        let given = read("[traces]\notlp = \"https://traces.example.com/otlp\"\n").unwrap();
        assert_eq!(given.resolved.traces.unwrap().one_in.get(), 100);
    }

    #[test]
    fn every_mistake_is_reported() {
        for (text, said) in [
            ("otlp = \"http://traces.example.com\"", "traces.otlp: plain HTTP leaves this machine"),
            ("otlp = \"127.0.0.1:4318\"", "traces.otlp: "),
            ("one_in = 0", "traces.one_in: "),
        ] {
            let Err(ConfigError::Problems(problems)) = read(&format!("[traces]\n{text}\n")) else {
                panic!("not refused: {text}")
            };
            let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
            assert!(problems.iter().any(|problem| problem.contains(said)), "{said}: {problems:?}");
        }
    }
}
