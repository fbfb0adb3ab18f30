//! What a process and the program that started it as a service say to each other: readiness, life
//! signs, log lines and listening sockets, as systemd understands them; and what a process says to the one
//! that takes its place.
//!
//! Both binaries speak it and may not depend on each other, hence a crate. It decides nothing, opens
//! no network socket of its own and needs no C library. Under anything but systemd, and at a terminal, it
//! does nothing. Start reading at [`Supervisor`], then [`Journal`].

mod journal;
mod notify;
#[cfg(unix)]
mod sockets;
mod variables;

pub use journal::Journal;
pub use notify::Supervisor;
#[cfg(unix)]
pub use sockets::{SocketError, Sockets};
pub use variables::Variables;
