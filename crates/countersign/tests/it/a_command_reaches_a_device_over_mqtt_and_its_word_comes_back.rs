//! Proves that a command that is queued over the API reaches a device at the MQTT door, at once or when it
//! subscribes, and that what the device says came of it is its outcome.

use std::process::{Child, Command, Stdio};

use countersign_core::ids::CommandId;
use serde_json::{Value, json};

use crate::harness::{Device, Installation, done, until};

struct Mqtt {
    folder: std::path::PathBuf,
    port: u16,
    prefix: String,
}

impl Mqtt {
    fn client(&self, program: &str, topic: &str, rest: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(&self.folder)
            .args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "--cafile", "root.pem"])
            .args(["--cert", "device.pem", "--key", "device.pem", "-q", "1", "-V", "mqttv5"])
            .args(["-t", &format!("{}{topic}", self.prefix)])
            .args(rest);
        command
    }

    /// A device that listens for commands and writes them into a file.
    fn listener(&self) -> Child {
        let heard = fs_err::File::create(self.folder.join("heard")).unwrap().into_file();
        let mut command = self.client("mosquitto_sub", "commands", &[]);
        command.stdout(heard).stderr(Stdio::null()).spawn().unwrap()
    }

    fn heard(&self) -> Vec<Value> {
        let text = fs_err::read_to_string(self.folder.join("heard")).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn say(&self, word: &Value) {
        let said = self.client("mosquitto_pub", "commands/ack", &["-m", &word.to_string()]).output().unwrap();
        assert!(said.status.success(), "{said:?}");
    }
}

#[tokio::test]
async fn a_command_reaches_a_device_over_mqtt_and_its_word_comes_back() {
    let installation = Installation::start().await;
    let device = Device::enrol(&installation, "pump-1").await;
    let folder = installation.folder().to_owned();
    fs_err::write(folder.join("root.pem"), installation.root_pem()).unwrap();
    fs_err::write(folder.join("device.pem"), device.identity_pem()).unwrap();
    let ports: Value =
        serde_json::from_str(&fs_err::read_to_string(folder.join("ports.json")).unwrap()).unwrap();
    let body = serde_json::to_value(installation.admin().device(device.id).await).unwrap();
    let mqtt = Mqtt {
        folder,
        port: u16::try_from(ports["mqttDoor"].as_u64().unwrap()).unwrap(),
        prefix: format!("tenant/{}/device/{}/", body["tenant"].as_str().unwrap(), device.name),
    };
    let queue = async || installation.admin().queue_command(device.id, &json!({ "type": "ping" })).await;
    let state = async |id: CommandId| {
        let found = installation.admin().get(&format!("/devices/{}/commands/{id}", device.id)).await;
        done(&found)["status"].as_str().unwrap().to_owned()
    };

    let early = queue().await;
    let mut listener = mqtt.listener();
    until("what waited is offered", async || mqtt.heard().len() == 1).await;
    assert_eq!(mqtt.heard()[0]["id"], json!(early));
    let late = queue().await;
    until("what comes is offered", async || mqtt.heard().len() == 2).await;
    assert_eq!((&mqtt.heard()[1]["id"], &mqtt.heard()[1]["type"]), (&json!(late), &json!("ping")));

    mqtt.say(&json!({ "id": early, "status": "received" }));
    assert_eq!(state(early).await, "delivered");
    mqtt.say(&json!({ "id": early, "status": "completed", "result": { "ok": true } }));
    assert_eq!(state(early).await, "completed");
    listener.kill().unwrap();
    listener.wait().unwrap();
    let mut listener = mqtt.listener();
    until("only what is open is offered again", async || mqtt.heard().len() == 1).await;
    assert_eq!(mqtt.heard()[0]["id"], json!(late));
    listener.kill().unwrap();
    listener.wait().unwrap();

    // Another device has no word in it.
    let other = Device::enrol(&installation, "pump-2").await;
    fs_err::write(mqtt.folder.join("device.pem"), other.identity_pem()).unwrap();
    let theirs = Mqtt { prefix: mqtt.prefix.replace(device.name.as_str(), other.name.as_str()), ..mqtt };
    theirs.say(&json!({ "id": late, "status": "completed" }));
    assert_eq!(state(late).await, "queued");
}
