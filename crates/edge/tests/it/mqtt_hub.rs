//! The MQTT door with nothing behind it but a sink and the hub; and with clients that others wrote.

use std::process::{Command, Output};
use std::sync::Arc;

use countersign_edge::mqtt::wire::{PropertyId, PropertyWriter, Qos, Version};
use countersign_edge::mqtt::{Fate, Hub, Letter, Message, MqttUpstream, SetAside, Sink, SinkError, Taking};
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::mqtt_site::{BOTH, MqttSite, connect, connect_with};
use crate::site::PATIENCE;

const OWN: &str = "tenant/acme/device/d1/telemetry";
const COMMANDS: &str = "tenant/acme/device/d1/commands";

/// Keeps messages once it may.
#[derive(Debug)]
struct Keeper {
    is_open: watch::Sender<bool>,
    kept: Arc<Mutex<Vec<Message>>>,
    aside: Mutex<Vec<SetAside>>,
}

impl Keeper {
    fn new(is_open: bool) -> Arc<Self> {
        Arc::new(Self { is_open: watch::channel(is_open).0, kept: Arc::default(), aside: Mutex::default() })
    }
}

impl Sink for Keeper {
    fn take(&self, message: Message) -> Taking {
        let (mut open, kept) = (self.is_open.subscribe(), Arc::clone(&self.kept));
        Box::pin(async move {
            if message.payload == b"unkept" {
                return Err(SinkError("the disk is full".into()));
            }
            open.wait_for(|open| *open).await.map_err(|error| SinkError(error.into()))?;
            let is_odd = message.payload == b"odd";
            kept.lock().push(message);
            Ok(if is_odd { Fate::SetAside } else { Fate::Kept })
        })
    }

    fn set_aside(&self, denied: SetAside) {
        self.aside.lock().push(denied);
    }
}

fn site(keeper: &Arc<Keeper>) -> (MqttSite, Arc<Hub>) {
    let hub = Hub::new();
    let sink = Arc::clone(keeper);
    let site = MqttSite::before(MqttUpstream::Hub(Arc::clone(&hub)), |config| config.sink = Some(sink));
    (site, hub)
}

fn d1() -> countersign_core::snapshot::DeviceKey {
    ("acme".parse().unwrap(), "d1".parse().unwrap())
}

fn letter(topic: &str, payload: &[u8]) -> Letter {
    Letter { topic: topic.to_owned(), payload: payload.to_vec(), life: None }
}

#[tokio::test]
async fn a_message_is_acknowledged_once_the_sink_has_it() {
    for version in BOTH {
        let keeper = Keeper::new(false);
        let (site, _hub) = site(&keeper);
        let mut device = site.device("d1", version).await;
        device.publish(OWN, Some((Qos::AtLeastOnce, 1)), b"first").await;
        device.publish(OWN, Some((Qos::ExactlyOnce, 2)), b"second").await;
        // The ping waits behind them.
        device.send(&[0xc0, 0]).await;
        assert!(keeper.kept.lock().is_empty());
        keeper.is_open.send_replace(true);
        assert_eq!(device.next().await, [0x40, 2, 0, 1]);
        assert_eq!(device.next().await, [0x50, 2, 0, 2]);
        assert_eq!(device.next().await, [0xd0, 0]);
        device.send(&[0x62, 2, 0, 2]).await;
        assert_eq!(device.next().await, [0x70, 2, 0, 2]);
        let kept = keeper.kept.lock().clone();
        let payloads: Vec<_> = kept.iter().map(|message| message.payload.as_slice()).collect();
        assert_eq!(payloads, [b"first".as_slice(), b"second"]);
        assert!(
            kept.iter().all(|message| message.topic == OWN && message.identity.device().as_str() == "d1")
        );
        // What is said just before a goodbye is kept, too.
        device.publish(OWN, None, b"last").await;
        device.send(&[0xe0, 0]).await;
        device.end().await;
        assert_eq!(keeper.kept.lock().last().unwrap().payload, b"last");
    }
}

