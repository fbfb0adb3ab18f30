//! Pebble, Let's Encrypt's own ACME server for tests, with the resolver that it asks.

use std::net::{TcpListener, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use countersign_testkit::TestCa;
use serde_json::json;
use tempfile::TempDir;

use super::waiting::until;

/// A public CA that sees every name on this machine. It ends with this.
pub(crate) struct Pebble {
    folder: TempDir,
    processes: Vec<Child>,
    port: u16,
}

impl Drop for Pebble {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A port that nobody has, over TCP and UDP.
pub(crate) fn free_port() -> u16 {
    loop {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        if UdpSocket::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

impl Pebble {
    /// Starts it: it looks at names on `http_port`, and its certificates last for so many seconds. It issues
    /// nothing for `blocked.example`.
    pub(crate) async fn start(http_port: u16, seconds: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (port, management, dns, resolver) = (free_port(), free_port(), free_port(), free_port());
        let ca = TestCa::new("pebble.example");
        let server = ca.server(&["localhost"]);
        for (file, text) in
            [("root.pem", ca.root_pem()), ("server.pem", server.chain_pem()), ("key.pem", server.key_pem())]
        {
            fs_err::write(folder.path().join(file), text).unwrap();
        }
        let config = json!({ "pebble": {
            "listenAddress": format!("127.0.0.1:{port}"),
            "managementListenAddress": format!("127.0.0.1:{management}"),
            "certificate": "server.pem",
            "privateKey": "key.pem",
            "httpPort": http_port,
            "tlsPort": free_port(),
            "ocspResponderURL": "",
            "externalAccountBindingRequired": false,
            "certificateValidityPeriod": seconds,
            "domainBlocklist": ["blocked.example"],
        }});
        fs_err::write(folder.path().join("config.json"), config.to_string()).unwrap();
        let resolve = format!(
            "-dns01 127.0.0.1:{dns} -http01= -https01= -tlsalpn01= -management 127.0.0.1:{resolver} -defaultIPv4 127.0.0.1 -defaultIPv6="
        );
        let serve = format!("-config config.json -strict -dnsserver 127.0.0.1:{dns}");
        let processes = vec![
            spawn(folder.path(), "pebble-challtestsrv", &resolve),
            spawn(folder.path(), "pebble", &serve),
        ];
        let pebble = Self { folder, processes, port };
        until("pebble listens", async || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()).await;
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
        format!("https://localhost:{}/dir", self.port)
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
