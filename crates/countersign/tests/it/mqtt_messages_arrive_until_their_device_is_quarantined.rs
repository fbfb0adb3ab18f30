//! Proves that `serve` opens an MQTT door without being told to: a device's telemetry is in the database once it
//! is acknowledged, also after kill -9; what is none is set aside and can be released; and a quarantined device
//! is cut off and does not come back.

use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use crate::harness::{Device, Installation, Running, done, door_port, until};

struct Mqtt<'a> {
    installation: &'a Installation,
    port: u16,
    prefix: String,
}

impl<'a> Mqtt<'a> {
    async fn of(installation: &'a Installation, device: &Device) -> Self {
        let folder = installation.folder();
        fs_err::write(folder.join("root.pem"), installation.root_pem()).unwrap();
        fs_err::write(folder.join("device.pem"), device.identity_pem()).unwrap();
        let port = door_port(installation);
        let body = serde_json::to_value(installation.admin().device(device.id).await).unwrap();
        let prefix = format!("tenant/{}/device/{}/", body["tenant"].as_str().unwrap(), device.name);
        Self { installation, port, prefix }
    }

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

/// Runs one of our commands with a token, and reads what it prints.
async fn told(installation: &Installation, arguments: &[&str]) -> Value {
    let token = done(&installation.admin().post("/api-tokens", &json!({ "name": "m" })).await);
    let file = installation.folder().join("token");
    fs_err::write(&file, token["token"].as_str().unwrap()).unwrap();
    let common = ["--token-file", "token", "--ports-file", "ports.json", "--json"];
    let ran = installation.run(&[arguments, &common].concat());
    serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("{} {}", ran.stdout, ran.stderr))
}

#[tokio::test]
async fn mqtt_messages_arrive_until_their_device_is_quarantined() {
    let mut installation = Installation::start().await;
    let device = Device::enrol(&installation, "sensor-7").await;
    let body = serde_json::to_value(installation.admin().device(device.id).await).unwrap();
    let good = json!({ "site_id": body["site"], "metrics": { "temp": 22.5 } }).to_string();
    let mqtt = Mqtt::of(&installation, &device).await;
    let kept = mqtt.publish(&mqtt.own("telemetry"), &good);
    assert!(kept.status.success(), "{kept:?}");
    drop(mqtt);
    installation.kill().await;
    installation.start_again().await;

    let mqtt = Mqtt::of(&installation, &device).await;
    let found = told(&installation, &["telemetry", "query"]).await;
    let [line] = found["messages"].as_array().unwrap().as_slice() else { panic!("{found}") };
    assert_eq!((&line["device"], &line["payload"]["metrics"]["temp"]), (&json!(device.name), &json!(22.5)));
    let one = told(&installation, &["telemetry", "tail", "--count", "1"]).await;
    assert_eq!(one["id"], 1);

    mqtt.publish(&mqtt.own("telemetry"), "{\"site_id\":\"nowhere\",\"metrics\":{}}");
    mqtt.publish(&mqtt.own("telemetry").replace(device.name.as_str(), "another"), &good);
    let listed = async || told(&installation, &["quarantine", "messages", "list"]).await["messages"].clone();
    until("both are set aside", async || listed().await.as_array().unwrap().len() == 2).await;
    let aside = listed().await;
    let reasons: Vec<&Value> = aside.as_array().unwrap().iter().map(|one| &one["reason"]).collect();
    assert_eq!(reasons, ["TOPIC_IDENTITY_MISMATCH", "SITE_MISMATCH_REGISTRY_VS_PAYLOAD"]);
    let released = told(&installation, &["quarantine", "messages", "release", "1"]).await;
    assert_eq!(released["telemetryId"], 2);

    let folder = installation.folder();
    let mut listening = mqtt.command("mosquitto_sub", &mqtt.own("commands"));
    let listening = listening.stdout(fs_err::File::create(folder.join("sub.log")).unwrap().into_file());
    let listening = Running::start(listening.stderr(Stdio::null()));
    let heard = || fs_err::read_to_string(folder.join("sub.log")).unwrap_or_default();
    installation.admin().queue_command(device.id, &json!({ "type": "ping" })).await;
    until("the device listens", async || heard().contains("ping")).await;
    done(&installation.admin().quarantine(device.id, "test").await);
    until("the session is cut", async || installation.log().contains("end=Cut")).await;
    drop(listening);
    let refused = mqtt.publish(&mqtt.own("telemetry"), &good);
    assert!(!refused.status.success(), "{refused:?}");
}
