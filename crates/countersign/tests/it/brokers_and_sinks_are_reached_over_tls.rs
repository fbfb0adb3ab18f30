//! Proves, with a Mosquitto and a NATS server that ask for certificates, that the MQTT door and the sinks reach what
//! stands behind them over TLS: by the CA that is named and with the certificate that is shown; and that they tell
//! nothing to a server that another CA vouches for, nor get in without a certificate.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use countersign_testkit::{LeafSpec, TestCa, TestCertificate, vacant_address};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{Device, Installation, MqttDevice, Running, Time, done, until};
use crate::messages_wait_for_their_sinks::jetstream;

/// The servers' side: a CA, what both servers show, and what they ask of clients.
struct Bus {
    folder: TempDir,
    broker: u16,
    nats: u16,
}

impl Bus {
    fn new() -> Self {
        let ca = TestCa::new("bus.example");
        let bus = Self {
            folder: tempfile::tempdir().unwrap(),
            broker: vacant_address().port(),
            nats: vacant_address().port(),
        };
        bus.put("server", &ca.server(&["127.0.0.1", "bus.internal"]));
        bus.put("door", &ca.mint(&LeafSpec::service("door")));
        fs_err::write(bus.path("root.pem"), ca.root_pem()).unwrap();
        fs_err::write(bus.path("twin.pem"), ca.evil_twin().root_pem()).unwrap();
        bus
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn put(&self, name: &str, certificate: &TestCertificate) {
        fs_err::write(self.path(&format!("{name}.pem")), certificate.chain_pem()).unwrap();
        fs_err::write(self.path(&format!("{name}.key")), certificate.key_pem()).unwrap();
    }

    async fn mosquitto(&self) -> Running {
        let text = format!(
            "user root\nlistener {} 127.0.0.1\nallow_anonymous true\nrequire_certificate true\ncafile {}\ncertfile {}\nkeyfile {}\n",
            self.broker,
            self.path("root.pem").display(),
            self.path("server.pem").display(),
            self.path("server.key").display()
        );
        fs_err::write(self.path("mosquitto.conf"), text).unwrap();
        Running::server(Command::new("mosquitto").arg("-c").arg(self.path("mosquitto.conf")), self.broker)
            .await
    }

    /// With TLS, or in clear where a test makes or looks at a stream.
    async fn nats(&self, tls: bool) -> Running {
        let secret = format!(
            "tls {{ cert_file: {:?}, key_file: {:?}, ca_file: {:?}, verify: true }}\n",
            self.path("server.pem"),
            self.path("server.key"),
            self.path("root.pem")
        );
        let text = format!(
            "listen: \"127.0.0.1:{}\"\njetstream {{ store_dir: {:?} }}\n{}",
            self.nats,
            self.path("streams"),
            if tls { &secret } else { "" }
        );
        fs_err::write(self.path("nats.conf"), text).unwrap();
        Running::server(Command::new("nats-server").arg("-c").arg(self.path("nats.conf")), self.nats).await
    }

    /// Who hears everything at the broker.
    async fn witness(&self) -> Running {
        let heard = fs_err::File::create(self.path("heard")).unwrap().into_file();
        let client = |program: &str| {
            let mut command = Command::new(program);
            command
                .current_dir(self.folder.path())
                .args(["-h", "127.0.0.1", "-p", &self.broker.to_string(), "--cafile", "root.pem"])
                .args(["--cert", "door.pem", "--key", "door.key", "-q", "1"]);
            command
        };
        let kept = client("mosquitto_pub").args(["-r", "-t", "kept", "-m", "hello"]).output().unwrap();
        assert!(kept.status.success(), "{kept:?}");
        let mut command = client("mosquitto_sub");
        let witness = command.args(["-v", "-t", "#"]).stdout(heard).stderr(Stdio::null());
        let witness = Running::start(witness);
        until("the witness listens", async || self.heard().contains("hello")).await;
        witness
    }

    fn heard(&self) -> String {
        fs_err::read_to_string(self.path("heard")).unwrap_or_default()
    }

    /// The door's settings for a broker that this CA is to vouch for.
    fn upstream(&self, ca: &str) -> String {
        format!(
            "upstream = \"tls://127.0.0.1:{}\"\nupstream_server_name = \"bus.internal\"\nupstream_ca = {:?}\n",
            self.broker,
            self.path(ca)
        )
    }

    fn shown(&self, prefix: &str, suffix: &str) -> String {
        let (certificate, key) = (self.path("door.pem"), self.path("door.key"));
        format!("{prefix}certificate{suffix} = {certificate:?}\n{prefix}key{suffix} = {key:?}\n")
    }

    fn sink(&self, name: &str, url: &str, ca: &str) -> String {
        let ca = self.path(ca);
        let shown = self.shown("", "_file");
        format!("[[ingest_sink]]\nname = {name:?}\nurl = {url:?}\nca_file = {ca:?}\n{shown}")
    }
}

async fn installed(config: &str) -> (Installation, Device, MqttDevice) {
    let installation = Installation::configured(config, Time::Real).await;
    let device = Device::enrol(&installation, "pump-1").await;
    let mqtt = MqttDevice::of(&installation, &device).await;
    (installation, device, mqtt)
}

async fn good(installation: &Installation, device: &Device) -> Value {
    let body = serde_json::to_value(installation.admin().device(device.id).await).unwrap();
    json!({ "site_id": body["site"], "metrics": { "temp": 22.5 } })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_and_commands_go_over_tls() {
    let bus = Bus::new();
    let clear = bus.nats(false).await;
    jetstream(bus.nats, "STREAM.CREATE.T", &json!({ "name": "T", "subjects": ["countersign.>"] }));
    drop(clear);
    let (_broker, stream) = (bus.mosquitto().await, bus.nats(true).await);
    let _witness = bus.witness().await;
    let config = format!(
        "[mqtt_door]\ningest = \"database\"\n{}{}{}{}",
        bus.upstream("root.pem"),
        bus.shown("upstream_", ""),
        bus.sink("bus", &format!("mqtts://127.0.0.1:{}", bus.broker), "root.pem"),
        bus.sink("stream", &format!("nats+tls://127.0.0.1:{}", bus.nats), "root.pem"),
    );
    let (installation, device, mqtt) = installed(&config).await;
    mqtt.say("telemetry", &good(&installation, &device).await);
    let taken = done(&installation.admin().get("/telemetry").await);
    assert_eq!(taken["messages"].as_array().unwrap().len(), 1, "{taken}");
    let (direct, handed_on) = (format!("{} {{", mqtt.topic("telemetry")), "ingest/default/pump-1 {");
    let both = async || bus.heard().contains(&direct) && bus.heard().contains(handed_on);
    until("the broker has it from the door and from the sink", both).await;

    let listening = mqtt.listen(&["commands"], &[]);
    installation.admin().queue_command(device.id, &json!({ "type": "ping" })).await;
    until("the command is heard", async || !listening.heard().is_empty()).await;
    drop((listening, stream));
    let _clear = bus.nats(false).await;
    let kept = jetstream(bus.nats, "STREAM.INFO.T", &json!({}));
    assert_eq!(kept["state"]["messages"], 1, "{kept}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_of_another_ca_is_told_nothing_and_lets_nobody_in_without_a_certificate() {
    let bus = Bus::new();
    let _broker = bus.mosquitto().await;
    let _witness = bus.witness().await;
    let twin = format!("{}{}", bus.upstream("twin.pem"), bus.shown("upstream_", ""));
    for settings in [twin, bus.upstream("root.pem")] {
        let (installation, device, mqtt) = installed(&format!("[mqtt_door]\n{settings}")).await;
        let said = mqtt.try_to_say("telemetry", &good(&installation, &device).await);
        assert!(!said.status.success(), "{said:?}");
        until("it is written down", async || installation.log().contains("broker")).await;
    }
    assert!(!bus.heard().contains("telemetry"), "{}", bus.heard());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sink_of_another_ca_gets_nothing_and_its_devices_wait() {
    let bus = Bus::new();
    let (_broker, _nats) = (bus.mosquitto().await, bus.nats(true).await);
    let _witness = bus.witness().await;
    let servers = [format!("mqtts://127.0.0.1:{}", bus.broker), format!("nats+tls://127.0.0.1:{}", bus.nats)];
    for url in servers {
        let (installation, device, mqtt) = installed(&bus.sink("bus", &url, "twin.pem")).await;
        let mut waiting = mqtt.begin_to_say("telemetry", &good(&installation, &device).await);
        until("the sink is refused", async || installation.log().contains("TLS with")).await;
        assert!(waiting.goes_on(), "the device waits");
        let taken = done(&installation.admin().get("/telemetry").await);
        assert_eq!(taken["messages"].as_array().unwrap().len(), 0, "{taken}");
    }
    assert!(!bus.heard().contains("ingest/"), "{}", bus.heard());
}