#[tokio::test]
async fn what_the_sink_does_not_keep_is_not_acknowledged() {
    let keeper = Keeper::new(true);
    let (site, _hub) = site(&keeper);
    let mut device = site.device("d1", Version::V5).await;
    device.publish(OWN, Some((Qos::AtLeastOnce, 1)), b"unkept").await;
    assert_eq!(device.end().await, [[0xe0, 2, 0x89, 0]]);
}

#[tokio::test]
async fn what_the_sink_sets_aside_is_answered_and_reaches_no_broker() {
    let keeper = Keeper::new(true);
    let sink = Arc::clone(&keeper);
    let (site, broker) = MqttSite::with(|config| config.sink = Some(sink)).await;
    let mut witness = broker.witness().await;
    for version in BOTH {
        let mut device = site.device("d1", version).await;
        device.publish(OWN, Some((Qos::AtLeastOnce, 1)), b"odd").await;
        device.publish(OWN, Some((Qos::ExactlyOnce, 2)), b"odd").await;
        device.publish(OWN, None, b"odd").await;
        assert_eq!(device.next().await, [0x40, 2, 0, 1]);
        assert_eq!(device.next().await, [0x50, 2, 0, 2]);
        device.send(&[0x62, 2, 0, 2]).await;
        assert_eq!(device.next().await, [0x70, 2, 0, 2], "{version:?}");
        device.publish(OWN, Some((Qos::AtLeastOnce, 2)), b"good").await;
        assert_eq!(device.next().await.get(..4), Some(&[0x40, 2, 0, 2][..]));
        let seen = witness.next().await;
        assert!(seen.ends_with(b"good"), "{version:?} {seen:x?}");
        assert_eq!(keeper.kept.lock().drain(..).count(), 4);
    }
}

#[tokio::test]
async fn denied_messages_are_set_aside_with_the_identity_of_their_sender() {
    let keeper = Keeper::new(true);
    let (site, _hub) = site(&keeper);
    let mut device = site.device("d1", Version::V311).await;
    device.publish("tenant/acme/device/d2/telemetry", Some((Qos::AtLeastOnce, 1)), b"stolen").await;
    assert_eq!(device.next().await, [0x40, 2, 0, 1]);
    let aside = keeper.aside.lock().pop().unwrap();
    assert_eq!(aside.code, "TOPIC_IDENTITY_MISMATCH");
    assert_eq!(aside.message.identity.device().as_str(), "d1");
    assert_eq!(aside.message.payload, b"stolen");
    assert!(keeper.kept.lock().is_empty());
}

#[tokio::test]
async fn a_will_reaches_the_sink_when_its_device_vanishes() {
    let keeper = Keeper::new(true);
    let (site, _hub) = site(&keeper);
    let certificate = site.certificate("acme", "d1");
    let with_will = connect(Version::V311, "id", true, Some((OWN, false)));
    let mut polite = site.connected(&certificate, Version::V311, &with_will).await;
    polite.send(&[0xe0, 0]).await;
    polite.end().await;
    drop(site.connected(&certificate, Version::V311, &with_will).await);
    let deadline = tokio::time::Instant::now() + PATIENCE;
    let mut ticks = tokio::time::interval(std::time::Duration::from_millis(10));
    while keeper.kept.lock().is_empty() && tokio::time::Instant::now() < deadline {
        ticks.tick().await;
    }
    let kept = keeper.kept.lock();
    assert_eq!(kept.len(), 1);
    assert_eq!((kept[0].topic.as_str(), kept[0].payload.as_slice()), (OWN, b"gone".as_slice()));
}

