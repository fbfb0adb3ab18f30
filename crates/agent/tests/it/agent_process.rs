//! The real binary.

use std::ffi::OsStr;
use std::io::Read as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};

use crate::control_plane::ControlPlane;

/// `countersign-agent` with its configuration at `config`, and nothing of this process's
/// environment.
pub(crate) fn command(config: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_countersign-agent"));
    command.env_clear().arg("--config").arg(config).stdin(Stdio::null());
    command
}

/// Runs it to its end without stopping the control plane that it talks to.
pub(crate) async fn output(mut command: Command) -> Output {
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

pub(crate) fn enroll(config: &Path, plane: &ControlPlane, key: &str) -> Command {
    let mut command = command(config);
    let pin = hex::encode(plane.ca.root_sha256());
    command.args(["enroll", key, "--server", &plane.url(), "--ca-fingerprint", &pin]);
    command
}

/// Enrols and expects it to work.
pub(crate) async fn enrolled(config: &Path, plane: &ControlPlane) {
    let output = output(enroll(config, plane, "key")).await;
    assert!(output.status.success(), "{}", text(&output.stderr));
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The binary, running; killed when the test ends.
pub(crate) struct Running(Child);

impl Running {
    pub(crate) fn start(mut command: Command) -> Self {
        Self(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
    }

    /// One that was started already.
    pub(crate) const fn of(child: Child) -> Self {
        Self(child)
    }

    /// `run` with these flags.
    pub(crate) fn run<A: AsRef<OsStr>>(config: &Path, flags: impl IntoIterator<Item = A>) -> Self {
        let mut command = command(config);
        command.arg("run").args(flags);
        Self::start(command)
    }

    /// SIGKILL.
    pub(crate) fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    /// SIGTERM, and what it said on stderr until it ended.
    pub(crate) async fn terminate(self) -> (ExitStatus, String) {
        let id = self.0.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        self.ended().await
    }

    /// Waits until it ends by itself, and gives what it said on stderr.
    pub(crate) async fn ended(mut self) -> (ExitStatus, String) {
        tokio::task::spawn_blocking(move || {
            let mut log = String::new();
            self.0.stderr.take().unwrap().read_to_string(&mut log).unwrap();
            (self.0.wait().unwrap(), log)
        })
        .await
        .unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}
