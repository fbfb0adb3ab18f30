//! Listening sockets that another process opened: the service manager (sd_listen_fds(3)), or the process
//! whose place this one takes. While they stay open no client is refused, whoever is behind them.

use std::io;
use std::net::{SocketAddr, TcpListener};
#[cfg(unix)]
use std::os::unix::net::UnixListener;
#[cfg(unix)]
use std::path::Path;

use listenfd::ListenFd;

use crate::Variables;

/// Who opened them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Opener {
    /// By its own configuration, which is right about addresses.
    #[default]
    ServiceManager,
    /// By ours, as it was then.
    Predecessor,
}

/// A socket that was handed over.
#[derive(Debug)]
enum Handed {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix(UnixListener),
}

impl Handed {
    fn tcp_address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(socket) => socket.local_addr().ok(),
            #[cfg(unix)]
            Self::Unix(_) => None,
        }
    }

    fn into_tcp(self) -> Option<TcpListener> {
        match self {
            Self::Tcp(socket) => Some(socket),
            #[cfg(unix)]
            Self::Unix(_) => None,
        }
    }
}

/// The sockets that were handed to this process.
#[derive(Debug, Default)]
pub struct Sockets {
    named: Vec<(String, Handed)>,
    opener: Opener,
}

/// A socket was handed over that is of no use.
#[derive(Debug)]
pub struct SocketError {
    name: String,
    source: io::Error,
}

impl std::fmt::Display for SocketError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "take over the socket {:?}", self.name)
    }
}

impl std::error::Error for SocketError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

impl Sockets {
    /// Those of this process. To be called once, before there is a second thread: the variables that
    /// name them are removed.
    ///
    /// # Errors
    /// Fails closed: when one of them is no listening socket, of TCP or in the file system.
    pub fn of_process(variables: &Variables) -> Result<Self, SocketError> {
        let mut handed = ListenFd::from_env();
        let names: Vec<&str> = variables.listen_fdnames.as_deref().unwrap_or_default().split(':').collect();
        let mut named = Vec::with_capacity(handed.len());
        for index in 0..handed.len() {
            let name = names.get(index).copied().unwrap_or_default().to_owned();
            match take_over(&mut handed, index) {
                Ok(Some(socket)) => named.push((name, socket)),
                Ok(None) => {}
                Err(source) => return Err(SocketError { name, source }),
            }
        }
        let opener = match variables.handover_socket {
            Some(_) => Opener::Predecessor,
            None => Opener::ServiceManager,
        };
        Ok(Self { named, opener })
    }

    /// Takes the sockets of a listener: those of its name, and those that listen at its address. A
    /// predecessor's of that name that listen elsewhere are not for it any more: the configuration has
    /// changed since.
    #[must_use]
    pub fn take(&mut self, name: &str, address: SocketAddr) -> Vec<TcpListener> {
        let opener = self.opener;
        let mine = self.named.extract_if(.., |(own, socket)| opener.means(own, socket, (name, address)));
        mine.filter_map(|(_, socket)| socket.into_tcp()).collect()
    }

    /// Takes the socket of a listener that has one, of several with the same name: by its address first.
    #[must_use]
    pub fn take_one(&mut self, name: &str, address: SocketAddr) -> Option<TcpListener> {
        let opener = self.opener;
        let is_there = |socket: &Handed| socket.tcp_address() == Some(address);
        let by_address = self
            .named
            .iter()
            .position(|(own, socket)| is_there(socket) && opener.means(own, socket, (name, address)));
        let found = by_address.or_else(|| {
            self.named.iter().position(|(own, socket)| opener.means(own, socket, (name, address)))
        });
        self.named.remove(found?).1.into_tcp()
    }

    /// Takes the socket that listens at a path.
    #[cfg(unix)]
    #[must_use]
    pub fn take_at(&mut self, path: &Path) -> Option<UnixListener> {
        let is_there = |socket: &Handed| match socket {
            Handed::Unix(socket) => socket.local_addr().is_ok_and(|at| at.as_pathname() == Some(path)),
            Handed::Tcp(_) => false,
        };
        let found = self.named.iter().position(|(_name, socket)| is_there(socket))?;
        match self.named.remove(found).1 {
            Handed::Unix(socket) => Some(socket),
            Handed::Tcp(_) => None,
        }
    }

