//! Addresses where nobody is.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use aws_lc_rs::rand;

/// An address of this machine where nobody listens: for programs that cannot take port 0, and for tests that
/// need nobody there. It stays free, since it is a loopback address of its own (on Linux the whole of
/// 127.0.0.0/8 is this machine), on which nothing else takes a port in the meantime.
#[must_use]
pub fn vacant_address() -> SocketAddr {
    let mut host = [0; 3];
    rand::fill(&mut host).expect("random bytes");
    let [first, second, third] = host;
    // Tests that name an address of their own name one below 127.64.0.0.
    let ip = Ipv4Addr::new(127, 64 | first, second, third.clamp(1, 254));
    TcpListener::bind((ip, 0)).and_then(|listener| listener.local_addr()).expect("a port is free")
}
