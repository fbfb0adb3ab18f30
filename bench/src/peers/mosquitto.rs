//! Mosquitto: the broker behind the MQTT door and behind HAProxy, and a peer with a TLS listener of its own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::Peer;
use crate::process::{Process, find, free_address};
use crate::site::Site;

/// Version and TLS library, from what `mosquitto -h` says and Debian builds it with.
pub(super) fn version(said: &str) -> String {
    let version = said.lines().find_map(|line| line.strip_prefix("mosquitto version "));
    format!("{} (OpenSSL)", version.map_or("?", str::trim))
}

/// A running broker.
#[derive(Debug)]
pub(crate) struct Broker {
    pub(crate) process: Process,
    /// The Unix socket at which doors reach it.
    pub(crate) socket: PathBuf,
    /// Where devices reach it themselves, with a certificate.
    pub(crate) tls: SocketAddr,
}

impl Broker {
    /// Starts one; `None` when it is not installed.
    pub(crate) async fn start(site: &Site) -> anyhow::Result<Option<Self>> {
        let Some(program) = find("mosquitto", &site.path) else { return Ok(None) };
        let tls = free_address()?;
        let folder = site.folder.join("mosquitto");
        fs_err::create_dir_all(&folder).context("make a folder")?;
        let file = folder.join("mosquitto.conf");
        let socket = folder.join("door.sock");
        fs_err::write(&file, configuration(site, &socket, tls)).context("write a configuration")?;
        let line = [program.display().to_string(), "-c".to_owned(), file.display().to_string()];
        let mut process =
            Process::start(Peer::Mosquitto.name(), &site.cores.server_prefix(), &line, &folder)?;
        process.until_it_listens(tls).await?;
        Ok(Some(Self { process, socket, tls }))
    }
}

/// As the guides have it, on the suite that all servers are measured with. It runs as whoever starts it, so that
/// it can read its key.
fn configuration(site: &Site, socket: &Path, tls: SocketAddr) -> String {
    format!(
        "user root
log_dest stderr
log_type error
per_listener_settings true
set_tcp_nodelay true
listener 0 {socket}
allow_anonymous true
listener {tls_port} 127.0.0.1
allow_anonymous true
certfile {chain}
keyfile {key}
cafile {cas}
require_certificate true
use_subject_as_username true
ciphers_tls1.3 TLS_AES_128_GCM_SHA256
max_connections -1
",
        socket = socket.display(),
        tls_port = tls.port(),
        chain = site.server_chain().display(),
        key = site.server_key().display(),
        cas = site.device_cas().display(),
    )
}