    /// What nobody took.
    pub fn left(&self) -> impl Iterator<Item = &str> {
        self.named.iter().map(|(name, _)| name.as_str())
    }
}

impl Opener {
    /// Whether a socket of TCP that it called `own` is for the listener of this name at this address.
    fn means(self, own: &str, socket: &Handed, (name, address): (&str, SocketAddr)) -> bool {
        let Some(local) = socket.tcp_address() else { return false };
        let is_there = local == address;
        let could_be = address.port() == 0 && local.ip() == address.ip();
        match self {
            Self::ServiceManager => own == name || is_there,
            Self::Predecessor => own == name && (is_there || could_be),
        }
    }
}

fn take_over(handed: &mut ListenFd, index: usize) -> io::Result<Option<Handed>> {
    match handed.take_tcp_listener(index) {
        Ok(socket) => Ok(socket.map(Handed::Tcp)),
        // It stays where it is, and may be of the other kind.
        #[cfg(unix)]
        Err(no_tcp) => match handed.take_unix_listener(index) {
            Ok(socket) => Ok(socket.map(Handed::Unix)),
            Err(_neither) => Err(no_tcp),
        },
        #[cfg(not(unix))]
        Err(no_tcp) => Err(no_tcp),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sockets(opener: Opener, names: &[&str]) -> (Sockets, SocketAddr) {
        let first = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = first.local_addr().unwrap();
        let again = || Handed::Tcp(first.try_clone().unwrap());
        let named = names.iter().map(|name| ((*name).to_owned(), again())).collect();
        (Sockets { named, opener }, address)
    }

    #[test]
    fn a_predecessors_sockets_go_where_they_were() {
        let (mut all, address) = sockets(Opener::Predecessor, &["http-door", "admin", "http-door"]);
        assert_eq!(all.take("http-door", "127.0.0.1:1".parse().unwrap()).len(), 0, "it moved");
        assert_eq!(all.take("redirect", address).len(), 0);
        assert_eq!(all.take("http-door", "127.0.0.1:0".parse().unwrap()).len(), 2);
        assert_eq!(all.left().collect::<Vec<_>>(), ["admin"]);
    }

    #[test]
    fn a_service_managers_sockets_go_by_name_or_by_address() {
        let elsewhere = "0.0.0.0:8443".parse().unwrap();
        let (mut all, address) = sockets(Opener::ServiceManager, &["http-door", "countersign.socket"]);
        assert_eq!(all.take("http-door", elsewhere).len(), 1);
        assert_eq!(all.take("admin", elsewhere).len(), 0);
        assert_eq!(all.take("admin", address).len(), 1);
        assert_eq!(all.left().count(), 0);
    }

    #[cfg(unix)]
    #[test]
    fn a_socket_at_a_path_goes_to_who_listens_there_and_to_nobody_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("egress.sock");
        let socket = UnixListener::bind(&path).unwrap();
        let named = vec![("egress".to_owned(), Handed::Unix(socket))];
        let mut all = Sockets { named, opener: Opener::Predecessor };
        assert!(all.take("egress", "127.0.0.1:0".parse().unwrap()).is_empty());
        assert!(all.take_at(&folder.path().join("other.sock")).is_none());
        assert!(all.take_at(&path).is_some() && all.take_at(&path).is_none());
    }

    #[test]
    fn of_several_with_one_name_each_listener_gets_one() {
        let (mut all, address) = sockets(Opener::Predecessor, &["egress", "egress"]);
        let any = "127.0.0.1:0".parse().unwrap();
        assert!(all.take_one("egress", "127.0.0.1:1".parse().unwrap()).is_none());
        assert!(all.take_one("egress", address).is_some() && all.take_one("egress", any).is_some());
        assert!(all.take_one("egress", any).is_none());
    }
}
