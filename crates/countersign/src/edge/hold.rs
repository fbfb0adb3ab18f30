//! One process at a time has an edge's data directory: what it keeps of trust is written by one, and its
//! authority knows one connection of it.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use countersign_supervisor::Supervisor;
use tokio::time::{MissedTickBehavior, interval, timeout};

/// How often is looked whether a predecessor has let go.
const LOOK: Duration = Duration::from_millis(20);

/// How long it may take, its drain included.
const PREDECESSOR_PATIENCE: Duration = Duration::from_secs(600);

/// The data directory, held; let go of when dropped, and when the process ends however it ends.
#[derive(Debug)]
pub(super) struct Hold(File);

impl Hold {
    /// Takes it. Where the process whose place this one takes has it, that one is told that its end is waited
    /// for, and waited for.
    ///
    /// # Errors
    /// When another process has it that nobody asked to end, or does not let go.
    pub(super) async fn take(data_dir: &Path, supervisor: &Supervisor) -> anyhow::Result<Self> {
        let path = data_dir.join("edge.lock");
        let mut options = fs_err::OpenOptions::new();
        let file = options.create(true).write(true).truncate(false).open(&path);
        let hold = Self(file.context("open the lock of the data directory")?.into_file());
        if hold.is_taken()? {
            return Ok(hold);
        }
        if !supervisor.waiting() {
            bail!("another edge runs on the data directory {}: end it, or name another", data_dir.display());
        }
        timeout(PREDECESSOR_PATIENCE, hold.until_taken()).await.context("wait for the predecessor")??;
        Ok(hold)
    }

    fn is_taken(&self) -> anyhow::Result<bool> {
        match self.0.try_lock() {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(error)) => Err(error).context("lock the data directory"),
        }
    }

    async fn until_taken(&self) -> anyhow::Result<()> {
        let mut ticks = interval(LOOK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !self.is_taken()? {
            ticks.tick().await;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use countersign_supervisor::Variables;

    #[tokio::test]
    async fn fails_closed_on_a_second_process_that_nobody_started_as_a_successor() {
        let folder = tempfile::tempdir().unwrap();
        let alone = Supervisor::new(&Variables::default());
        let hold = Hold::take(folder.path(), &alone).await.unwrap();
        let refused = Hold::take(folder.path(), &alone).await.unwrap_err().to_string();
        assert!(refused.contains("another edge runs on the data directory"), "{refused}");
        drop(hold);
        Hold::take(folder.path(), &alone).await.unwrap();
    }

    #[tokio::test]
    async fn a_successor_says_that_it_waits_and_has_it_once_it_is_let_go() {
        let folder = tempfile::tempdir().unwrap();
        let meeting = folder.path().join("meeting");
        let socket = tokio::net::UnixDatagram::bind(&meeting).unwrap();
        let variables = Variables { handover_socket: Some(meeting.into()), ..Variables::default() };
        let successor = Supervisor::new(&variables);
        let hold = Hold::take(folder.path(), &Supervisor::new(&Variables::default())).await.unwrap();
        let letting_go = async {
            let mut said = [0; 32];
            let length = socket.recv(&mut said).await.unwrap();
            assert_eq!(&said[..length], b"WAITING=1");
            drop(hold);
        };
        let (taken, ()) = tokio::join!(Hold::take(folder.path(), &successor), letting_go);
        taken.unwrap();
    }
}
