//! A device that reads nothing of what it subscribed to is cut off: what waits for it is bounded, and others are
//! served meanwhile.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use countersign_edge::mqtt::wire::{
    Encoder, Frame, Packet, Properties, PropertyWriter, Publish, Qos, Subscription, Version, next_frame,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout};

use crate::mqtt_site::{BOTH, MqttSite};
use crate::site::PATIENCE;

const COMMANDS: &str = "tenant/acme/device/d1/commands";

/// What a door and the sockets before and behind it may hold of what is not read.
const HELD: usize = 64 * 1024 * 1024;

/// A broker that says something for ever to whoever subscribes as d1.
#[derive(Default)]
struct Flood {
    /// How many bytes the door took of it.
    taken: AtomicUsize,
    /// How many such conversations the door ended.
    ended: AtomicUsize,
}

async fn flooding(flood: Arc<Flood>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _peer)) = listener.accept().await {
            tokio::spawn(converse(stream, Arc::clone(&flood)));
        }
    });
    address
}

async fn converse(mut stream: TcpStream, flood: Arc<Flood>) {
    let (mut inbox, mut version) = (Vec::new(), Version::V5);
    while stream.read_buf(&mut inbox).await.is_ok_and(|count| count > 0) {
        while let Some((answer, length)) = answered(&inbox, &mut version) {
            stream.write_all(&answer).await.unwrap();
            let floods = answer.first() == Some(&0x90)
                && inbox.windows(COMMANDS.len()).any(|part| part == COMMANDS.as_bytes());
            inbox.drain(..length);
            if floods {
                say_for_ever(&mut stream, version, &flood).await;
                flood.ended.fetch_add(1, Ordering::Relaxed);
                return;
            }
        }
    }
}

/// The answer to the first packet, and how long that is.
fn answered(inbox: &[u8], version: &mut Version) -> Option<(Vec<u8>, usize)> {
    let frame: Frame<'_> = next_frame(inbox, 1 << 20).unwrap()?;
    let is_5 = |version: Version| version == Version::V5;
    let packet = Packet::read(frame, *version).unwrap();
    let answer = if let Packet::Connect(connect) = packet {
        *version = connect.version;
        if is_5(*version) { vec![0x20, 3, 0, 0, 0] } else { vec![0x20, 2, 0, 0] }
    } else if let Packet::Subscribe(subscribe) = packet {
        let [high, low] = subscribe.packet_id.to_be_bytes();
        if is_5(*version) { vec![0x90, 4, high, low, 0, 1] } else { vec![0x90, 3, high, low, 1] }
    } else {
        vec![0xd0, 0]
    };
    Some((answer, frame.bytes.len()))
}

async fn say_for_ever(stream: &mut TcpStream, version: Version, flood: &Flood) {
    let publish = Publish {
        is_dup: false,
        qos: Qos::AtMostOnce,
        is_retained: false,
        topic: COMMANDS,
        packet_id: None,
        properties: Properties::default(),
        payload: &[b'x'; 16 * 1024],
    };
    let mut message = Vec::new();
    Encoder::new(version, &mut message).publish(&publish, COMMANDS, &PropertyWriter::new());
    while stream.write_all(&message).await.is_ok() {
        flood.taken.fetch_add(message.len(), Ordering::Relaxed);
    }
}

#[tokio::test]
async fn a_device_that_reads_nothing_is_cut_off_and_others_are_served() {
    for version in BOTH {
        let flood = Arc::new(Flood::default());
        let broker = flooding(Arc::clone(&flood)).await;
        let site = MqttSite::before(MqttSite::to(broker), |config| {
            config.terms.slow_reader = Duration::from_secs(1);
        });
        let mut other = site.device("d2", version).await;
        let mut slow = site.device("d1", version).await;
        let mut asked = Vec::new();
        let wanted = [Subscription { filter: COMMANDS, options: 0 }].into_iter();
        Encoder::new(version, &mut asked).subscribe(1, Properties::default(), wanted);
        slow.send(&asked).await;
        let deadline = Instant::now() + PATIENCE;
        while flood.ended.load(Ordering::Relaxed) == 0 {
            assert!(Instant::now() < deadline, "it goes on");
            assert!(other.until_pong().await.is_empty(), "the other is served");
        }
        let taken = flood.taken.load(Ordering::Relaxed);
        assert!((16 * 1024..HELD).contains(&taken), "{taken}");
        timeout(PATIENCE, slow.end()).await.unwrap();
        assert!(other.until_pong().await.is_empty(), "and after it");
    }
}
