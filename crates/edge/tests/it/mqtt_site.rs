//! The fixture of an MQTT door: a real Mosquitto behind it, or the hub; devices that say any bytes; and a
//! witness at the broker who sees what arrives.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use countersign_core::settings::Enforcement;
use countersign_core::snapshot::{SnapshotVersion, TrustSnapshot};
use countersign_edge::mqtt::wire::{
    Connect, Encoder, Frame, Packet, Properties, PropertyWriter, Publish, Qos, Subscription, Version, Will,
    next_frame,
};
use countersign_edge::mqtt::{Account, Broker, MqttDoor, MqttDoorConfig, MqttUpstream};
use countersign_edge::{DoorHandle, DoorInputs, EdgeReport, ProxyHeader, RefusedRequest, TcpUpstream};
use countersign_testkit::{LeafSpec, ManualClock, TestCa, TestCertificate, vacant_address};
use countersign_tls::{ClientIdentity, ClientTls, ServerTrust};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use crate::site::{NOW, PATIENCE, credentials};

pub(crate) const BOTH: [Version; 2] = [Version::V311, Version::V5];

/// The longest packet that a test reads.
const LIMIT: usize = 1 << 20;

/// A Mosquitto on loopback, gone with the value.
pub(crate) struct Mosquitto {
    process: Child,
    pub(crate) address: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Mosquitto {
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for _attempt in 0..5 {
            let address = vacant_address();
            let text = format!(
                "listener {} {}\nallow_anonymous true\npersistence false\nlog_dest none\n",
                address.port(),
                address.ip()
            );
            let path = folder.path().join("mosquitto.conf");
            std::fs::write(&path, text).unwrap();
            let started = Command::new("mosquitto")
                .arg("-c")
                .arg(&path)
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn();
            let mut process =
                started.expect("mosquitto is needed: apt-get install mosquitto (scripts/test does it)");
            let deadline = tokio::time::Instant::now() + PATIENCE;
            let mut ticks = tokio::time::interval(Duration::from_millis(10));
            while process.try_wait().unwrap().is_none() && tokio::time::Instant::now() < deadline {
                ticks.tick().await;
                if TcpStream::connect(address).await.is_ok() {
                    return Self { process, address, _folder: folder };
                }
            }
        }
        panic!("mosquitto does not start");
    }

    pub(crate) fn stop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Who sees everything that reaches the broker.
    pub(crate) async fn witness(&self) -> Client<TcpStream> {
        let mut witness = self.client("witness", Version::V5, true).await;
        witness.subscribe(1, &["#"]).await;
        witness
    }

