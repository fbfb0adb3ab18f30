//! What a process and the program that started it as a service say to each other: readiness, life
//! signs and log lines, as systemd understands them.
//!
//! Both binaries speak it and may not depend on each other, hence a crate. It decides nothing, opens
//! no network socket and needs no C library. Under anything but systemd, and at a terminal, it
//! does nothing. Start reading at [`Supervisor`], then [`Journal`].

mod journal;
mod notify;
mod variables;

pub use journal::Journal;
pub use notify::Supervisor;
pub use variables::Variables;
