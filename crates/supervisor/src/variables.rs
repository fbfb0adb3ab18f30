//! The one place that reads what the service manager put into the environment.

use std::ffi::OsString;

/// The variables by which systemd tells a service where it is (sd_notify(3), systemd.exec(5)).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Variables {
    /// `NOTIFY_SOCKET`: where to say how it goes.
    pub notify_socket: Option<OsString>,
    /// `WATCHDOG_USEC`: how long it may be silent, in microseconds.
    pub watchdog_usec: Option<String>,
    /// `WATCHDOG_PID`: which process that is asked of.
    pub watchdog_pid: Option<String>,
    /// `LISTEN_FDNAMES`: what the sockets are called that were handed over (sd_listen_fds(3)).
    pub listen_fdnames: Option<String>,
    /// `HANDOVER_SOCKET`: where the process waits to hear [`crate::Supervisor::ready`] whose place this one
    /// takes.
    pub handover_socket: Option<OsString>,
    /// `JOURNAL_STREAM`: device and inode of the stream that leads to the journal.
    pub journal_stream: Option<String>,
}

impl Variables {
    /// The name of the variable by which a process says where it waits for the one that takes its place.
    pub const HANDOVER_SOCKET: &str = "HANDOVER_SOCKET";

    /// Those of this process; an empty variable counts as not set.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads these variables")]
    pub fn of_process() -> Self {
        let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let text = |name: &str| variable(name).map(|value| value.to_string_lossy().into_owned());
        Self {
            notify_socket: variable("NOTIFY_SOCKET"),
            watchdog_usec: text("WATCHDOG_USEC"),
            watchdog_pid: text("WATCHDOG_PID"),
            listen_fdnames: text("LISTEN_FDNAMES"),
            handover_socket: variable(Self::HANDOVER_SOCKET),
            journal_stream: text("JOURNAL_STREAM"),
        }
    }
}
