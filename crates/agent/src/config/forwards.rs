//! The `forwards` of `agent.yaml` as text.

use countersign_tls::tunnel::{Cargo, Destination, ForwardListen, Reach, pin};
use serde::{Deserialize, Serialize};

use crate::forward::ForwardSettings;

/// One of them.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ForwardDocument {
    listen: String,
    to: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    server_name: Option<String>,
    #[serde(skip_serializing_if = "is_off")]
    http: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pins: Vec<String>,
    #[serde(skip_serializing_if = "is_off")]
    danger_listen_beyond_loopback: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
const fn is_off(switch: &bool) -> bool {
    !*switch
}

impl From<&ForwardSettings> for ForwardDocument {
    fn from(forward: &ForwardSettings) -> Self {
        let ForwardSettings { listen, reach, to, cargo, pins } = forward;
        Self {
            listen: listen.to_string(),
            to: to.to_string(),
            server_name: (to.server_name != to.host).then(|| to.server_name.clone()),
            http: *cargo == Cargo::Http,
            pins: pins.iter().map(ToString::to_string).collect(),
            danger_listen_beyond_loopback: *reach == Reach::DangerBeyondLoopback,
        }
    }
}

impl ForwardDocument {
    /// What it means, or everything that is wrong with it.
    pub(super) fn read(&self) -> Result<ForwardSettings, Vec<String>> {
        let mut problems = Vec::new();
        let mut wrong = |key: &str, error: String| problems.push(format!("forwards.{key}: {error}"));
        let reach =
            if self.danger_listen_beyond_loopback { Reach::DangerBeyondLoopback } else { Reach::Loopback };
        let listen = ForwardListen::parse(&self.listen, reach);
        let listen = listen.map_err(|error| wrong("listen", error.to_string())).ok();
        let to = self.to.parse::<Destination>();
        let to = to.map_err(|error| wrong("to", error.to_string())).ok();
        let pins: Vec<_> = self
            .pins
            .iter()
            .filter_map(|text| pin(text).map_err(|error| wrong("pins", error.to_string())).ok())
            .collect();
        let (Some(listen), Some(to), true) = (listen, to, pins.len() == self.pins.len()) else {
            return Err(problems);
        };
        let cargo = if self.http { Cargo::Http } else { Cargo::Bytes };
        Ok(ForwardSettings { listen, reach, to: to.named(self.server_name.as_deref()), cargo, pins })
    }
}
