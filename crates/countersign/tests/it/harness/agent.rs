//! `countersign-agent`, with a configuration of its own.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use countersign_testkit::{Answer, ClientFailure, Connection};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::clock::FakeTime;
use super::installation::Installation;
use super::waiting::eventually;
use crate::program::{Ran, repository};

/// The agent beside the server; built now when nobody has, or when its sources are newer.
pub(crate) fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let agent = Path::new(env!("CARGO_BIN_EXE_countersign")).with_file_name("countersign-agent");
        let built = fs_err::metadata(&agent).and_then(|found| found.modified()).ok();
        let sources = ["agent", "api", "tls", "core"].map(|name| repository().join("crates").join(name));
        if built.is_none_or(|built| sources.iter().any(|sources| newest(&sources.join("src")) > built)) {
            let built = Command::new(env!("CARGO"))
                .args(["build", "--quiet", "--package", "countersign-agent", "--target-dir"])
                .arg(agent.ancestors().nth(2).unwrap())
                .current_dir(repository())
                .status();
            assert!(built.unwrap().success());
        }
        agent
    })
}

/// When the last change was made to what is in a folder.
fn newest(folder: &Path) -> SystemTime {
    let changed = |entry: fs_err::DirEntry| match entry.file_type().unwrap().is_dir() {
        true => newest(&entry.path()),
        false => entry.metadata().unwrap().modified().unwrap(),
    };
    let entries = fs_err::read_dir(folder).unwrap();
    entries.map(|entry| changed(entry.unwrap())).max().unwrap_or(SystemTime::UNIX_EPOCH)
}

/// The place of an agent's configuration, and the time it lives in.
pub(crate) struct AgentHome {
    folder: TempDir,
    time: Option<FakeTime>,
}

impl AgentHome {
    /// An agent that is not enrolled, in the time of this installation.
    pub(crate) fn beside(installation: &Installation) -> Self {
        Self::at(installation.fake_time().cloned())
    }

    /// An agent that is not enrolled, in a time of its own.
    pub(crate) fn at(time: Option<FakeTime>) -> Self {
        Self { folder: tempfile::tempdir().unwrap(), time }
    }

    /// The configuration file.
    pub(crate) fn config(&self) -> PathBuf {
        self.folder.path().join("agent/agent.yaml")
    }

    /// The program with these arguments.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(program());
        command.env_clear().arg("--config").arg(self.config()).args(arguments).stdin(Stdio::null());
        if let Some(time) = &self.time {
            time.rule(&mut command);
        }
        command
    }

    /// Runs a command to its end.
    pub(crate) fn output(&self, arguments: &[&str]) -> Ran {
        let output = self.command(arguments).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Ran {
            code: output.status.code().unwrap_or(-1),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }

    /// The arguments that enrol with this enrolment key.
    pub(crate) fn enroll_arguments(installation: &Installation, key: &str) -> Vec<String> {
        let (url, fingerprint) = (installation.url(), installation.fingerprint());
        ["enroll", key, "--server", &url, "--ca-fingerprint", &fingerprint].map(str::to_owned).to_vec()
    }

    /// Enrols with this enrolment key.
    pub(crate) fn enroll(&self, installation: &Installation, key: &str) -> Ran {
        let arguments = Self::enroll_arguments(installation, key);
        self.output(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// An agent that has enrolled, which must work.
    pub(crate) async fn enrolled(installation: &Installation) -> Self {
        let home = Self::beside(installation);
        let ran = home.enroll(installation, &installation.admin().one_use_key().await);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        home
    }

    /// What `status --json` says.
    pub(crate) fn status(&self) -> Value {
        let ran = self.output(&["status", "--json"]);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        serde_json::from_str(&ran.stdout).unwrap()
    }

    /// What is in the configuration file.
    pub(crate) fn saved(&self) -> Value {
        serde_norway::from_str(&fs_err::read_to_string(self.config()).unwrap()).unwrap()
    }

    /// A text of the configuration file.
    pub(crate) fn text(&self, key: &str) -> String {
        text(&self.saved(), key)
    }

    /// Leaf, chain and private key of the certificate in use, in PEM: of one reading, since a running agent may
    /// renew between two.
    pub(crate) fn identity_pem(&self) -> String {
        let saved = self.saved();
        ["mtls_cert_pem", "mtls_chain_pem", "mtls_key_pem"].map(|key| text(&saved, key)).join("\n")
    }

    /// A heartbeat in its name, over this connection.
    pub(crate) async fn heartbeat(&self, connection: &mut Connection) -> Answer {
        self.try_heartbeat(connection).await.unwrap()
    }

    /// The same, on a connection that may be cut meanwhile.
    pub(crate) async fn try_heartbeat(&self, connection: &mut Connection) -> Result<Answer, ClientFailure> {
        let saved = self.saved();
        let path = format!("/api/v1/agents/{}/heartbeat", text(&saved, "agent_id"));
        connection.json("POST", &path, Some(&text(&saved, "auth_token")), Some(&json!({}))).await
    }

    /// The running agent, with heartbeats and retries twice a second.
    pub(crate) fn run(&self) -> RunningAgent {
        let log = self.folder.path().join("log");
        let file = fs_err::OpenOptions::new().create(true).append(true).open(&log).unwrap();
        let mut command = self.command(&[
            "run",
            "--heartbeat-interval",
            "200ms",
            "--retry-base",
            "200ms",
            "--log",
            "debug",
        ]);
        command.stdout(Stdio::null()).stderr(file.into_file());
        RunningAgent { process: command.spawn().unwrap(), log }
    }
}

/// A text of a configuration.
fn text(saved: &Value, key: &str) -> String {
    saved[key].as_str().unwrap_or_else(|| panic!("no {key}")).to_owned()
}

/// A running agent; it ends with this.
pub(crate) struct RunningAgent {
    process: Child,
    log: PathBuf,
}

impl Drop for RunningAgent {
    fn drop(&mut self) {
        let _gone = self.process.kill();
        let _ended = self.process.wait();
        if std::thread::panicking() {
            let text = format!("--- what the agent logged\n{}---\n", self.log());
            let _written = std::io::Write::write_all(&mut std::io::stderr(), text.as_bytes());
        }
    }
}

impl RunningAgent {
    /// All that it has logged.
    pub(crate) fn log(&self) -> String {
        fs_err::read_to_string(&self.log).unwrap_or_default()
    }

    /// SIGTERM, and how it ended.
    pub(crate) async fn terminate(self) -> ExitStatus {
        kill_process(Pid::from_child(&self.process), Signal::TERM).unwrap();
        self.ended().await
    }

    /// Waits until it ends, and how it did.
    pub(crate) async fn ended(mut self) -> ExitStatus {
        let ending =
            eventually(Duration::from_secs(30), "the agent ends", async || self.process.try_wait().unwrap());
        ending.await
    }
}
