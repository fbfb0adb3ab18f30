//! A service manager that holds listening sockets and hands them to each process that it starts
//! (sd_listen_fds(3)).

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::process::Command;

use command_fds::{CommandFdExt as _, FdMapping};

/// Where the first socket is.
const FIRST: i32 = 3;

/// Sockets with the names of their listeners: open as long as this is there, whoever is behind them.
pub(crate) struct HeldSockets(Vec<(&'static str, TcpListener)>);

impl HeldSockets {
    /// One for each name, at ports of their own.
    pub(crate) fn named<const N: usize>(names: [&'static str; N]) -> Self {
        let bind = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        Self(names.into_iter().map(|name| (name, bind())).collect())
    }

    /// Where the one of this name listens.
    pub(crate) fn address(&self, name: &str) -> SocketAddr {
        let found = self.0.iter().find(|(own, _socket)| *own == name);
        found.unwrap().1.local_addr().unwrap()
    }

    /// The program, to be started with these; its environment is empty otherwise.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        // Nobody else knows the number of the process in time.
        command.args(["-c", "export LISTEN_PID=$$; exec \"$0\" \"$@\"", program]).env_clear();
        let names: Vec<&str> = self.0.iter().map(|(name, _socket)| *name).collect();
        command.env("LISTEN_FDS", self.0.len().to_string()).env("LISTEN_FDNAMES", names.join(":"));
        let sockets = self.0.iter().map(|(_name, socket)| OwnedFd::from(socket.try_clone().unwrap()));
        let mappings = (FIRST..).zip(sockets).map(|(child_fd, parent_fd)| FdMapping { parent_fd, child_fd });
        command.fd_mappings(mappings.collect()).unwrap();
        command
    }
}
