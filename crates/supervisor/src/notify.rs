//! Telling the service manager how it goes: datagrams of `KEY=value` lines, sd_notify(3).

use std::io;
use std::time::Duration;

use crate::Variables;

/// The service manager that started this process, if there is one.
#[derive(Debug)]
pub struct Supervisor {
    line: Option<line::Line>,
    /// The process whose place this one takes.
    predecessor: Option<line::Line>,
    watchdog: Option<Duration>,
}

impl Supervisor {
    /// The one that these variables name. A socket that cannot be reached is logged once, and
    /// nothing is said to it: a service must not fail for want of an audience.
    #[must_use]
    pub fn new(variables: &Variables) -> Self {
        let line = variables.notify_socket.as_deref().and_then(|socket| reach(socket, "service manager"));
        let predecessor =
            variables.handover_socket.as_deref().and_then(|socket| reach(socket, "predecessor"));
        let watchdog = if line.is_some() { watchdog(variables, std::process::id()) } else { None };
        Self { line, predecessor, watchdog }
    }

    /// How long this process may be silent before it is taken for dead; `None`: for ever. Say
    /// [`Self::alive`] a few times within it.
    #[must_use]
    pub const fn watchdog(&self) -> Option<Duration> {
        self.watchdog
    }

    /// The service does what it is there for.
    pub fn ready(&self) {
        self.say("READY=1");
        // One that was waited for has ended.
        if let Some(predecessor) = &self.predecessor
            && let Err(error) = predecessor.send(b"READY=1")
        {
            tracing::debug!(%error, "the predecessor does not hear us");
        }
    }

    /// Tells the process whose place this one takes that its end is waited for; whether there is one.
    #[must_use]
    pub fn waiting(&self) -> bool {
        let Some(predecessor) = &self.predecessor else { return false };
        if let Err(error) = predecessor.send(b"WAITING=1") {
            tracing::warn!(%error, "the predecessor does not hear us");
        }
        true
    }

    /// Another process is the service from now on.
    pub fn main_process(&self, id: u32) {
        self.say(&format!("MAINPID={id}"));
    }

    /// It is about to end.
    pub fn stopping(&self) {
        self.say("STOPPING=1");
    }

    /// It makes progress.
    pub fn alive(&self) {
        if self.watchdog.is_some() {
            self.say("WATCHDOG=1");
        }
    }

    /// How it goes, in one line, for `systemctl status`.
    pub fn status(&self, text: &str) {
        let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        self.say(&format!("STATUS={line}"));
    }

    fn say(&self, message: &str) {
        let Some(line) = &self.line else { return };
        if let Err(error) = line.send(message.as_bytes())
            && error.kind() != io::ErrorKind::WouldBlock
        {
            tracing::debug!(%error, message, "the service manager does not hear us");
        }
    }
}

fn reach(socket: &std::ffi::OsStr, whom: &str) -> Option<line::Line> {
    match line::Line::to(socket) {
        Ok(line) => Some(line),
        Err(error) => {
            tracing::warn!(%error, whom, socket = %socket.to_string_lossy(), "cannot be reached");
            None
        }
    }
}

/// The time limit, unless it is meant for another process: a child inherits the variables.
fn watchdog(variables: &Variables, this: u32) -> Option<Duration> {
    let micros: u64 = variables.watchdog_usec.as_deref()?.trim().parse().ok()?;
    let is_ours = variables.watchdog_pid.as_deref().is_none_or(|pid| pid.trim().parse() == Ok(this));
    (micros > 0 && is_ours).then(|| Duration::from_micros(micros))
}

#[cfg(unix)]
mod line {
    use std::ffi::OsStr;
    use std::io;
    use std::os::unix::net::{SocketAddr, UnixDatagram};

    /// A socket and where it leads.
    #[derive(Debug)]
    pub(super) struct Line(UnixDatagram, SocketAddr);

    impl Line {
        pub(super) fn to(socket: &OsStr) -> io::Result<Self> {
            let address = address(socket)?;
            let from = UnixDatagram::unbound()?;
            // A service manager that does not read must not hold us up.
            from.set_nonblocking(true)?;
            Ok(Self(from, address))
        }

