//! A TCP door as a whole.

use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use countersign_core::settings::Enforcement;
use countersign_tls::ClientAuth;
use countersign_tls::tunnel::SpliceLimits;
use ipnet::IpNet;

use super::changes::{Lasting, TcpChanges};
use super::counters::{Counters, TcpCounts};
use super::proxy_header::ProxyHeader;
use super::session::TcpInside;
use super::upstream::TcpUpstream;
use crate::accept::Frontage;
use crate::accept::limits::Limits;
use crate::accept::listen::{self, Listeners};
use crate::audience::Audience;
use crate::door::{DoorError, DoorHandle, DoorInputs, Frame, open};
use crate::report::Reports;

/// How a TCP door behaves.
#[derive(Clone, Debug)]
pub struct TcpDoorConfig {
    /// What people call it: in logs, and as the route of what it refuses.
    pub name: String,
    /// Where it listens; port 0 takes a free one.
    pub addresses: Vec<SocketAddr>,
    /// How many threads serve it, each with sockets of its own.
    pub workers: NonZeroUsize,
    /// Whether it asks for a client certificate, and whether a bad one ends the handshake.
    pub client_auth: ClientAuth,
    /// The same by the DNS name that a client asks for, where that asks for more: what a client says of the
    /// name that it wants cannot make a door ask for less.
    pub client_auth_of_hosts: Vec<(String, ClientAuth)>,
    /// Whether an identity is required. A fallen one is refused in any case.
    pub identity: Enforcement,
    /// Whom it admits; `None`: every device, and nobody else.
    pub audience: Option<Arc<Audience>>,
    /// Whether rules block, are only recorded, or are not run. Those that ask about a request, by any field of
    /// `http` or `raw`, are never run.
    pub rules: Enforcement,
    /// What stands behind it.
    pub upstream: TcpUpstream,
    /// What the upstream is told before the first byte.
    pub proxy_header: ProxyHeader,
    /// How long a PROXY header and a TLS handshake may take together.
    pub handshake_timeout: Duration,
    /// How long the upstream may take to be there, TLS handshake included.
    pub connect_timeout: Duration,
    /// How long a session may last.
    pub session: SpliceLimits,
    /// How many connections it holds.
    pub limits: Limits,
    /// The networks whose connections begin with a PROXY header; all others must not.
    pub proxy_networks: Vec<IpNet>,
}

impl TcpDoorConfig {
    /// A door of this name to this upstream that requires an identity.
    #[must_use]
    pub fn new(name: impl Into<String>, address: SocketAddr, upstream: TcpUpstream) -> Self {
        Self {
            name: name.into(),
            addresses: vec![address],
            workers: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            client_auth: ClientAuth::Optional,
            client_auth_of_hosts: Vec::new(),
            identity: Enforcement::Enforce,
            audience: None,
            rules: Enforcement::Enforce,
            upstream,
            proxy_header: ProxyHeader::None,
            handshake_timeout: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(10),
            session: SpliceLimits { idle: Some(Duration::from_secs(3600)), lifetime: None },
            limits: Limits::default(),
            proxy_networks: Vec::new(),
        }
    }
}

/// A listener for any protocol over TLS that admits or refuses whole connections.
#[derive(Debug)]
pub struct TcpDoor;

impl TcpDoor {
    /// Opens the door: binds its addresses and starts its threads. A control plane in this process is of
    /// no use to it.
    ///
    /// # Errors
    /// Fails closed: a door with an unusable address, rule or TLS setting is not opened.
    pub fn start(config: TcpDoorConfig, inputs: DoorInputs) -> Result<TcpDoorHandle, DoorError> {
        Self::start_on(config, inputs, Vec::new())
    }

    /// Takes its addresses, where connections wait from now on until it is opened on these sockets.
    ///
    /// # Errors
    /// When an address cannot be bound.
    pub fn reserve(config: &TcpDoorConfig) -> Result<Vec<TcpListener>, DoorError> {
        listen::open(&config.addresses, config.workers, Vec::new()).map(Listeners::flattened)
    }

    /// The same on sockets that were handed over, if there are any; the address is not bound then.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_on(
        config: TcpDoorConfig,
        inputs: DoorInputs,
        sockets: Vec<TcpListener>,
    ) -> Result<TcpDoorHandle, DoorError> {
        let current = inputs.current()?;
        let tls = inputs.tls(config.client_auth)?.with_protocols(&[]);
        let frontage = Frontage::new(tls, config.frontage());
        let lasting = Lasting {
            current: Arc::clone(&current),
            clock: Arc::clone(&inputs.clock),
            reports: Reports::new(inputs.reports.clone(), Arc::clone(&inputs.counts)),
            counters: Arc::default(),
        };
        let (name, addresses, workers) = (config.name.clone(), config.addresses.clone(), config.workers);
        let counters = Arc::clone(&lasting.counters);
        let services = Arc::new(ArcSwap::from_pointee(lasting.service(config)));
        let inside = TcpInside { services: Arc::clone(&services) };
        let changes = TcpChanges { services, frontage: frontage.clone(), lasting };
        let frame = Frame { addresses, sockets, workers, frontage };
        let door = open(frame, inside, current, inputs)?;
        Ok(TcpDoorHandle { name, door, counters, changes })
    }
}

/// An open TCP door. Dropping it closes the door at once.
#[derive(Debug)]
pub struct TcpDoorHandle {
    name: String,
    door: DoorHandle,
    counters: Arc<Counters>,
    changes: TcpChanges,
}

impl TcpDoorHandle {
    /// What people call it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it has in common with other doors.
    #[must_use]
    pub const fn door(&self) -> &DoorHandle {
        &self.door
    }

    /// What of it can be changed while it is open.
    #[must_use]
    pub fn changes(&self) -> TcpChanges {
        self.changes.clone()
    }

    /// What it has carried.
    #[must_use]
    pub fn counts(&self) -> TcpCounts {
        self.counters.now()
    }

    /// Closes the door: takes no new connection, lets sessions end by themselves for at most `grace`,
    /// cuts what is left, and waits for the threads to end.
    pub async fn drain(self, grace: Duration) {
        self.door.drain(grace).await;
    }

    /// Leaves it to a process that has its sockets; see [`DoorHandle::hand_over`].
    pub async fn hand_over(self, settle: Duration, grace: Duration) {
        self.door.hand_over(settle, grace).await;
    }
}