#[tokio::test]
async fn commands_reach_who_subscribed_also_later_and_never_the_fallen() {
    for version in BOTH {
        let keeper = Keeper::new(true);
        let (mut site, hub) = site(&keeper);
        let certificate = site.certificate("acme", "d1");
        let persistent = match version {
            Version::V311 => connect(version, "id", false, None),
            Version::V5 => {
                let mut properties = PropertyWriter::new();
                properties.four(PropertyId::SessionExpiry, 1000);
                connect_with(version, "id", false, None, &properties)
            }
        };
        let mut device = site.connected(&certificate, version, &persistent).await;
        assert_eq!(hub.send(&d1(), &letter(COMMANDS, b"early")), 0, "nobody subscribed");
        let no = if version == Version::V5 { 0x87 } else { 0x80 };
        assert_eq!(device.subscribe(1, &[COMMANDS, "#"]).await, [1, no]);
        assert_eq!(hub.send(&d1(), &letter(COMMANDS, b"now")), 1);
        assert_eq!(device.message().await, (COMMANDS.to_owned(), b"now".to_vec()));
        assert_eq!(hub.send(&d1(), &letter("tenant/acme/device/d1/jobs/1", b"unasked")), 0);
        device.send(&[0xe0, 0]).await;
        device.end().await;
        assert_eq!(hub.send(&d1(), &letter(COMMANDS, b"later")), 1);
        let mut device = site.connected(&certificate, version, &persistent).await;
        assert_eq!(device.message().await.1, b"later");
        let mut second = site.connected(&certificate, version, &persistent).await;
        assert_eq!(device.end().await.len(), usize::from(version == Version::V5), "taken over");
        assert_eq!(hub.send(&d1(), &letter(COMMANDS, b"again")), 1);
        assert_eq!(second.message().await.1, b"again");
        let bar = countersign_core::snapshot::Bar::Quarantined;
        site.apply(|snapshot| snapshot.barred.insert(d1(), bar)).await;
        second.end().await;
        let deadline = tokio::time::Instant::now() + PATIENCE;
        let mut ticks = tokio::time::interval(std::time::Duration::from_millis(10));
        while hub.send(&d1(), &letter(COMMANDS, b"never")) > 0 && tokio::time::Instant::now() < deadline {
            ticks.tick().await;
        }
        site.apply(|snapshot| snapshot.barred.clear()).await;
        let mut device = site.connected(&certificate, version, &persistent).await;
        assert!(device.until_pong().await.is_empty());
    }
}

/// What `mosquitto_pub` says, with these options, as this device or nobody.
async fn mosquitto_pub(site: &MqttSite, device: Option<&str>, options: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("root.pem"), site.ca.root_pem()).unwrap();
    let mut command = Command::new("mosquitto_pub");
    command.args(["-h", "localhost", "-p", &site.door.local_addr().port().to_string(), "--cafile"]);
    command.arg(at("root.pem")).args(options);
    if let Some(name) = device {
        let certificate = site.certificate("acme", name);
        std::fs::write(at("device.pem"), certificate.chain_pem()).unwrap();
        std::fs::write(at("device.key"), certificate.key_pem()).unwrap();
        command.arg("--cert").arg(at("device.pem")).arg("--key").arg(at("device.key"));
    }
    let ran = tokio::task::spawn_blocking(move || command.output());
    let output = ran.await.unwrap().expect("apt-get install mosquitto-clients (scripts/test does it)");
    drop(folder);
    output
}

#[tokio::test]
async fn mosquittos_own_client_publishes_and_is_stopped() {
    let keeper = Keeper::new(true);
    let (mut site, _hub) = site(&keeper);
    for version in ["mqttv311", "mqttv5"] {
        for qos in ["0", "1", "2"] {
            let said =
                mosquitto_pub(&site, Some("d1"), &["-V", version, "-q", qos, "-t", OWN, "-m", "{}"]).await;
            assert!(said.status.success(), "{said:?}");
        }
        let stolen = ["-V", version, "-q", "1", "-t", "tenant/acme/device/d2/telemetry", "-m", "{}"];
        mosquitto_pub(&site, Some("d1"), &stolen).await;
        let nobody = mosquitto_pub(&site, None, &["-V", version, "-t", OWN, "-m", "{}"]).await;
        assert!(!nobody.status.success(), "{nobody:?}");
    }
    let kept = keeper.kept.lock().iter().filter(|message| message.topic == OWN).count();
    assert_eq!((kept, keeper.kept.lock().len(), keeper.aside.lock().len()), (6, 6, 2));
    site.apply(|snapshot| snapshot.barred.insert(d1(), countersign_core::snapshot::Bar::Quarantined)).await;
    let fallen = mosquitto_pub(&site, Some("d1"), &["-t", OWN, "-m", "{}"]).await;
    assert!(!fallen.status.success(), "{fallen:?}");
}
