//! Listening sockets that another process opened: the service manager (sd_listen_fds(3)), or the process
//! whose place this one takes. While they stay open no client is refused, whoever is behind them.

use std::io;
use std::net::{SocketAddr, TcpListener};

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

/// The sockets that were handed to this process.
#[derive(Debug, Default)]
pub struct Sockets {
    named: Vec<(String, TcpListener)>,
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
    /// Fails closed: when one of them is not a listening TCP socket.
    pub fn of_process(variables: &Variables) -> Result<Self, SocketError> {
        let mut handed = ListenFd::from_env();
        let names: Vec<&str> = variables.listen_fdnames.as_deref().unwrap_or_default().split(':').collect();
        let mut named = Vec::with_capacity(handed.len());
        for index in 0..handed.len() {
            let name = names.get(index).copied().unwrap_or_default().to_owned();
            match handed.take_tcp_listener(index) {
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
        let is_for = |own: &str, socket: &TcpListener| {
            let Ok(local) = socket.local_addr() else { return false };
            let is_there = local == address;
            let could_be = address.port() == 0 && local.ip() == address.ip();
            match opener {
                Opener::ServiceManager => own == name || is_there,
                Opener::Predecessor => own == name && (is_there || could_be),
            }
        };
        self.named.extract_if(.., |(own, socket)| is_for(own, socket)).map(|(_, socket)| socket).collect()
    }

    /// What nobody took.
    pub fn left(&self) -> impl Iterator<Item = &str> {
        self.named.iter().map(|(name, _)| name.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sockets(opener: Opener, names: &[&str]) -> (Sockets, SocketAddr) {
        let first = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = first.local_addr().unwrap();
        let named = names.iter().map(|name| ((*name).to_owned(), first.try_clone().unwrap())).collect();
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
}
