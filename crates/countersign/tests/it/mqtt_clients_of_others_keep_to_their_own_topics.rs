//! Proves, with paho-mqtt in both versions of the protocol and the npm package mqtt, that a device reaches at the
//! MQTT door what is its own and nothing else: at the hub and in front of a broker, where a witness sees what
//! arrives. What those clients cannot say is in the tests of the door, with raw packets.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Mutex;

use serde_json::{Value, json};

use crate::harness::{Device, Installation, Mosquitto, MqttDevice, Time, done, door_port};
use crate::program::repository;

/// Held while a client is looked for and installed: half of one is none.
static INSTALLING: Mutex<()> = Mutex::new(());

/// A client that somebody else wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Client {
    Paho,
    Npm,
}

impl Client {
    /// Its program, installed where it is not yet; `None`: it cannot be here.
    fn program(self) -> Option<Command> {
        let folder = repository().join("crates/countersign/tests/mqtt_clients");
        let at = |path: &str| folder.join(path);
        let (there, script, install): (PathBuf, &str, &[&[&str]]) = match self {
            Self::Paho => (
                at("python/bin/paho-installed"),
                "probe.py",
                &[
                    &["python3", "-m", "venv", "python"],
                    &["python/bin/python", "-m", "pip", "install", "-q", "-r", "requirements.txt"],
                    &["touch", "python/bin/paho-installed"],
                ],
            ),
            Self::Npm => (
                at("node_modules/mqtt/package.json"),
                "probe.js",
                &[&["npm", "install", "--no-audit", "--no-fund", "--no-package-lock"]],
            ),
        };
        let _one_at_a_time = INSTALLING.lock();
        let is_installed = there.exists() || install.iter().all(|step| succeeds(&folder, step));
        if !is_installed {
            let mut log = std::io::stderr();
            writeln!(log, "left out: {self:?} cannot be installed here").unwrap();
            return None;
        }
        let mut command = match self {
            Self::Paho => Command::new(at("python/bin/python")),
            Self::Npm => Command::new("node"),
        };
        command.arg(at(script));
        Some(command)
    }
}

fn succeeds(folder: &Path, step: &[&str]) -> bool {
    let mut command = Command::new(step[0]);
    command.args(&step[1..]).current_dir(folder).output().is_ok_and(|ran| ran.status.success())
}

/// What is to come of each attempt.
fn expected(version: u8) -> Value {
    // A denied message of 3.1.1 is acknowledged and goes nowhere; its SUBACK has one code that says no.
    let (denied, no) = if version == 5 { (135, 135) } else { (0, 128) };
    let mut all = json!({
        "connect": 0, "own0": "sent", "own1": 0, "own2": 0,
        "other": denied, "foreign": denied, "sys": denied, "control": denied, "unlisted": denied,
        "bom": denied, "other2": denied, "retained": denied,
        "listen": [1], "listenOther": [no], "listenAll": [no], "listenPlus": [no], "listenShare": [no],
        "listenSys": [no], "listenMixed": [no, 1, no, 1],
        "will": 135, "ownWill": 0, "long": "closed",
    });
    if version == 5 {
        let more = json!({
            "response": 135, "forged": 0, "alias": [0, 0, 135, 135], "unset": "closed", "method": 140,
        });
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    }
    all
}

/// Lets a client try everything.
async fn tries(client: Client, installation: &Installation, mqtt: &MqttDevice, version: u8) -> Option<Value> {
    let mut command = client.program()?;
    let facts = json!({
        "port": door_port(installation),
        "version": version,
        "roots": installation.folder().join("root.pem"),
        "certificate": installation.folder().join("pump-1.pem"),
        "own": mqtt.topic(""),
        "other": mqtt.topic("").replace("pump-1", "pump-2"),
    });
    command.arg(facts.to_string());
    let ran: Output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    let text = String::from_utf8(ran.stdout).unwrap();
    let shown = || format!("{client:?} {version}: {text} {}", String::from_utf8_lossy(&ran.stderr));
    Some(serde_json::from_str(&text).unwrap_or_else(|_| panic!("{}", shown())))
}

async fn all_try(installation: &Installation, mqtt: &MqttDevice) {
    for client in [Client::Paho, Client::Npm] {
        for version in [4, 5] {
            let Some(found) = tries(client, installation, mqtt, version).await else { continue };
            let mut expected = expected(version);
            let all = expected.as_object_mut().unwrap();
            match client {
                // Goes on after a PUBREC that says no, and tells what it is answered then: there is no such exchange.
                Client::Paho if version == 5 => all["other2"] = json!(146),
                Client::Paho => {}
                // Does not send an alias that stands for nothing.
                Client::Npm => drop(all.remove("unset")),
            }
            for (attempt, outcome) in expected.as_object().unwrap() {
                assert_eq!(&found[attempt], outcome, "{client:?} {version} {attempt}: {found}");
            }
        }
    }
}

async fn installed(config: &str) -> (Installation, MqttDevice) {
    let installation = Installation::configured(config, Time::Real).await;
    let device = Device::enrol(&installation, "pump-1").await;
    Device::enrol(&installation, "pump-2").await;
    let mqtt = MqttDevice::of(&installation, &device).await;
    (installation, mqtt)
}

#[tokio::test]
async fn at_the_hub() {
    let (installation, mqtt) = installed("").await;
    all_try(&installation, &mqtt).await;
    let aside = done(&installation.admin().get("/quarantined-messages?limit=500").await);
    for message in aside["messages"].as_array().unwrap() {
        assert_eq!(message["device"], "pump-1", "by the certificate, whatever the topic: {message}");
    }
    let other = mqtt.topic("").replace("pump-1", "pump-2");
    let taken = done(&installation.admin().get("/telemetry?limit=500").await);
    let topics: Vec<&str> =
        taken["messages"].as_array().unwrap().iter().map(|one| one["topic"].as_str().unwrap()).collect();
    assert!(topics.iter().all(|topic| !topic.starts_with(&other)), "{topics:?}");
}

#[tokio::test]
async fn in_front_of_a_broker() {
    let broker = Mosquitto::start().await;
    behind(&broker, &format!("tcp://{}", broker.address)).await;
}

#[tokio::test]
async fn in_front_of_a_broker_at_a_socket() {
    let broker = Mosquitto::start().await;
    behind(&broker, &format!("unix:{}", broker.socket().display())).await;
}

async fn behind(broker: &Mosquitto, upstream: &str) {
    let witness = broker.witness().await;
    let config = format!("[mqtt_door]\nupstream = \"{upstream}\"\n");
    let (installation, mqtt) = installed(&config).await;
    all_try(&installation, &mqtt).await;
    let seen = witness.seen().await;
    let own = mqtt.topic("telemetry");
    assert!(seen.iter().all(|topic| *topic == own), "{seen:?}");
}
