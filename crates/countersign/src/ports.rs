//! The ports file: how scripts that asked for port 0 learn where the listeners are, and that
//! everything is ready.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

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
    /// That of its listener for tokens, if it is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) mqtt_tokens: Option<u16>,
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

/// Names other TCP doors in a ports file, and leaves the rest of it.
pub(crate) fn rewrite_tcp_doors(path: &Path, doors: Vec<(String, SocketAddr)>) -> anyhow::Result<()> {
    let text = fs_err::read_to_string(path).context("read the ports file")?;
    let mut ports: Map<String, Value> = serde_json::from_str(&text).context("understand the ports file")?;
    let doors: Map<_, _> = doors.into_iter().map(|(name, at)| (name, at.port().into())).collect();
    if doors.is_empty() {
        ports.remove("tcpDoors");
    } else {
        ports.insert("tcpDoors".to_owned(), doors.into());
    }
    write(&ports, path)
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
    /// That of its listener for tokens, if it is open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) mqtt_tokens: Option<u16>,
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
        let mut ports =
            Ports { admin: 8080, http_door: Some(8443), tcp_doors: none, mqtt_door: None, mqtt_tokens: None };
        ports.write(&path).unwrap();
        assert_eq!(fs_err::read_to_string(&path).unwrap(), "{\"admin\":8080,\"httpDoor\":8443}\n");
        assert_eq!(Ports::read(&path).unwrap(), ports);
        ports.tcp_doors.insert("postgres".to_owned(), 6432);
        ports.mqtt_door = Some(8883);
        ports.write(&path).unwrap();
        assert_eq!(Ports::read(&path).unwrap(), ports);
        rewrite_tcp_doors(&path, vec![("other".to_owned(), ([127, 0, 0, 1], 7432).into())]).unwrap();
        ports.tcp_doors = BTreeMap::from([("other".to_owned(), 7432)]);
        assert_eq!(Ports::read(&path).unwrap(), ports);
        rewrite_tcp_doors(&path, Vec::new()).unwrap();
        assert!(Ports::read(&path).unwrap().tcp_doors.is_empty());
        assert_eq!(fs_err::read_dir(folder.path()).unwrap().count(), 1);
    }
}
