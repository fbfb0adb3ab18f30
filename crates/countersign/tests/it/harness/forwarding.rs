//! A program that forwards: the agent's, or `countersign tunnel`.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::installation::Installation;
use super::waiting::eventually;

/// It ends with this.
pub(crate) struct Forwarding {
    process: Child,
    listen: String,
    log: PathBuf,
}

impl Drop for Forwarding {
    fn drop(&mut self) {
        let _gone = self.process.kill();
        let _ended = self.process.wait();
        if std::thread::panicking() {
            let text = format!("--- what the forward logged\n{}---\n", self.log());
            let _written = std::io::Write::write_all(&mut std::io::stderr(), text.as_bytes());
        }
    }
}

impl Forwarding {
    /// Starts a command, which must say where it listens; its log is `log`.
    pub(crate) fn start(mut command: Command, log: &Path) -> Self {
        let file = fs_err::OpenOptions::new().create(true).append(true).open(log).unwrap();
        command.stdout(Stdio::piped()).stderr(file.into_file());
        let mut process = command.spawn().unwrap();
        let mut said = String::new();
        let mut output = BufReader::new(process.stdout.take().unwrap());
        while serde_json::from_str::<Value>(&said).is_err() {
            let read = output.read_line(&mut said).unwrap();
            let log = || fs_err::read_to_string(log).unwrap_or_default();
            assert!(read > 0, "it ended: {said}{}", log());
        }
        let opened: Value = serde_json::from_str(&said).unwrap();
        Self { process, listen: opened["listen"].as_str().unwrap().to_owned(), log: log.to_owned() }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.listen.parse().unwrap()
    }

    /// All that it has logged.
    pub(crate) fn log(&self) -> String {
        fs_err::read_to_string(&self.log).unwrap_or_default()
    }

    /// SIGTERM, and how it ended.
    pub(crate) async fn terminate(mut self) -> ExitStatus {
        kill_process(Pid::from_child(&self.process), Signal::TERM).unwrap();
        let ended = eventually(Duration::from_secs(30), "the forward ends", async || {
            self.process.try_wait().unwrap()
        });
        ended.await
    }
}

impl Installation {
    /// Where a TCP door listens.
    pub(crate) fn tcp_door(&self, name: &str) -> SocketAddr {
        let ports = fs_err::read_to_string(self.folder().join("ports.json")).unwrap();
        let ports: Value = serde_json::from_str(&ports).unwrap();
        let port = u16::try_from(ports["tcpDoors"][name].as_u64().unwrap()).unwrap();
        ([127, 0, 0, 1], port).into()
    }
}
