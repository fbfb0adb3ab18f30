//! Sockets: one for each address and worker, sharing a port by SO_REUSEPORT so that the kernel
//! spreads connections and no worker waits for another.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroUsize;
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};

use crate::door::DoorError;

const BACKLOG: i32 = 4096;
/// Finds out about peers that are gone without a word.
const KEEP_ALIVE: TcpKeepalive =
    TcpKeepalive::new().with_time(Duration::from_secs(60)).with_interval(Duration::from_secs(15));

/// The sockets of a door.
#[derive(Debug)]
pub(crate) struct Listeners {
    /// Where they listen, ports resolved.
    pub(crate) addresses: Vec<SocketAddr>,
    /// For each worker one socket for each address.
    pub(crate) per_worker: Vec<Vec<TcpListener>>,
}

impl Listeners {
    /// The same sockets once more, to be handed to the process that takes this one's place.
    pub(crate) fn again(&self) -> io::Result<Vec<TcpListener>> {
        self.per_worker.iter().flatten().map(TcpListener::try_clone).collect()
    }

    /// All of them, to be listened at later.
    pub(crate) fn flattened(self) -> Vec<TcpListener> {
        self.per_worker.into_iter().flatten().collect()
    }
}

/// Binds every address once for each worker, unless sockets that listen there were `handed` over. Port 0
/// is resolved by the first socket; the others share its port.
pub(crate) fn open(
    addresses: &[SocketAddr],
    workers: NonZeroUsize,
    handed: Vec<TcpListener>,
) -> Result<Listeners, DoorError> {
    if handed.is_empty() {
        return bind(addresses, workers);
    }
    let failed = |source| DoorError::HandedOver { source };
    let mut resolved: Vec<SocketAddr> = Vec::new();
    for socket in &handed {
        prepare(socket).map_err(failed)?;
        let address = socket.local_addr().map_err(failed)?;
        if !resolved.contains(&address) {
            resolved.push(address);
        }
    }
    let mut per_worker: Vec<Vec<TcpListener>> = Vec::new();
    per_worker.resize_with(workers.get(), Vec::new);
    // Each worker listens at each address. Every socket is somebody's: connections may wait in any.
    for address in &resolved {
        let mut here = Vec::new();
        for socket in &handed {
            if socket.local_addr().map_err(failed)? == *address {
                here.push(socket);
            }
        }
        for number in 0..workers.get().max(here.len()) {
            let Some(socket) = here.get(number % here.len()) else { continue };
            let worker = per_worker.get_mut(number % workers);
            worker
                .into_iter()
                .try_for_each(|sockets| socket.try_clone().map(|own| sockets.push(own)))
                .map_err(failed)?;
        }
    }
    drop(handed);
    Ok(Listeners { addresses: resolved, per_worker })
}

/// What is inherited by accepted connections, on a socket that somebody else opened.
fn prepare(socket: &TcpListener) -> io::Result<()> {
    let socket = SockRef::from(socket);
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_keepalive(&KEEP_ALIVE)
}

fn bind(addresses: &[SocketAddr], workers: NonZeroUsize) -> Result<Listeners, DoorError> {
    if addresses.is_empty() {
        return Err(DoorError::NoAddress);
    }
    let mut resolved = Vec::with_capacity(addresses.len());
    let mut per_worker: Vec<Vec<TcpListener>> = Vec::new();
    per_worker.resize_with(workers.get(), Vec::new);
    for &address in addresses {
        let failed = |source| DoorError::Listen { address, source };
        if address.port() != 0 {
            refuse_a_taken_port(address).map_err(failed)?;
        }
        let mut bound = address;
        for (number, sockets) in per_worker.iter_mut().enumerate() {
            let listener = socket(bound).map_err(failed)?;
            if number == 0 {
                bound = listener.local_addr().map_err(failed)?;
            }
            sockets.push(listener);
        }
        resolved.push(bound);
    }
    Ok(Listeners { addresses: resolved, per_worker })
}

/// Another program of the same user could share the port, and then half of the connections would be
/// its: a socket that does not share finds out.
fn refuse_a_taken_port(address: SocketAddr) -> io::Result<()> {
    let probe = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        probe.set_only_v6(true)?;
    }
    probe.set_reuse_address(true)?;
    probe.bind(&address.into())?;
    probe.listen(1)
}

fn socket(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    // Inherited by what is accepted.
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_keepalive(&KEEP_ALIVE)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn port_zero_is_one_port_for_every_worker() {
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        let listeners = bind(&[loopback, loopback], NonZeroUsize::new(3).unwrap()).unwrap();
        assert_eq!(listeners.per_worker.len(), 3);
        for sockets in &listeners.per_worker {
            let bound: Vec<_> = sockets.iter().map(|s| s.local_addr().unwrap()).collect();
            assert_eq!(bound, listeners.addresses);
        }
        assert_ne!(listeners.addresses[0].port(), 0);
    }

    #[test]
    fn refuses_a_port_that_another_door_has() {
        let first = bind(&[SocketAddr::from(([127, 0, 0, 1], 0))], NonZeroUsize::MIN).unwrap();
        let taken = bind(&first.addresses, NonZeroUsize::MIN).unwrap_err();
        assert!(
            matches!(taken, DoorError::Listen { source, .. } if source.kind() == io::ErrorKind::AddrInUse)
        );
    }

    #[tokio::test]
    async fn every_socket_that_is_handed_over_is_listened_at() {
        let first = bind(&[SocketAddr::from(([127, 0, 0, 1], 0))], NonZeroUsize::new(3).unwrap()).unwrap();
        for workers in [1, 2, 3, 5] {
            let handed = first.again().unwrap();
            let taken = open(&[], NonZeroUsize::new(workers).unwrap(), handed).unwrap();
            assert_eq!(taken.addresses, first.addresses);
            assert_eq!(taken.per_worker.len(), workers);
            assert!(taken.per_worker.iter().all(|sockets| !sockets.is_empty()));
            assert_eq!(taken.per_worker.iter().flatten().count(), workers.max(3));
        }
    }

    #[test]
    fn refuses_to_listen_nowhere() {
        assert!(matches!(bind(&[], NonZeroUsize::MIN), Err(DoorError::NoAddress)));
    }
}
