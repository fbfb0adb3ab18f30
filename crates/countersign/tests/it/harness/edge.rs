//! `countersign edge run`, in a folder and on ports of its own.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use countersign_testkit::Connection;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::activation::HeldSockets;
use super::admin::{Admin, done};
use super::clock::FakeTime;
use super::device::Device;
use super::far_machine::FarMachine;
use super::installation::Installation;
use super::waiting::eventually;

const PATIENCE: Duration = Duration::from_secs(60);

/// An edge elsewhere. The process ends with it.
pub(crate) struct Edge {
    folder: TempDir,
    name: String,
    id: String,
    authority: SocketAddr,
    fingerprint: String,
    time: Option<FakeTime>,
    process: Option<Child>,
    /// The process that took its place: nobody's child any more.
    successor: Option<Pid>,
    /// Those that a service manager holds for it.
    sockets: Option<HeldSockets>,
    /// Whether it was told to end.
    is_ending: AtomicBool,
    /// The machine that it runs on; `None`: this one.
    machine: Option<Arc<FarMachine>>,
    /// Where it says how it is.
    health: Option<SocketAddr>,
    port: u16,
}

impl Drop for Edge {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _gone = process.kill();
            let _ended = process.wait();
        }
        if let Some(successor) = self.successor {
            let _gone = kill_process(successor, Signal::KILL);
        }
        if std::thread::panicking() {
            let text = format!("--- what the edge {} logged\n{}---\n", self.name, self.log());
            let _written = std::io::Write::write_all(&mut std::io::stderr(), text.as_bytes());
        }
    }
}

impl Edge {
    /// An edge that is attached and serves.
    pub(crate) async fn start(installation: &Installation, name: &str) -> Self {
        let mut edge = Self::unstarted(installation, name, json!({})).await;
        edge.start_again().await;
        edge
    }

    /// One that was added, with these wishes, and has never been started.
    pub(crate) async fn unstarted(installation: &Installation, name: &str, wishes: Value) -> Self {
        let mut wanted = json!({ "name": name, "publicNames": ["127.0.0.1", "localhost"] });
        for (key, value) in wishes.as_object().unwrap() {
            wanted[key] = value.clone();
        }
        let added = done(&installation.admin().post("/edges", &wanted).await);
        let folder = tempfile::tempdir().unwrap();
        fs_err::write(folder.path().join("token"), added["token"].as_str().unwrap()).unwrap();
        fs_err::write(folder.path().join("edge.toml"), installation.config()).unwrap();
        Self {
            folder,
            name: name.to_owned(),
            id: added["id"].as_str().unwrap().to_owned(),
            authority: installation.own_door(),
            fingerprint: installation.fingerprint(),
            time: installation.fake_time().cloned(),
            process: None,
            successor: None,
            sockets: None,
            is_ending: AtomicBool::new(false),
            machine: None,
            health: None,
            port: 0,
        }
    }

    /// Runs on a machine apart.
    pub(crate) fn on(mut self, machine: Arc<FarMachine>) -> Self {
        self.machine = Some(machine);
        self
    }

    /// Says there how it is.
    pub(crate) fn telling_at(mut self, address: SocketAddr) -> Self {
        self.health = Some(address);
        self
    }

    /// Reaches its authority at this address.
    pub(crate) fn by_way_of(mut self, address: SocketAddr) -> Self {
        self.authority = address;
        self
    }

    /// The same for one that was started before: the next start goes there.
    pub(crate) fn belong_to(&mut self, authority: SocketAddr) {
        self.authority = authority;
    }

    /// Starts the process, which must have ended, and waits until it serves.
    pub(crate) async fn start_again(&mut self) {
        self.begin();
        let file = self.folder.path().join("ports.json");
        let process = self.process.as_mut().unwrap();
        eventually(PATIENCE, "the edge's ports file is there", async || {
            let ended = process.try_wait().unwrap();
            assert!(ended.is_none(), "the edge ended at its start: {ended:?}");
            file.exists().then_some(())
        })
        .await;
        self.port = u16::try_from(self.ports()["httpDoor"].as_u64().unwrap()).unwrap();
    }