    /// A client of the broker's own.
    pub(crate) async fn client(&self, id: &str, version: Version, is_clean: bool) -> Client<TcpStream> {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let mut client = Client::new(stream, version);
        client.send(&connect(version, id, is_clean, None)).await;
        assert_eq!(client.next().await.first(), Some(&0x20));
        client
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

pub(crate) struct MqttSite {
    pub(crate) ca: TestCa,
    pub(crate) door: DoorHandle,
    pub(crate) snapshots: watch::Sender<Arc<TrustSnapshot>>,
    pub(crate) applied: watch::Receiver<SnapshotVersion>,
    pub(crate) reports: mpsc::Receiver<EdgeReport>,
    pub(crate) clock: Arc<ManualClock>,
}

impl MqttSite {
    /// In front of a broker.
    pub(crate) async fn usual() -> (Self, Mosquitto) {
        Self::with(|_config| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut MqttDoorConfig)) -> (Self, Mosquitto) {
        let broker = Mosquitto::start().await;
        (Self::before(Self::to(broker.address), change), broker)
    }

    pub(crate) fn to(address: SocketAddr) -> MqttUpstream {
        MqttUpstream::Broker(Broker {
            server: TcpUpstream::Tcp { host: address.ip().to_string(), port: address.port() },
            account: Account::Anonymous,
            proxy_header: ProxyHeader::None,
        })
    }

    pub(crate) fn before(upstream: MqttUpstream, change: impl FnOnce(&mut MqttDoorConfig)) -> Self {
        let ca = TestCa::new("countersign.internal");
        let mut config = MqttDoorConfig::new(SocketAddr::from(([127, 0, 0, 1], 0)), upstream);
        config.workers = NonZeroUsize::new(2).unwrap();
        change(&mut config);
        let snapshot = Arc::new(ca.snapshot(&["acme", "other"], Enforcement::Enforce));
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
        let door = MqttDoor::start(config, inputs).unwrap();
        Self { ca, door, snapshots, applied, reports, clock }
    }

    /// A certificate that lives from 1000 seconds ago to in 1000 seconds.
    pub(crate) fn certificate(&self, tenant: &str, name: &str) -> TestCertificate {
        self.ca.mint(&LeafSpec {
            not_before: NOW - Duration::from_secs(1000),
            not_after: NOW + Duration::from_secs(1000),
            ..self.ca.device_spec(tenant, name)
        })
    }

    /// A connection whose handshake is done, with nothing said yet.
    pub(crate) async fn open(&self, certificate: Option<&TestCertificate>, version: Version) -> Client<Tls> {
        let identity = certificate.map(|own| ClientIdentity::from_pem(own.chain_pem(), own.key_pem()));
        let trust = ServerTrust::Roots(self.ca.root_pem());
        let client = ClientTls::new(&trust, identity.as_ref()).unwrap().with_protocols(&[]);
        let io = TcpStream::connect(self.door.local_addr()).await.unwrap();
        let stream = timeout(PATIENCE, client.handshake("door.test", io)).await.unwrap().unwrap();
        Client::new(stream, version)
    }

    /// A device of acme's that is connected.
    pub(crate) async fn device(&self, name: &str, version: Version) -> Client<Tls> {
        self.connected(&self.certificate("acme", name), version, &connect(version, "id", true, None)).await
    }

    pub(crate) async fn connected(
        &self,
        certificate: &TestCertificate,
        version: Version,
        connect: &[u8],
    ) -> Client<Tls> {
        let mut device = self.open(Some(certificate), version).await;
        device.send(connect).await;
        let connack = device.next().await;
        assert_eq!((connack.first(), connack.get(3)), (Some(&0x20), Some(&0)), "{connack:x?}");
        device
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

    /// The facts of the next refusal.
    pub(crate) async fn refused(&mut self) -> RefusedRequest {
        let report = timeout(PATIENCE, self.reports.recv()).await.expect("a report in time").unwrap();
        let EdgeReport::Refused(facts) = report else { panic!("{report:?} instead of a refusal") };
        *facts
    }
}

pub(crate) type Tls = countersign_tls::ClientStream<TcpStream>;

/// A client that says any bytes.
pub(crate) struct Client<S> {
    stream: S,
    pub(crate) version: Version,
    inbox: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    pub(crate) fn new(stream: S, version: Version) -> Self {
        Self { stream, version, inbox: Vec::new() }
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    /// The next packet; `None`: the connection ended.
    pub(crate) async fn try_next(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Ok(Some(frame)) = next_frame(&self.inbox, LIMIT) {
                let bytes = frame.bytes.to_vec();
                self.inbox.drain(..bytes.len());
                return Some(bytes);
            }
            let mut chunk = [0; 4096];
            match timeout(PATIENCE, self.stream.read(&mut chunk)).await.expect("something in time") {
                Ok(count) if count > 0 => self.inbox.extend(chunk.iter().take(count)),
                Ok(_) | Err(_) => return None,
            }
        }
    }

    pub(crate) async fn next(&mut self) -> Vec<u8> {
        self.try_next().await.expect("a packet")
    }

    /// Waits for the end; what was said before it.
    pub(crate) async fn end(&mut self) -> Vec<Vec<u8>> {
        let mut said = Vec::new();
        while let Some(packet) = self.try_next().await {
            said.push(packet);
        }
        said
    }

    /// Reads on, however long that takes; whether the connection goes on.
    pub(crate) async fn has_more(&mut self) -> bool {
        let mut chunk = [0; 64];
        self.stream.read(&mut chunk).await.is_ok_and(|count| count > 0)
    }

    /// Everything up to the answer to a ping.
    pub(crate) async fn until_pong(&mut self) -> Vec<Vec<u8>> {
        self.send(&[0xc0, 0]).await;
        let mut said = Vec::new();
        loop {
            match self.next().await {
                packet if packet.first() == Some(&0xd0) => return said,
                packet => said.push(packet),
            }
        }
    }

    /// The codes of the SUBACK.
    pub(crate) async fn subscribe(&mut self, id: u16, filters: &[&str]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let all = filters.iter().map(|filter| Subscription { filter, options: 1 });
        Encoder::new(self.version, &mut bytes).subscribe(id, Properties::default(), all);
        self.send(&bytes).await;
        let answer = self.next().await;
        let Packet::Suback(codes) = self.read(&answer) else { panic!("{answer:x?}") };
        assert_eq!(codes.packet_id, id);
        codes.codes.to_vec()
    }

    pub(crate) async fn publish(&mut self, topic: &str, id: Option<(Qos, u16)>, payload: &[u8]) {
        let bytes = publish(self.version, topic, id, payload, &PropertyWriter::new());
        self.send(&bytes).await;
    }

    pub(crate) fn read<'a>(&self, bytes: &'a [u8]) -> Packet<'a> {
        let frame: Frame<'a> = next_frame(bytes, LIMIT).unwrap().unwrap();
        Packet::read(frame, self.version).unwrap()
    }

    /// Topic and payload of the next message; it is acknowledged.
    pub(crate) async fn message(&mut self) -> (String, Vec<u8>) {
        let bytes = self.next().await;
        let Packet::Publish(publish) = self.read(&bytes) else { panic!("{bytes:x?}") };
        let (topic, payload, id) = (publish.topic.to_owned(), publish.payload.to_vec(), publish.packet_id);
        if let Some(id) = id {
            let [high, low] = id.to_be_bytes();
            self.send(&[0x40, 2, high, low]).await;
        }
        (topic, payload)
    }
}

pub(crate) fn connect(
    version: Version,
    client_id: &str,
    is_clean: bool,
    will: Option<(&str, bool)>,
) -> Vec<u8> {
    connect_with(version, client_id, is_clean, will, &PropertyWriter::new())
}

pub(crate) fn connect_with(
    version: Version,
    client_id: &str,
    is_clean: bool,
    will: Option<(&str, bool)>,
    properties: &PropertyWriter,
) -> Vec<u8> {
    let none = Properties::default();
    let will = will.map(|(topic, is_retained)| Will {
        qos: Qos::AtLeastOnce,
        is_retained,
        properties: none,
        topic,
        payload: b"gone",
    });
    let connect = Connect {
        version,
        is_clean,
        keep_alive: 60,
        properties: none,
        client_id,
        will,
        user_name: Some("service_pulse"),
        password: Some(b"guessed"),
    };
    let (mut bytes, empty) = (Vec::new(), PropertyWriter::new());
    let will = connect.will.as_ref().map(|will| (will, &empty));
    Encoder::new(version, &mut bytes).connect(&connect, properties, will);
    bytes
}

pub(crate) fn publish(
    version: Version,
    topic: &str,
    id: Option<(Qos, u16)>,
    payload: &[u8],
    properties: &PropertyWriter,
) -> Vec<u8> {
    let message = Publish {
        is_dup: false,
        qos: id.map_or(Qos::AtMostOnce, |(qos, _)| qos),
        is_retained: false,
        topic,
        packet_id: id.map(|(_, id)| id),
        properties: Properties::default(),
        payload,
    };
    let mut bytes = Vec::new();
    Encoder::new(version, &mut bytes).publish(&message, topic, properties);
    bytes
}

/// The same, to be kept at the broker.
pub(crate) fn retained(mut publish: Vec<u8>) -> Vec<u8> {
    *publish.first_mut().unwrap() |= 1;
    publish
}
