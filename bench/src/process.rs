//! A program that the bench starts and, by its own id, ends.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::{MissedTickBehavior, interval};

use crate::machine;

/// How long a program may take to start or to end.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running program; it ends with this.
#[derive(Debug)]
pub(crate) struct Process {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a program with these words in front of its command line; what it says is in `log`.
    pub(crate) fn start(
        name: &'static str,
        prefix: &[String],
        words: &[String],
        folder: &Path,
    ) -> anyhow::Result<Self> {
        let mut line = prefix.iter().chain(words);
        let program = line.next().context("start nothing")?;
        let log = folder.join(format!("{name}.log"));
        let file = fs_err::OpenOptions::new().create(true).append(true).open(&log).context("open a log")?;
        let child = Command::new(program)
            .args(line)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(file.try_clone().context("open a log")?.into_file())
            .stderr(file.into_file())
            .spawn()
            .with_context(|| format!("start {program}"))?;
        Ok(Self { name, child, log })
    }

    /// Its id. With a prefix such as `taskset`, which becomes the program, the same.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The processor time of it and all below it.
    pub(crate) fn cpu_time(&self) -> Duration {
        machine::cpu_time(self.id())
    }

    /// The memory of it and all below it.
    pub(crate) fn memory(&self) -> u64 {
        machine::memory(self.id())
    }

    /// Waits until there is something to see, or fails with what it logged.
    pub(crate) async fn until<T>(&mut self, look: impl Fn() -> Option<T>) -> anyhow::Result<T> {
        let end = Instant::now() + PATIENCE;
        let mut ticks = interval(Duration::from_millis(20));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if let Some(seen) = look() {
                return Ok(seen);
            }
            let ended = self.child.try_wait().context("look after a program")?;
            if ended.is_some() || Instant::now() > end {
                let log = fs_err::read_to_string(&self.log).unwrap_or_default();
                bail!("{} did not start: {log}", self.name);
            }
        }
    }

    /// Waits until it takes connections at `address`.
    pub(crate) async fn until_it_listens(&mut self, address: SocketAddr) -> anyhow::Result<()> {
        self.until(|| std::net::TcpStream::connect(address).ok()).await?;
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap_or_default();
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::park_timeout(Duration::from_millis(10));
        }
        self.child.kill().unwrap_or_default();
        let _ended = self.child.wait();
    }
}

/// A port of this machine that was free a moment ago: for programs that cannot take port 0.
pub(crate) fn free_address() -> anyhow::Result<SocketAddr> {
    let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("take a port")?;
    socket.local_addr().context("take a port")
}

/// Where a program is, if it is installed; system programs are not on every PATH.
pub(crate) fn find(program: &str, path: &str) -> Option<PathBuf> {
    let folders = path.split(':').chain(["/usr/sbin", "/usr/local/sbin"]);
    folders.map(|folder| Path::new(folder).join(program)).find(|file| file.is_file())
}

/// What a command prints, both outputs.
pub(crate) fn said(program: &Path, arguments: &[&str]) -> String {
    let Ok(output) = Command::new(program).args(arguments).stdin(Stdio::null()).output() else {
        return String::new();
    };
    [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat()
}
