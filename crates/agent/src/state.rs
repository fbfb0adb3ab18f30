//! What a running agent writes down for `status`: small, replaced in one piece, and nothing in it is
//! secret or needed to go on.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use countersign_core::time::Timestamp;
use countersign_tls::tunnel::ForwardStatus;
use fs_err as fs;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::channel::ConnectionState;
use crate::disk::{private, sibling};

/// How often a lock that `status` holds for a moment is tried.
const TRIES: usize = 1000;

/// How a running agent gets on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunState {
    /// The process.
    pub pid: u32,
    /// The agent's version.
    pub agent_version: String,
    /// When it started.
    pub started_at: Timestamp,
    /// When the control plane last answered a heartbeat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_contact_at: Option<Timestamp>,
    /// What went wrong since then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_failure: Option<Failure>,
    /// The WebSocket.
    pub connection: ConnectionState,
    /// Since when it stands like that.
    pub connection_since: Timestamp,
    /// Since when the device is known to be quarantined.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quarantined_since: Option<Timestamp>,
    /// The forwards that are open.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub forwards: Vec<ForwardState>,
}

/// How a forward gets on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForwardState {
    /// Where it listens.
    pub listen: String,
    /// Where it leads.
    pub to: String,
    /// Why the door was out of reach when it was tried last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// The key, SHA-256 in hex, that the door showed instead of the pinned one when it was tried last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed_key: Option<String>,
}

impl From<ForwardStatus> for ForwardState {
    fn from(status: ForwardStatus) -> Self {
        let ForwardStatus { listen, to, failure, key_change, .. } = status;
        Self { listen, to, failure, changed_key: key_change.map(|change| change.got.to_string()) }
    }
}

/// Something that did not work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// When.
    pub at: Timestamp,
    /// What.
    pub message: String,
}

impl RunState {
    /// That of an agent that has just started.
    #[must_use]
    pub fn starting(agent_version: &str, now: Timestamp) -> Self {
        let now = now.floor_to_second();
        Self {
            pid: std::process::id(),
            agent_version: agent_version.to_owned(),
            started_at: now,
            last_contact_at: None,
            last_failure: None,
            connection: ConnectionState::Connecting,
            connection_since: now,
            quarantined_since: None,
            forwards: Vec::new(),
        }
    }
}

/// Another agent runs with the same configuration, or it cannot be found out.
#[derive(Debug, Error)]
pub enum ClaimError {
    /// Another one runs.
    #[error("another agent is running with {0}")]
    Taken(PathBuf),
    /// The lock file cannot be used.
    #[error("cannot use {path}")]
    File {
        /// Which file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

/// Keeps other agents from running with the same configuration; given up when the process ends,
/// however it ends.
#[derive(Debug)]
pub struct Claim(#[expect(dead_code, reason = "it is held, not looked at")] fs::File);

/// `agent.yaml.state`, beside the configuration, and the lock of the agent that writes it.
#[derive(Clone, Debug)]
pub struct StateFile {
    config: PathBuf,
}

impl StateFile {
    /// How the names of its files end.
    pub(crate) const ENDINGS: [&str; 3] = [".state", ".state.new", ".running"];

    /// That of the agent whose configuration is at `config`.
    #[must_use]
    pub fn beside(config: &Path) -> Self {
        Self { config: config.to_owned() }
    }

    /// Takes the place of the running agent.
    ///
    /// # Errors
    /// At once, without waiting, when another agent has it.
    pub fn claim(&self) -> Result<Claim, ClaimError> {
        let path = sibling(&self.config, ".running");
        let failed = |source| ClaimError::File { path: path.clone(), source };
        let file = private::open_lock(&path).map_err(failed)?;
        self.give_to_owner(&file).map_err(failed)?;
        for _ in 0..TRIES {
            match file.try_lock() {
                Ok(()) => return Ok(Claim(file)),
                Err(std::fs::TryLockError::WouldBlock) => std::thread::yield_now(),
                Err(std::fs::TryLockError::Error(source)) => return Err(failed(source)),
            }
        }
        Err(ClaimError::Taken(self.config.clone()))
    }

    /// Whether an agent is running.
    #[must_use]
    pub fn is_claimed(&self) -> bool {
        let lock = fs::OpenOptions::new().read(true).open(sibling(&self.config, ".running"));
        lock.is_ok_and(|file| matches!(file.try_lock_shared(), Err(std::fs::TryLockError::WouldBlock)))
    }

    /// Replaces what is written.
    ///
    /// # Errors
    /// When the file cannot be written; the former text stands.
    pub fn write(&self, state: &RunState) -> io::Result<()> {
        let new = sibling(&self.config, ".state.new");
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let mut file = private::create_file(&new)?;
        self.give_to_owner(&file)?;
        file.write_all(serde_json::to_string(state)?.as_bytes())?;
        fs::rename(&new, sibling(&self.config, ".state"))
    }

    /// Removes what is written, if anything is.
    ///
    /// # Errors
    /// When the file is there and cannot be removed.
    pub fn remove(&self) -> io::Result<()> {
        match fs::remove_file(sibling(&self.config, ".state")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// What is written, if it can be read.
    #[must_use]
    pub fn read(&self) -> Option<RunState> {
        let text = fs::read_to_string(sibling(&self.config, ".state")).ok()?;
        serde_json::from_str(&text).ok()
    }

    fn give_to_owner(&self, file: &fs::File) -> io::Result<()> {
        let directory = self.config.parent().filter(|parent| !parent.as_os_str().is_empty());
        private::give_to_owner(directory.unwrap_or(Path::new(".")), file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_agent_runs_and_everybody_can_see_it() {
        let root = tempfile::tempdir().unwrap();
        let file = StateFile::beside(&root.path().join("agent.yaml"));
        assert!(!file.is_claimed() && file.read().is_none());
        let claim = file.claim().unwrap();
        assert!(file.is_claimed());
        assert!(matches!(file.claim(), Err(ClaimError::Taken(_))));
        drop(claim);
        assert!(!file.is_claimed());
        drop(file.claim().unwrap());
    }

    #[test]
    fn what_is_written_reads_back() {
        let root = tempfile::tempdir().unwrap();
        let file = StateFile::beside(&root.path().join("agent.yaml"));
        let mut state = RunState::starting("1.2.3", Timestamp::from_secs(7));
        for contact in [None, Some(Timestamp::from_secs(9))] {
            state.last_contact_at = contact;
            file.write(&state).unwrap();
            assert_eq!(file.read(), Some(state.clone()));
        }
        file.remove().unwrap();
        file.remove().unwrap();
        assert_eq!(file.read(), None);
    }

    #[cfg(unix)]
    #[test]
    fn nobody_else_can_read_it() {
        use std::os::unix::fs::PermissionsExt as _;
        let root = tempfile::tempdir().unwrap();
        let file = StateFile::beside(&root.path().join("agent.yaml"));
        file.write(&RunState::starting("1.2.3", Timestamp::from_secs(7))).unwrap();
        let mode = fs::metadata(root.path().join("agent.yaml.state")).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o600);
    }
}
