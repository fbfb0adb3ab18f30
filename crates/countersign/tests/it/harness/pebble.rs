//! Pebble, Let's Encrypt's own ACME server for tests, with the resolver that it asks.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use countersign_testkit::{TestCa, vacant_address};
use serde_json::json;
use tempfile::TempDir;

use super::waiting::until;

/// A public CA that sees every name on this machine. It ends with this.
pub(crate) struct Pebble {
    folder: TempDir,
    processes: Vec<Child>,
    address: SocketAddr,
}

impl Drop for Pebble {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Pebble {
    /// Starts it: it looks at names at the address `http` over HTTP, and its certificates last for so many
    /// seconds. It issues nothing for `blocked.example`.
    pub(crate) async fn start(http: SocketAddr, seconds: u32) -> Self {
        Self::looking(http, vacant_address(), seconds).await
    }

    /// The same, looking over TLS, at the port of `tls`.
    pub(crate) async fn start_over_tls(tls: SocketAddr, seconds: u32) -> Self {
        Self::looking(SocketAddr::new(tls.ip(), vacant_address().port()), tls, seconds).await
    }

    async fn looking(http: SocketAddr, tls: SocketAddr, seconds: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (address, management, dns, resolver) =
            (vacant_address(), vacant_address(), vacant_address(), vacant_address());
        let ca = TestCa::new("pebble.example");
        let server = ca.server(&[&address.ip().to_string()]);
        for (file, text) in
            [("root.pem", ca.root_pem()), ("server.pem", server.chain_pem()), ("key.pem", server.key_pem())]
        {
            fs_err::write(folder.path().join(file), text).unwrap();
        }
        let config = json!({ "pebble": {
            "listenAddress": address.to_string(),
            "managementListenAddress": management.to_string(),
            "certificate": "server.pem",
            "privateKey": "key.pem",
            "httpPort": http.port(),
            "tlsPort": tls.port(),
            "ocspResponderURL": "",
            "externalAccountBindingRequired": false,
            "certificateValidityPeriod": seconds,
            "domainBlocklist": ["blocked.example"],
        }});
        fs_err::write(folder.path().join("config.json"), config.to_string()).unwrap();
        let resolve = format!(
            "-dns01 {dns} -http01= -https01= -tlsalpn01= -management {resolver} -defaultIPv4 {} -defaultIPv6=",
            http.ip()
        );
        let serve = format!("-config config.json -strict -dnsserver {dns}");
        let processes = vec![
            spawn(folder.path(), "pebble-challtestsrv", &resolve),
            spawn(folder.path(), "pebble", &serve),
        ];
        let pebble = Self { folder, processes, address };
        until("pebble listens", async || std::net::TcpStream::connect(address).is_ok()).await;
        pebble
    }

    /// Ends it; what it was trusted by stays.
    pub(crate) fn stop(&mut self) {
        for process in &mut self.processes {
            let _gone = process.kill();
            let _ended = process.wait();
        }
    }

    /// Its directory.
    pub(crate) fn directory(&self) -> String {
        format!("https://{}/dir", self.address)
    }

    /// The root that it is trusted by as a server.
    pub(crate) fn root(&self) -> String {
        self.folder.path().join("root.pem").display().to_string()
    }
}

fn spawn(folder: &Path, program: &str, arguments: &str) -> Child {
    Command::new(program)
        .args(arguments.split(' '))
        .current_dir(folder)
        .env("PEBBLE_VA_NOSLEEP", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}
