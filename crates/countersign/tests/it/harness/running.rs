//! A program that a test starts, and that ends with it.

use std::net::{Ipv4Addr, TcpStream};
use std::process::{Child, Command, Stdio};

use super::waiting::until;

/// A program that runs until this is dropped, also by a test that fails.
pub(crate) struct Running(Child);

impl Running {
    /// Starts it, with nothing to read.
    pub(crate) fn start(command: &mut Command) -> Self {
        Self(command.stdin(Stdio::null()).spawn().unwrap())
    }

    /// Starts a server, and waits until it listens at this port of the loopback.
    pub(crate) async fn server(command: &mut Command, port: u16) -> Self {
        let server = Self::start(command.stdout(Stdio::null()).stderr(Stdio::null()));
        let listens = async || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok();
        until("the server listens", listens).await;
        server
    }

    /// Whether it runs still.
    pub(crate) fn goes_on(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _ended = self.0.wait();
    }
}
