//! The fixture of a TCP door: an upstream that echoes, and clients that show what they are told to.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use countersign_core::settings::Enforcement;
use countersign_core::snapshot::{SnapshotVersion, TrustSnapshot};
use countersign_edge::{
    DoorInputs, EdgeReport, RefusedRequest, TcpDoor, TcpDoorConfig, TcpDoorHandle, TcpUpstream,
};
use countersign_testkit::{LeafSpec, ManualClock, TestCa, TestCertificate};
use countersign_tls::{ClientIdentity, ClientStream, ClientTls, ServerTrust};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::{interval, timeout};

use crate::site::{NOW, PATIENCE, credentials};

pub(crate) const LOOPBACK: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

pub(crate) type Session = ClientStream<TcpStream>;

pub(crate) struct TcpSite {
    pub(crate) ca: TestCa,
    pub(crate) door: TcpDoorHandle,
    pub(crate) echo: Echo,
    pub(crate) snapshots: watch::Sender<Arc<TrustSnapshot>>,
    pub(crate) applied: watch::Receiver<SnapshotVersion>,
    pub(crate) reports: mpsc::Receiver<EdgeReport>,
    pub(crate) clock: Arc<ManualClock>,
}

impl TcpSite {
    pub(crate) async fn usual() -> Self {
        Self::with(|_config| {}).await
    }

    /// A door that differs from the usual one.
    pub(crate) async fn with(change: impl FnOnce(&mut TcpDoorConfig)) -> Self {
        let echo = Echo::start().await;
        let ca = TestCa::new("countersign.internal");
        let upstream = TcpUpstream::Tcp { host: "127.0.0.1".to_owned(), port: echo.address.port() };
        let mut config = TcpDoorConfig::new("echo", LOOPBACK, upstream);
        config.workers = NonZeroUsize::new(2).unwrap();
        change(&mut config);
        let snapshot = Arc::new(ca.snapshot(&["acme"], Enforcement::Enforce));
        let (snapshots, watching) = watch::channel(snapshot);
        let (applying, applied) = watch::channel(SnapshotVersion::default());
        let (reporting, reports) = mpsc::channel(1000);
        let clock = Arc::new(ManualClock::at(NOW));
        let inputs = DoorInputs {
            counts: Arc::default(),
            credentials: credentials(&ca),
            snapshots: watching,
            applied: applying,
            reports: reporting,
            control_plane: None,
            clock: Arc::clone(&clock) as _,
        };
        let door = TcpDoor::start(config, inputs).unwrap();
        Self { ca, door, echo, snapshots, applied, reports, clock }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.door.door().local_addr()
    }

    /// A device whose certificate lives from 1000 seconds ago to in 1000 seconds.
    pub(crate) fn device(&self, name: &str) -> TestCertificate {
        self.ca.mint(&LeafSpec {
            not_before: NOW - Duration::from_secs(1000),
            not_after: NOW + Duration::from_secs(1000),
            ..self.ca.device_spec("acme", name)
        })
    }

    /// A client that shows this, and resumes its sessions.
    pub(crate) fn client(&self, certificate: Option<&TestCertificate>) -> ClientTls {
        let identity = certificate.map(|own| ClientIdentity::from_pem(own.chain_pem(), own.key_pem()));
        let trust = ServerTrust::Roots(self.ca.root_pem());
        ClientTls::new(&trust, identity.as_ref()).unwrap().with_protocols(&[])
    }

    /// A session over TLS; whether it is let in is another question.
    pub(crate) async fn open(&self, client: &ClientTls) -> Session {
        let io = TcpStream::connect(self.address()).await.unwrap();
        timeout(PATIENCE, client.handshake("door.test", io)).await.unwrap().unwrap()
    }

    /// The same once the door has a place again: the other side sees an end a moment before its place is free.
    pub(crate) async fn open_when_there_is_a_place(&self, client: &ClientTls) -> Session {
        let opened = async {
            let mut ticks = interval(Duration::from_millis(10));
            loop {
                ticks.tick().await;
                let io = TcpStream::connect(self.address()).await.unwrap();
                if let Ok(session) = client.handshake("door.test", io).await {
                    return session;
                }
            }
        };
        timeout(PATIENCE, opened).await.unwrap()
    }

    /// Changes the snapshot and waits until the door has applied it.
    pub(crate) async fn apply<R>(&mut self, change: impl FnOnce(&mut TrustSnapshot) -> R) {
        self.snapshots.send_modify(|snapshot| {
            let snapshot = Arc::make_mut(snapshot);
            snapshot.version.epoch += 1;
            change(snapshot);
        });
        let version = self.snapshots.borrow().version;
        let applied = self.applied.wait_for(|applied| *applied >= version);
        timeout(PATIENCE, applied).await.unwrap().unwrap();
    }

    pub(crate) async fn next_report(&mut self) -> EdgeReport {
        timeout(PATIENCE, self.reports.recv()).await.expect("a report in time").unwrap()
    }

    /// The facts of the next refusal.
    pub(crate) async fn refused(&mut self) -> RefusedRequest {
        let report = self.next_report().await;
        let EdgeReport::Refused(facts) = report else { panic!("{report:?} instead of a refusal") };
        *facts
    }
}

/// Whether what is sent comes back.
pub(crate) async fn echoes<IO: AsyncRead + AsyncWrite + Unpin>(session: &mut IO) -> bool {
    let mut back = [0; 5];
    let exchange = async {
        session.write_all(b"hello").await?;
        session.read_exact(&mut back).await
    };
    timeout(PATIENCE, exchange).await.unwrap().is_ok() && back == *b"hello"
}

/// Waits until the other side has ended it, and says whether it said goodbye.
pub(crate) async fn ended<IO: AsyncRead + Unpin>(session: &mut IO) -> bool {
    let mut rest = Vec::new();
    timeout(PATIENCE, session.read_to_end(&mut rest)).await.unwrap().is_ok()
}

/// An upstream that says everything back, and then goodbye.
pub(crate) struct Echo {
    pub(crate) address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

impl Echo {
    async fn start() -> Self {
        let listener = TcpListener::bind(LOOPBACK).await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::<AtomicUsize>::default();
        let count = Arc::clone(&connections);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(say_back(stream));
            }
        });
        Self { address, connections }
    }

    /// How many have reached it.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

pub(crate) async fn say_back<IO: AsyncRead + AsyncWrite + Unpin>(mut io: IO) {
    let mut buffer = [0; 1024];
    while let Ok(read @ 1..) = io.read(&mut buffer).await {
        if io.write_all(buffer.get(..read).unwrap()).await.is_err() {
            return;
        }
    }
    drop(io.shutdown().await);
}
