//! The ports file: how scripts that asked for port 0 learn where the listeners are, and that
//! everything is ready.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

/// The ports of the listeners.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Ports {
    /// The admin listener's.
    pub(crate) admin: u16,
    /// The HTTP door's, if it is open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) http_door: Option<u16>,
    /// Those of the TCP doors that are open, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) tcp_doors: BTreeMap<String, u16>,
    /// The MQTT door's, if it is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) mqtt_door: Option<u16>,
}

impl Ports {
    /// Writes the file at once: a reader sees the whole of it or none of it.
    pub(crate) fn write(&self, path: &Path) -> anyhow::Result<()> {
        write(self, path)
    }

    /// Reads the file.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let text = fs_err::read_to_string(path).context("read the ports file")?;
        serde_json::from_str(&text).with_context(|| format!("understand the ports file {}", path.display()))
    }
}

fn write(ports: &impl Serialize, path: &Path) -> anyhow::Result<()> {
    let text = serde_json::to_string(ports).context("write the ports as JSON")?;
    let mut name = path.file_name().context("name the ports file")?.to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let beside = path.with_file_name(name);
    let mut file = fs_err::File::create(&beside).context("create the ports file")?;
    file.write_all(format!("{text}\n").as_bytes()).context("write the ports file")?;
    file.sync_all().context("write the ports file")?;
    fs_err::rename(&beside, path).context("put the ports file in place")
}

/// The ports of an edge.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EdgePorts {
    /// The HTTP door's, if it is open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) http_door: Option<u16>,
    /// Those of the TCP doors that are open, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) tcp_doors: BTreeMap<String, u16>,
    /// The MQTT door's, if it is open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) mqtt_door: Option<u16>,
}

impl EdgePorts {
    /// Writes the file at once, as [`Ports::write`] does.
    pub(crate) fn write(&self, path: &Path) -> anyhow::Result<()> {
        write(self, path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back_and_nothing_else_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ports.json");
        let none = BTreeMap::new();
        let mut ports = Ports { admin: 8080, http_door: Some(8443), tcp_doors: none, mqtt_door: None };
        ports.write(&path).unwrap();
        assert_eq!(fs_err::read_to_string(&path).unwrap(), "{\"admin\":8080,\"httpDoor\":8443}\n");
        assert_eq!(Ports::read(&path).unwrap(), ports);
        ports.tcp_doors.insert("postgres".to_owned(), 6432);
        ports.mqtt_door = Some(8883);
        ports.write(&path).unwrap();
        assert_eq!(Ports::read(&path).unwrap(), ports);
        assert_eq!(fs_err::read_dir(folder.path()).unwrap().count(), 1);
    }
}
