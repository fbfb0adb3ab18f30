//! Mosquitto: its clients as a device at the MQTT door, and the broker behind it.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use countersign_testkit::vacant_address;
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpStream;

use super::device::Device;
use super::edge::Edge;
use super::installation::Installation;
use super::running::Running;
use super::waiting::until;

/// A device that talks with Mosquitto's clients.
pub(crate) struct MqttDevice {
    folder: std::path::PathBuf,
    name: String,
    port: u16,
    prefix: String,
}

impl MqttDevice {
    pub(crate) async fn of(installation: &Installation, device: &Device) -> Self {
        let (folder, name) = (installation.folder().to_owned(), device.name.to_string());
        fs_err::write(folder.join("root.pem"), installation.root_pem()).unwrap();
        fs_err::write(folder.join(format!("{name}.pem")), device.identity_pem()).unwrap();
        let body = serde_json::to_value(installation.admin().device(device.id).await).unwrap();
        let prefix = format!("tenant/{}/device/{name}/", body["tenant"].as_str().unwrap());
        Self { port: door_port(installation), folder, name, prefix }
    }

    /// The same at the door of an edge.
    pub(crate) fn at(mut self, edge: &Edge) -> Self {
        self.port = mqtt_door(&edge.ports());
        self
    }

    /// At the door that this ports file names; `None` while there is none.
    pub(crate) fn where_listens(&mut self, ports_file: &Path) -> Option<()> {
        let text = fs_err::read_to_string(ports_file).ok()?;
        self.port = mqtt_door(&serde_json::from_str(&text).ok()?);
        Some(())
    }

    fn client(&self, program: &str) -> Command {
        let own = format!("{}.pem", self.name);
        let mut command = Command::new(program);
        command
            .current_dir(&self.folder)
            .args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "--cafile", "root.pem"])
            .args(["--cert", &own, "--key", &own, "-q", "1", "-V", "mqttv5"]);
        command
    }

    /// Its topic of this ending.
    pub(crate) fn topic(&self, rest: &str) -> String {
        format!("{}{rest}", self.prefix)
    }

    /// Says this on a topic of its own.
    pub(crate) fn say(&self, rest: &str, message: &Value) {
        let said = self.try_to_say(rest, message);
        assert!(said.status.success(), "{said:?}");
    }

    /// Says this, and tells what came of it.
    pub(crate) fn try_to_say(&self, rest: &str, message: &Value) -> Output {
        self.saying(rest, message).output().unwrap()
    }

    /// Says this, and waits for nothing.
    pub(crate) fn begin_to_say(&self, rest: &str, message: &Value) -> Running {
        Running::start(self.saying(rest, message).stdout(Stdio::null()).stderr(Stdio::null()))
    }

    pub(crate) fn saying(&self, rest: &str, message: &Value) -> Command {
        let mut command = self.client("mosquitto_pub");
        command.args(["-t", &self.topic(rest), "-m", &message.to_string()]);
        command
    }

    /// Begins to listen, with these options besides; forgets what it heard before.
    pub(crate) fn listen(&self, topics: &[&str], options: &[&str]) -> MqttListener {
        let log = self.folder.join(format!("{}.heard", self.name));
        let heard = fs_err::File::create(&log).unwrap().into_file();
        let mut command = self.client("mosquitto_sub");
        for topic in topics {
            command.args(["-t", &self.topic(topic)]);
        }
        command.args(["-F", "%t %p"]).args(options);
        let process = Running::start(command.stdout(heard).stderr(Stdio::null()));
        MqttListener { _process: process, log, prefix: self.prefix.clone() }
    }
}

/// A device that listens; it stops with the value.
pub(crate) struct MqttListener {
    _process: Running,
    log: std::path::PathBuf,
    prefix: String,
}

impl MqttListener {
    /// What it heard, and on which topics of its own.
    pub(crate) fn heard(&self) -> Vec<(String, Value)> {
        let text = fs_err::read_to_string(&self.log).unwrap_or_default();
        let line = |line: &str| {
            let (topic, payload) = line.split_once(' ')?;
            let topic = topic.strip_prefix(&self.prefix).unwrap().to_owned();
            Some((topic, serde_json::from_str(payload).ok()?))
        };
        text.lines().filter_map(line).collect()
    }
}

/// Where the MQTT door is that devices of an installation come to.
pub(crate) fn door_port(installation: &Installation) -> u16 {
    mqtt_door(&installation.ports())
}

fn mqtt_door(ports: &Value) -> u16 {
    u16::try_from(ports["mqttDoor"].as_u64().unwrap()).unwrap()
}

/// A broker on loopback, gone with the value.
pub(crate) struct Mosquitto {
    process: Child,
    pub(crate) address: SocketAddr,
    folder: TempDir,
}