    /// Starts the process and does not wait for it.
    pub(crate) fn begin(&mut self) {
        assert!(self.process.is_none(), "it runs");
        let folder = self.folder.path();
        drop(fs_err::remove_file(folder.join("ports.json")));
        let log = fs_err::OpenOptions::new().create(true).append(true).open(folder.join("log")).unwrap();
        let program = env!("CARGO_BIN_EXE_countersign");
        let mut command = match (&self.sockets, &self.machine) {
            (Some(held), _) => held.command(program),
            (None, Some(machine)) => machine.command(program),
            (None, None) => Command::new(program),
        };
        if self.sockets.is_none() {
            command.env_clear();
        }
        command
            .args([
                "edge",
                "run",
                "--config",
                "edge.toml",
                "--data-dir",
                "data",
                "--ports-file",
                "ports.json",
            ])
            .args(["--authority", &format!("https://{}", self.authority)])
            .args(["--ca-fingerprint", &self.fingerprint, "--token-file", "token"])
            .args(["--listen-http", &self.door().to_string()])
            .current_dir(folder)
            .env("COUNTERSIGN_MQTT_DOOR_LISTEN", "127.0.0.1:0")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log.into_file());
        if let Some(address) = self.health {
            command.env("COUNTERSIGN_METRICS_LISTEN", address.to_string());
        }
        if let Some(time) = &self.time {
            time.rule(&mut command);
        }
        self.process = Some(command.spawn().unwrap());
    }

    /// A service manager holds these sockets for it from the next start on.
    pub(crate) fn hold(&mut self, sockets: HeldSockets) {
        self.port = sockets.address("http-door").port();
        self.sockets = Some(sockets);
    }

    /// SIGUSR2: another process takes this one's place. Gives how this one ended.
    pub(crate) async fn hand_over(&mut self) -> ExitStatus {
        self.signal(Signal::USR2);
        let successor = eventually(PATIENCE, "a successor of the edge takes over", async || {
            let log = self.log();
            let (_, after) = log.rsplit_once("handed over successor=")?;
            after.split_whitespace().next()?.parse().ok()
        });
        self.successor = Pid::from_raw(successor.await);
        self.ended().await
    }

    /// SIGTERM, and how it ended.
    pub(crate) async fn terminate(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.ended().await
    }

    /// Sends a signal and does not wait.
    pub(crate) fn signal(&self, signal: Signal) {
        self.is_ending.fetch_or(signal == Signal::TERM, Ordering::SeqCst);
        kill_process(Pid::from_child(self.process.as_ref().unwrap()), signal).unwrap();
    }

    /// Whether it was told to end, and nobody has waited for that yet.
    pub(crate) fn is_ending(&self) -> bool {
        self.is_ending.load(Ordering::SeqCst)
    }

    /// Whether it was started, and not ended by the test.
    pub(crate) fn is_running(&self) -> bool {
        self.process.is_some()
    }

    /// Changes its configuration file, which its next start reads; whether that changed anything.
    pub(crate) fn configure(&self, config: &str) -> bool {
        let path = self.folder.path().join("edge.toml");
        let is_other = fs_err::read_to_string(&path).unwrap() != config;
        fs_err::write(path, config).unwrap();
        is_other
    }

    /// Waits until its connection to the authority is the last thing it said about it.
    pub(crate) async fn until_attached_again(&self) {
        eventually(PATIENCE, "the edge is attached again", async || {
            let log = self.log();
            let attached = log.rfind("attached to the authority")?;
            let lost = log.rfind("connection to the authority").max(log.rfind("authority not reached"));
            (lost < Some(attached)).then_some(())
        })
        .await;
    }

    /// SIGKILL: as a power cut.
    pub(crate) async fn kill(&mut self) {
        self.process.as_mut().unwrap().kill().unwrap();
        self.ended().await;
    }

    /// Waits for the end of the process.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        let mut process = self.process.take().unwrap();
        self.is_ending.store(false, Ordering::SeqCst);
        eventually(PATIENCE, "the edge ends", async || process.try_wait().unwrap()).await
    }

    /// Its door.
    pub(crate) fn door(&self) -> SocketAddr {
        (self.machine.as_ref().map_or(Ipv4Addr::LOCALHOST, |machine| machine.far()), self.port).into()
    }

    /// Where its listeners are.
    pub(crate) fn ports(&self) -> Value {
        let text = fs_err::read_to_string(self.folder.path().join("ports.json")).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    /// Its record's id.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// What it keeps of trust.
    pub(crate) fn kept(&self) -> PathBuf {
        self.folder.path().join("data/trust/messages")
    }

    /// Its folder.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// All that it has logged.
    pub(crate) fn log(&self) -> String {
        fs_err::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Its own certificate with its chain and key, PEM.
    pub(crate) fn identity_pem(&self) -> String {
        let text = fs_err::read_to_string(self.folder.path().join("data/edge.json")).unwrap();
        let has: Value = serde_json::from_str(&text).unwrap();
        let (certificate, key) = (&has["own"]["certificate"], &has["own"]["key"]);
        [&certificate["pem"], &certificate["chain"], key].map(|part| part.as_str().unwrap()).join("\n")
    }

    /// A connection of a device to its door.
    pub(crate) async fn connect(&self, installation: &Installation, device: &Device) -> Connection {
        device.client(installation).connect(self.door()).await.unwrap()
    }

    /// What the authority says of it.
    pub(crate) async fn listed(&self, admin: &Admin) -> Option<Value> {
        let list = done(&admin.get("/edges").await);
        list["edges"].as_array().unwrap().iter().find(|edge| edge["id"] == self.id).cloned()
    }

    /// Waits until the authority says that it stands so.
    pub(crate) async fn until(&self, admin: &Admin, status: &str) {
        eventually(PATIENCE, status, async || {
            let listed = self.listed(admin).await?;
            (listed["status"] == status).then_some(())
        })
        .await;
    }
}