        pub(super) fn send(&self, message: &[u8]) -> io::Result<()> {
            self.0.send_to_addr(message, &self.1).map(drop)
        }
    }

    /// A path, or a name in Linux's abstract namespace, written with `@` in front.
    fn address(socket: &OsStr) -> io::Result<SocketAddr> {
        #[cfg(target_os = "linux")]
        {
            use std::os::linux::net::SocketAddrExt as _;
            use std::os::unix::ffi::OsStrExt as _;
            if let Some(name) = socket.as_bytes().strip_prefix(b"@") {
                return SocketAddr::from_abstract_name(name);
            }
        }
        SocketAddr::from_pathname(socket)
    }
}

#[cfg(not(unix))]
mod line {
    use std::ffi::OsStr;
    use std::io;

    /// There is no such thing here.
    #[derive(Debug)]
    pub(super) struct Line;

    impl Line {
        pub(super) fn to(_socket: &OsStr) -> io::Result<Self> {
            Err(io::ErrorKind::Unsupported.into())
        }

        pub(super) fn send(&self, _message: &[u8]) -> io::Result<()> {
            Ok(())
        }
    }
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixDatagram;

    fn heard(socket: &UnixDatagram) -> String {
        let mut buffer = [0; 512];
        let length = socket.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    }

    fn patient(socket: UnixDatagram) -> UnixDatagram {
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        socket
    }

    #[test]
    fn says_in_systemds_words_how_it_goes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let socket = patient(UnixDatagram::bind(&path).unwrap());
        let supervisor = Supervisor::new(&Variables {
            notify_socket: Some(path.into()),
            watchdog_usec: Some("30000000".to_owned()),
            ..Variables::default()
        });
        assert_eq!(supervisor.watchdog(), Some(Duration::from_secs(30)));
        supervisor.ready();
        supervisor.status("one\nREADY=1 line");
        supervisor.alive();
        supervisor.stopping();
        let said: Vec<String> = (0..4).map(|_| heard(&socket)).collect();
        assert_eq!(said, ["READY=1", "STATUS=one READY=1 line", "WATCHDOG=1", "STOPPING=1"]);
    }

    #[test]
    fn the_predecessor_hears_when_its_place_is_taken_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("handover");
        let socket = patient(UnixDatagram::bind(&path).unwrap());
        let supervisor =
            Supervisor::new(&Variables { handover_socket: Some(path.into()), ..Variables::default() });
        supervisor.status("on the way");
        assert!(supervisor.waiting());
        supervisor.ready();
        assert_eq!([heard(&socket), heard(&socket)], ["WAITING=1", "READY=1"]);
        assert!(!Supervisor::new(&Variables::default()).waiting());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn finds_a_socket_that_is_no_file() {
        use std::os::linux::net::SocketAddrExt as _;
        use std::os::unix::net::SocketAddr;
        let name = format!("countersign-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let socket = patient(UnixDatagram::bind_addr(&address).unwrap());
        let variables = Variables { notify_socket: Some(format!("@{name}").into()), ..Variables::default() };
        let supervisor = Supervisor::new(&variables);
        supervisor.alive();
        supervisor.ready();
        assert_eq!(heard(&socket), "READY=1", "without a watchdog no life signs are sent");
    }

    #[test]
    fn without_a_service_manager_nothing_happens() {
        for socket in [None, Some("/nonexistent/socket".into()), Some("x".repeat(300).into())] {
            let variables = Variables { notify_socket: socket, ..Variables::default() };
            let supervisor = Supervisor::new(&variables);
            supervisor.ready();
            assert_eq!(supervisor.watchdog(), None);
        }
    }

    #[test]
    fn a_watchdog_for_another_process_is_not_ours() {
        let variables = |usec: &str, pid: Option<&str>| Variables {
            watchdog_usec: Some(usec.to_owned()),
            watchdog_pid: pid.map(str::to_owned),
            ..Variables::default()
        };
        assert_eq!(watchdog(&variables("1000", None), 7), Some(Duration::from_millis(1)));
        assert_eq!(watchdog(&variables("1000", Some("7")), 7), Some(Duration::from_millis(1)));
        for wrong in [variables("1000", Some("8")), variables("0", None), variables("soon", None)] {
            assert_eq!(watchdog(&wrong, 7), None);
        }
    }
}
