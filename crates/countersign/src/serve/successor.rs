//! Another process of the same program that takes this one's place: it gets the listening sockets, starts,
//! says that it is ready, and from then on whoever comes is its guest. Nobody is refused in between, since the
//! sockets are never closed. An embedded database is for one process at a time: there the successor starts as
//! far as it can, and who comes waits in the queues of the sockets until it has the database.

use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram as StdUnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};
use command_fds::{CommandFdExt as _, FdMapping};
use countersign_supervisor::Variables;
use rustix::process::{Pid, Signal, kill_process};
use tokio::net::UnixDatagram;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::files;
use crate::doors::Turn;

/// How long a successor may take to be ready; it may have to bring a large database up to date first.
const PATIENCE: Duration = Duration::from_secs(30 * 60);

/// Where the first socket is (sd_listen_fds(3)).
const FIRST: i32 = 3;

/// Sockets with the names of their listeners.
pub(crate) type NamedSockets = Vec<(String, OwnedFd)>;

/// Why this process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leaving {
    /// It was told to.
    Stopped,
    /// The process with this number takes its place.
    HandedOver(u32, Turn),
}

/// How this process was started: a successor is started the same way.
#[derive(Debug)]
pub(crate) struct Succession {
    program: PathBuf,
    arguments: Vec<OsString>,
    meeting: PathBuf,
    asked: tokio::signal::unix::Signal,
}

impl Succession {
    /// Remembers it; to be called before the program's file may be replaced. SIGUSR2 asks for a successor
    /// from then on.
    pub(crate) fn prepare(data_dir: &Path) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("learn where this program is")?;
        let arguments = std::env::args_os().skip(1).collect();
        let meeting = data_dir.join(format!("successor-{}.sock", std::process::id()));
        let asked = signal(SignalKind::user_defined2()).context("listen for SIGUSR2")?;
        Ok(Self { program, arguments, meeting, asked })
    }

    /// Waits until this process is to end. A successor that does not become ready is ended, and this process
    /// goes on.
    pub(crate) async fn until_leaving(
        mut self,
        stop: &CancellationToken,
        sockets: impl Fn() -> anyhow::Result<NamedSockets>,
    ) -> Leaving {
        loop {
            tokio::select! {
                () = stop.cancelled() => return Leaving::Stopped,
                _asked = self.asked.recv() => {}
            }
            tracing::info!("starting a successor");
            let started = async { self.start(sockets()?).await };
            tokio::select! {
                () = stop.cancelled() => return Leaving::Stopped,
                started = started => match started {
                    Ok((id, turn)) => return Leaving::HandedOver(id, turn),
                    Err(error) => {
                        tracing::error!(error = format!("{error:#}"), "no successor, going on");
                    }
                },
            }
        }
    }

    /// Starts a successor and waits until it is ready, or for nothing but this process's end.
    async fn start(&self, sockets: NamedSockets) -> anyhow::Result<(u32, Turn)> {
        files::remove_if_there(&self.meeting)?;
        let meeting = StdUnixDatagram::bind(&self.meeting)
            .with_context(|| format!("listen for the successor at {}", self.meeting.display()))?;
        meeting.set_nonblocking(true).context("listen for the successor")?;
        let meeting = UnixDatagram::from_std(meeting).context("listen for the successor")?;
        let successor = Successor::spawn(self.command(sockets)?)?;
        let ready = tokio::time::timeout(PATIENCE, successor.ready(&meeting)).await;
        files::remove_if_there(&self.meeting)?;
        ready.context("the successor took too long")?
    }

    fn command(&self, sockets: NamedSockets) -> anyhow::Result<Command> {
        let names: Vec<&str> = sockets.iter().map(|(name, _)| name.as_str()).collect();
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).stdin(Stdio::null());
        command.env("LISTEN_FDS", sockets.len().to_string()).env("LISTEN_FDNAMES", names.join(":"));
        // Nobody can know the number of a process before there is one; these two would name this one's.
        command.env_remove("LISTEN_PID").env_remove("WATCHDOG_PID");
        command.env(Variables::HANDOVER_SOCKET, &self.meeting);
        let mappings =
            (FIRST..).zip(sockets).map(|(child_fd, (_, socket))| FdMapping { parent_fd: socket, child_fd });
        command.fd_mappings(mappings.collect()).context("pass the sockets on")?;
        Ok(command)
    }
}

/// A process that is to take this one's place; ended when dropped, unless it did.
struct Successor {
    id: u32,
    /// `None`: it is not ours to end any more, or there is nothing to end.
    ended: Option<oneshot::Receiver<String>>,
}

impl Successor {
    fn spawn(mut command: Command) -> anyhow::Result<Self> {
        let child = command.spawn().context("start the successor")?;
        let (tell, ended) = oneshot::channel();
        let id = child.id();
        // A thread of its own: the process outlives the runtime when all goes well.
        std::thread::Builder::new()
            .name("successor".to_owned())
            .spawn(move || drop(tell.send(wait(child))))
            .context("wait for the successor")?;
        Ok(Self { id, ended: Some(ended) })
    }

    async fn ready(mut self, meeting: &UnixDatagram) -> anyhow::Result<(u32, Turn)> {
        let Some(ended) = &mut self.ended else { bail!("the successor was waited for already") };
        let mut said = [0; 256];
        let turn = loop {
            let length = tokio::select! {
                how = &mut *ended => {
                    self.ended = None;
                    bail!("the successor ended: {}", how.unwrap_or_default());
                }
                length = meeting.recv(&mut said) => length.context("hear the successor")?,
            };
            match said.get(..length) {
                Some(b"READY=1") => break Turn::Beside,
                Some(b"WAITING=1") => break Turn::After,
                _ => {}
            }
        };
        self.ended = None;
        Ok((self.id, turn))
    }
}

impl Drop for Successor {
    fn drop(&mut self) {
        let id = i32::try_from(self.id).ok().and_then(Pid::from_raw);
        if let Some(id) = id.filter(|_| self.ended.is_some())
            && let Err(error) = kill_process(id, Signal::TERM)
        {
            tracing::warn!(%error, "the successor cannot be ended");
        }
    }
}

fn wait(mut child: Child) -> String {
    child.wait().map_or_else(|error| error.to_string(), |status| status.to_string())
}