impl Mosquitto {
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let address = vacant_address();
        let path = folder.path().join("mosquitto.conf");
        let socket = folder.path().join("door.sock");
        // The folder is of whoever runs the test.
        let text = format!(
            "user root\nlistener 0 {}\nlistener {} {}\nallow_anonymous true\npersistence false\nlog_dest none\n",
            socket.display(),
            address.port(),
            address.ip()
        );
        fs_err::write(&path, text).unwrap();
        let mut command = Command::new("mosquitto");
        command.arg("-c").arg(&path).stdout(Stdio::null()).stderr(Stdio::null());
        let process =
            command.spawn().unwrap_or_else(|_| panic!("apt-get install mosquitto (scripts/test does it)"));
        until("mosquitto listens", async || TcpStream::connect(address).await.is_ok()).await;
        Self { process, address, folder }
    }

    /// Its Unix socket.
    pub(crate) fn socket(&self) -> std::path::PathBuf {
        self.folder.path().join("door.sock")
    }

    /// What somebody at the broker itself says.
    fn say(&self, topic: &str, message: &str) -> Output {
        let (host, port) = (self.address.ip().to_string(), self.address.port().to_string());
        let arguments = ["-h", &host, "-p", &port, "-q", "1", "-t", topic, "-m", message];
        Command::new("mosquitto_pub").args(arguments).output().unwrap()
    }

    /// Who sees the topic of everything that is said from now on.
    pub(crate) async fn witness(&self) -> Witness<'_> {
        let log = self.folder.path().join("witness");
        let heard = fs_err::File::create(&log).unwrap().into_file();
        let (host, port) = (self.address.ip().to_string(), self.address.port().to_string());
        let mut command = Command::new("mosquitto_sub");
        command.args(["-h", &host, "-p", &port, "-q", "1", "-t", "#", "-F", "%t"]);
        let process = Running::start(command.stdout(heard).stderr(Stdio::null()));
        let witness = Witness { broker: self, _process: process, log };
        witness.until("begun").await;
        witness
    }
}

/// A broker with the dynamic-security plugin, whose accounts somebody keeps; gone with the value.
pub(crate) struct KeptMosquitto {
    folder: TempDir,
    address: SocketAddr,
    _process: Running,
}

impl KeptMosquitto {
    /// One with these lines about its listener besides.
    pub(crate) async fn start(listener: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], vacant_address().port()));
        let (accounts, log) = (folder.path().join("accounts.json"), folder.path().join("log"));
        fs_err::write(folder.path().join("password"), DRIVER_PASSWORD).unwrap();
        let made = Command::new("mosquitto_ctrl")
            .args(["dynsec", "init"])
            .arg(&accounts)
            .args(["countersign", DRIVER_PASSWORD])
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        let plugin = found_below("/usr/lib", "mosquitto_dynamic_security.so");
        let text = format!(
            "user root\nlog_type all\nlog_dest file {}\nallow_anonymous false\nplugin {}\n\
             plugin_opt_config_file {}\nlistener {} {}\n{listener}",
            log.display(),
            plugin.display(),
            accounts.display(),
            address.port(),
            address.ip(),
        );
        let conf = folder.path().join("mosquitto.conf");
        fs_err::write(&conf, text).unwrap();
        let process = Running::server(Command::new("mosquitto").arg("-c").arg(&conf), address.port()).await;
        Self { folder, address, _process: process }
    }

    /// The configuration of whoever keeps its accounts, over this scheme.
    pub(crate) fn kept_over(&self, scheme: &str) -> String {
        let password = self.folder.path().join("password");
        format!("[mosquitto]\ncontrol = \"{scheme}://{}\"\npassword_file = {password:?}\n", self.address)
    }

    /// Whether an account was made for a device of this name.
    pub(crate) fn has_account(&self, device: &str) -> bool {
        let log = fs_err::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        let is_about = |line: &str| line.contains("createClient") && line.contains(&format!("/{device} "));
        log.lines().any(is_about)
    }
}

const DRIVER_PASSWORD: &str = "a password for the driver";

/// The one file of this name in the folders in a folder.
fn found_below(folder: &str, name: &str) -> std::path::PathBuf {
    let folders = fs_err::read_dir(folder).unwrap();
    folders.map(|folder| folder.unwrap().path().join(name)).find(|path| path.exists()).unwrap()
}

/// Sees the topics of what is said at a broker; it stops with the value.
pub(crate) struct Witness<'b> {
    broker: &'b Mosquitto,
    _process: Running,
    log: std::path::PathBuf,
}

impl Witness<'_> {
    /// Every topic so far, in order.
    pub(crate) async fn seen(&self) -> Vec<String> {
        self.until("over").await;
        let text = fs_err::read_to_string(&self.log).unwrap();
        text.lines().filter(|topic| !topic.starts_with("witness/")).map(str::to_owned).collect()
    }

    /// Says something and waits until it is seen: so is everything before.
    async fn until(&self, word: &str) {
        let topic = format!("witness/{word}");
        let seen = async || {
            self.broker.say(&topic, "-");
            fs_err::read_to_string(&self.log).unwrap_or_default().contains(&topic)
        };
        until("the witness sees it", seen).await;
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}
