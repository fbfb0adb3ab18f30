//! Proves that `serve` opens an MQTT door without a broker: a device's messages are kept, those on topics of
//! others are not, and a quarantined device is cut off and does not come back.

use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::harness::{Device, Installation, Time, done, until};

const CONFIG: &str =
    "[mqtt_door]\nenabled = true\nlisten = \"127.0.0.1:0\"\nmessages_file = \"messages.jsonl\"\n";

struct Mqtt<'a> {
    installation: &'a Installation,
    port: u16,
    prefix: String,
}

impl Mqtt<'_> {
    /// One of Mosquitto's clients, as this device.
    fn command(&self, program: &str, topic: &str) -> Command {
        let folder = self.installation.folder();
        let mut command = Command::new(program);
        command
            .current_dir(folder)
            .args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "--cafile", "root.pem"])
            .args(["--cert", "device.pem", "--key", "device.pem", "-V", "mqttv5", "-q", "1", "-t", topic]);
        command
    }

    fn publish(&self, topic: &str, message: &str) -> Output {
        self.command("mosquitto_pub", topic).args(["-m", message]).output().unwrap()
    }

    fn own(&self, rest: &str) -> String {
        format!("{}{rest}", self.prefix)
    }
}

fn lines(installation: &Installation) -> Vec<Value> {
    let text = fs_err::read_to_string(installation.folder().join("messages.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn mqtt_messages_arrive_until_their_device_is_quarantined() {
    let installation = Installation::configured(CONFIG, Time::Real).await;
    let device = Device::enrol(&installation, "sensor-7").await;
    let folder = installation.folder();
    fs_err::write(folder.join("root.pem"), installation.root_pem()).unwrap();
    fs_err::write(folder.join("device.pem"), device.identity_pem()).unwrap();
    let ports: Value =
        serde_json::from_str(&fs_err::read_to_string(folder.join("ports.json")).unwrap()).unwrap();
    let port = u16::try_from(ports["mqttDoor"].as_u64().unwrap()).unwrap();
    let body = serde_json::to_value(installation.admin().device(device.id).await).unwrap();
    let tenant = body["tenant"].as_str().unwrap();
    let prefix = format!("tenant/{tenant}/device/{}/", device.name);
    let mqtt = Mqtt { installation: &installation, port, prefix };

    let kept = mqtt.publish(&mqtt.own("telemetry"), "{\"metrics\":{\"temp\":22.5}}");
    assert!(kept.status.success(), "{kept:?}");
    let [line] = lines(&installation).try_into().unwrap();
    assert_eq!(
        (line["device"].as_str(), line["tenant"].as_str()),
        (Some(device.name.as_str()), Some(tenant))
    );
    assert_eq!(line["payload"]["json"]["metrics"]["temp"], 22.5);
    mqtt.publish(&format!("tenant/{tenant}/device/another/telemetry"), "{}");
    let all = lines(&installation);
    assert_eq!(all.iter().filter(|line| line["refused"].is_null()).count(), 1, "{all:?}");

    let mut listening = mqtt.command("mosquitto_sub", &mqtt.own("commands"));
    let listening =
        listening.arg("-d").stdout(fs_err::File::create(folder.join("sub.log")).unwrap().into_file());
    let mut listening = listening.stderr(Stdio::null()).spawn().unwrap();
    let heard = || fs_err::read_to_string(folder.join("sub.log")).unwrap_or_default();
    until("the device listens", async || heard().contains("Subscribed")).await;
    done(&installation.admin().quarantine(device.id, "test").await);
    until("the session is cut", async || installation.log().contains("end=Cut")).await;
    listening.kill().unwrap();
    listening.wait().unwrap();
    let refused = mqtt.publish(&mqtt.own("telemetry"), "{}");
    assert!(!refused.status.success(), "{refused:?}");
}
