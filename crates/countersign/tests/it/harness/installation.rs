//! `countersign serve`, in a folder and on ports of its own.

use std::ffi::{OsStr, OsString};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use countersign_core::time::{Clock, SystemClock};
use countersign_testkit::{Answer, Connection, DoorClient};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::activation::HeldSockets;
use super::admin::{Admin, done};
use super::clock::FakeTime;
use super::database::{Database, Records};
use super::edge::Edge;
use super::split;
use super::waiting::{eventually, within};
use crate::program::{Ran, run};

/// How long a start or an end may take, on a machine with much else to do.
const PATIENCE: Duration = Duration::from_secs(60);
const DATABASE_URL: &str = "COUNTERSIGN_DATABASE_URL";
const EMAIL: &str = "owner@example.com";
const PASSWORD: &str = "correct horse battery staple";

/// What time its programs live in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Time {
    /// The real one.
    Real,
    /// One that the test moves.
    Fake,
}

/// An installation with its first owner signed in. The process ends with it.
pub(crate) struct Installation {
    folder: TempDir,
    config: String,
    variables: Vec<(String, OsString)>,
    time: Option<FakeTime>,
    process: Option<Child>,
    /// The process that took its place: nobody's child any more.
    successor: Option<Pid>,
    ports: Ports,
    /// Those that a service manager holds for it.
    sockets: Option<HeldSockets>,
    session: String,
    roots_pem: String,
    database: Option<Arc<Records>>,
    /// Where devices come to in a split deployment.
    edge: Option<Box<Edge>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Ports {
    admin: u16,
    door: u16,
}

impl Drop for Installation {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _gone = process.kill();
            let _ended = process.wait();
        }
        if let Some(successor) = self.successor {
            let _gone = kill_process(successor, Signal::KILL);
        }
        if std::thread::panicking() {
            let text = format!("--- what the server logged\n{}---\n", self.log());
            let _written = std::io::Write::write_all(&mut std::io::stderr(), text.as_bytes());
        }
    }
}

impl Installation {
    /// As it comes, in the real time.
    pub(crate) async fn start() -> Self {
        Self::configured("", Time::Real).await
    }

    /// As it comes, in a time that the test moves.
    pub(crate) async fn in_fake_time() -> Self {
        Self::configured("", Time::Fake).await
    }

    /// With this configuration file. Sessions of people last for years, so that time can be moved.
    pub(crate) async fn configured(config: &str, time: Time) -> Self {
        Self::on(Database::Sqlite, config, time).await
    }

    /// The same with its records in such a database.
    pub(crate) async fn on(database: Database, config: &str, time: Time) -> Self {
        let mut installation = Self::unstarted(config, time);
        installation.database = database.records();
        installation.start_again().await;
        installation.set_up().await;
        installation
    }

    /// The same with its records in the database that has this URL.
    pub(crate) async fn at(database_url: String, config: &str, time: Time) -> Self {
        let mut installation = Self::unstarted(config, time);
        installation.database = Some(Arc::new(Records::At(database_url)));
        installation.start_again().await;
        installation.set_up().await;
        installation
    }

    /// The same, with variables in its environment from the first start on.
    pub(crate) async fn with_variables(config: &str, variables: &[(&str, &str)]) -> Self {
        let mut installation = Self::unstarted(config, Time::Real);
        installation.variables =
            variables.iter().map(|(name, value)| ((*name).to_owned(), value.into())).collect();
        installation.start_again().await;
        installation.set_up().await;
        installation
    }

    /// Another server on the same database, which must be a server's.
    pub(crate) async fn beside(&self) -> Self {
        self.beside_with(&self.config).await
    }

    /// The same with a configuration of its own.
    pub(crate) async fn beside_with(&self, config: &str) -> Self {
        self.beside_on(Arc::clone(self.database.as_ref().unwrap()), config).await
    }

    /// The same that reaches the database by another URL.
    pub(crate) async fn beside_at(&self, database_url: String) -> Self {
        self.beside_on(Arc::new(Records::At(database_url)), &self.config).await
    }

    async fn beside_on(&self, database: Arc<Records>, config: &str) -> Self {
        let mut other = Self::unstarted(config, Time::Real);
        other.time.clone_from(&self.time);
        other.database = Some(database);
        fs_err::create_dir(other.data()).unwrap();
        let key = "key-encryption-key";
        fs_err::copy(self.data().join(key), other.data().join(key)).unwrap();
        other.start_again().await;
        other.session.clone_from(&self.session);
        other.roots_pem.clone_from(&self.roots_pem);
        other
    }

    /// A machine for what this one lost: a data directory with its key-encryption key and nothing else, an
    /// empty database of the same kind, and the same ports, so that this one must have ended.
    pub(crate) fn empty_successor(&self) -> Self {
        let mut other = Self::unstarted(&self.config, Time::Real);
        let kind = if self.database.is_some() { Database::Postgres } else { Database::Sqlite };
        other.database = kind.records();
        std::fs::DirBuilder::new().mode(0o700).create(other.data()).unwrap();
        let key = "key-encryption-key";
        fs_err::copy(self.data().join(key), other.data().join(key)).unwrap();
        other.roots_pem.clone_from(&self.roots_pem);
        other.ports = self.ports;
        other
    }

    /// Signs the first owner in again.
    pub(crate) async fn sign_in(&mut self) {
        let body = json!({ "email": EMAIL, "password": PASSWORD });
        let signed_in = done(&self.stranger().post("/auth/login", &body).await);
        signed_in["token"].as_str().unwrap().clone_into(&mut self.session);
    }

    /// One that has never been started.
    pub(crate) fn unstarted(config: &str, time: Time) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let time = (time == Time::Fake).then(|| FakeTime::new(folder.path().join("time")));
        let (session, roots_pem) = (String::new(), String::new());
        let ports = Ports::default();
        Self {
            folder,
            config: config.to_owned(),
            variables: Vec::new(),
            time,
            process: None,
            successor: None,
            ports,
            sockets: None,
            session,
            roots_pem,
            database: None,
            edge: None,
        }
    }

    /// Makes the first owner and signs them in.
    pub(crate) async fn set_up(&mut self) {
        let token = fs_err::read_to_string(self.data().join("setup-token")).unwrap();
        let body = json!({ "token": token.trim(), "email": EMAIL, "password": PASSWORD });
        let set_up = done(&self.stranger().post("/setup", &body).await);
        set_up["token"].as_str().unwrap().clone_into(&mut self.session);
        let bundle = self.get_plain("/pki/bundle.pem").await.text();
        let end = "-----END CERTIFICATE-----\n";
        bundle.split_inclusive(end).next().unwrap().clone_into(&mut self.roots_pem);
        if split::is_wanted() {
            let edge = Edge::start(self, "split").await;
            edge.until(&self.admin(), "attached").await;
            self.edge = Some(Box::new(edge));
        }
    }

    /// A service manager holds these sockets for it from the next start on.
    pub(crate) fn hold(&mut self, sockets: HeldSockets) {
        self.ports =
            Ports { admin: sockets.address("admin").port(), door: sockets.address("http-door").port() };
        self.sockets = Some(sockets);
    }

    /// Starts the process, which must have ended, on the ports that it had. Where another program was given one
    /// of them meanwhile, it starts once more.
    pub(crate) async fn start_again(&mut self) {
        self.begin();
        let end = Instant::now() + PATIENCE;
        while !self.came_up().await {
            assert!(Instant::now() < end, "somebody keeps the port of the door");
            self.process.as_mut().unwrap().kill().unwrap();
            self.ended().await;
            self.begin();
        }
        if let Some(edge) = &mut self.edge {
            let authority = (Ipv4Addr::LOCALHOST, self.ports.door).into();
            Self::attach_edge(edge, &self.config, authority).await;
        }
    }

    /// Starts the process and waits for its end: it is expected not to come up.
    pub(crate) async fn start_in_vain(&mut self) -> ExitStatus {
        self.begin();
        self.ended().await
    }

    /// Starts the process and does not wait for it.
    pub(crate) fn begin(&mut self) {
        assert!(self.process.is_none(), "it runs");
        let folder = self.folder.path();
        fs_err::write(folder.join("countersign.toml"), &self.config).unwrap();
        drop(fs_err::remove_file(folder.join("ports.json")));
        let log = fs_err::OpenOptions::new().create(true).append(true).open(folder.join("log")).unwrap();
        let program = env!("CARGO_BIN_EXE_countersign");
        let mut command = match &self.sockets {
            Some(held) => held.command(program),
            None => Command::new(program),
        };
        if self.sockets.is_none() {
            command.env_clear();
        }
        command
            .args(["serve", "--config", "countersign.toml", "--data-dir", "data"])
            .args(["--ports-file", "ports.json"])
            .args(["--listen-admin", &format!("127.0.0.1:{}", self.ports.admin)])
            .args(["--listen-http", &format!("127.0.0.1:{}", self.ports.door)])
            .current_dir(folder)
            .env("COUNTERSIGN_ADMIN_SESSION_HOURS", "100000")
            .env("COUNTERSIGN_MQTT_DOOR_LISTEN", "127.0.0.1:0")
            .env("CS_TEST_CRASH_AT", folder.join("crash-at"))
            .stdin(Stdio::null())
            .stdout(fs_err::File::create(folder.join("printed")).unwrap().into_file())
            .stderr(log.into_file());
        command.envs(self.database.iter().map(|database| (DATABASE_URL, database.url())));
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        if let Some(time) = &self.time {
            time.rule(&mut command);
        }
        self.process = Some(command.spawn().unwrap());
    }

    /// Waits for the process to be ready; whether its door is open then.
    async fn came_up(&mut self) -> bool {
        let file = self.folder.path().join("ports.json");
        let process = self.process.as_mut().unwrap();
        let text = eventually(PATIENCE, "the ports file is there", async || {
            let ended = process.try_wait().unwrap();
            assert!(ended.is_none(), "the server ended at its start: {ended:?}");
            fs_err::read_to_string(&file).ok()
        })
        .await;
        let ports: Value = serde_json::from_str(&text).unwrap();
        let port = |name: &str| ports[name].as_u64().map(|port| u16::try_from(port).unwrap());
        let Some(door) = port("httpDoor") else { return false };
        self.ports = Ports { admin: port("admin").unwrap(), door };
        true
    }

    /// SIGTERM, and how it ended.
    pub(crate) async fn terminate(&mut self) -> ExitStatus {
        if let Some(edge) = self.edge.as_mut().filter(|edge| edge.is_running()) {
            assert!(edge.terminate().await.success(), "its edge ends well");
        }
        self.signal(Signal::TERM);
        self.ended().await
    }

    /// Sends a signal and does not wait. The end of it is the end of its edge too.
    pub(crate) fn signal(&self, signal: Signal) {
        let process = Pid::from_child(self.process.as_ref().unwrap());
        kill_process(process, signal).unwrap();
        if let Some(edge) = self.edge.as_ref().filter(|edge| signal == Signal::TERM && edge.is_running()) {
            edge.signal(signal);
        }
    }

    /// SIGUSR2: another process takes this one's place. Gives how this one ended.
    pub(crate) async fn hand_over(&mut self) -> ExitStatus {
        if let Some(edge) = &mut self.edge {
            assert!(edge.hand_over().await.success(), "its edge is handed over too");
        }
        self.signal(Signal::USR2);
        let successor = eventually(PATIENCE, "a successor takes over", async || {
            let log = self.own_log();
            let (_, after) = log.rsplit_once("handed over successor=")?;
            after.split_whitespace().next()?.parse().ok()
        });
        self.successor = Pid::from_raw(successor.await);
        self.ended().await
    }

    /// SIGKILL: as a power cut.
    pub(crate) async fn kill(&mut self) {
        if let Some(edge) = self.edge.as_mut().filter(|edge| edge.is_running()) {
            edge.kill().await;
        }
        self.process.as_mut().unwrap().kill().unwrap();
        self.ended().await;
    }

    /// SIGKILL after this long, at whatever it is doing then.
    pub(crate) async fn kill_after(&mut self, time: Duration) {
        within(time, self.process.as_mut().unwrap()).await;
        self.kill().await;
    }

    /// Waits for the end of the process, and of its edge if that was told to end with it.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        let mut process = self.process.take().unwrap();
        let ended = eventually(PATIENCE, "the server ends", async || process.try_wait().unwrap()).await;
        if let Some(edge) = self.edge.as_mut().filter(|edge| edge.is_ending()) {
            assert_eq!(edge.ended().await, ended, "its edge ends as it did");
        }
        ended
    }

    /// Lets the process end at the next place with this name, as a power cut would; `None`: at none.
    pub(crate) fn crash_at(&self, name: Option<&str>) {
        fs_err::write(self.folder.path().join("crash-at"), name.unwrap_or_default()).unwrap();
    }

    /// Sets a variable of the environment; the next start has it.
    pub(crate) fn set_variable(&mut self, name: &str, value: &OsStr) {
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    /// Changes the configuration file; the next start reads it.
    pub(crate) fn reconfigure(&mut self, config: &str) {
        config.clone_into(&mut self.config);
    }

    /// Runs another command of the program on this installation's data.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        self.run_with(&[], arguments)
    }

    /// The same with variables in its environment.
    pub(crate) fn run_with(&self, more: &[(&str, &str)], arguments: &[&str]) -> Ran {
        let url = self.database.as_ref().map(|database| database.url());
        let mut variables = vec![("COUNTERSIGN_DATA_DIR", "data")];
        variables.extend(more);
        variables.extend(url.iter().map(|url| (DATABASE_URL, url.as_str())));
        run(self.folder.path(), &variables, arguments)
    }

    /// The same while the test goes on.
    pub(crate) fn run_meanwhile(&self, arguments: &[&str]) -> JoinHandle<Ran> {
        let (folder, url) = (self.folder.path().to_owned(), self.database_url());
        let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        tokio::task::spawn_blocking(move || {
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            run_on(&folder, url.as_deref(), &arguments)
        })
    }

    /// The same, which ends at the first place with this name, as by a power cut.
    pub(crate) fn run_crashing(&self, arguments: &[&str], point: &str) -> ExitStatus {
        self.crash_at(Some(point));
        let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
        command.args(arguments).current_dir(self.folder.path()).env_clear();
        command
            .env("COUNTERSIGN_DATA_DIR", "data")
            .env("CS_TEST_CRASH_AT", self.folder.path().join("crash-at"));
        command.envs(self.database_url().map(|url| (DATABASE_URL, url)));
        let output = command.output().unwrap();
        self.crash_at(None);
        output.status
    }

    fn database_url(&self) -> Option<String> {
        self.database.as_ref().map(|database| database.url())
    }

    /// The folder that it works in.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Its data directory.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// How much memory its process has in use, in bytes, as the kernel counts it.
    pub(crate) fn resident_bytes(&self) -> u64 {
        let process = self.process.as_ref().unwrap().id();
        let status = fs_err::read_to_string(format!("/proc/{process}/status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }

    /// All that it has logged, and its edge.
    pub(crate) fn log(&self) -> String {
        self.own_log() + &self.edge.as_ref().map(|edge| edge.log()).unwrap_or_default()
    }

    /// All that its own process has logged.
    pub(super) fn own_log(&self) -> String {
        fs_err::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// What it printed at its last start.
    pub(crate) fn printed(&self) -> String {
        fs_err::read_to_string(self.folder.path().join("printed")).unwrap()
    }

    /// The fingerprint of its root, as printed.
    pub(crate) fn fingerprint(&self) -> String {
        let printed = self.printed();
        let line = printed.lines().find_map(|line| line.trim().strip_prefix("CA fingerprint  "));
        line.unwrap().to_owned()
    }

    /// Its time, when the test moves it.
    pub(crate) fn time(&self) -> &FakeTime {
        self.time.as_ref().unwrap()
    }

    /// Its time, if the test moves it.
    pub(crate) fn fake_time(&self) -> Option<&FakeTime> {
        self.time.as_ref()
    }

    fn clock(&self) -> Arc<dyn Clock> {
        match &self.time {
            Some(time) => Arc::new(time.clone()),
            None => Arc::new(SystemClock),
        }
    }

    /// The address of the admin listener.
    pub(crate) fn admin_address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.ports.admin).into()
    }

    /// The address of the HTTP door that devices come to.
    pub(crate) fn door(&self) -> SocketAddr {
        self.edge.as_ref().map_or_else(|| self.own_door(), |edge| edge.door())
    }

    /// The address of the server's own HTTP door.
    pub(crate) fn own_door(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.ports.door).into()
    }

    /// Where the listeners are that devices come to.
    pub(crate) fn ports(&self) -> Value {
        if let Some(edge) = &self.edge {
            return edge.ports();
        }
        let text = fs_err::read_to_string(self.folder().join("ports.json")).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    /// Its configuration file.
    pub(crate) fn config(&self) -> &str {
        &self.config
    }

    /// The edge that devices come to, in a split deployment.
    pub(crate) fn edge(&self) -> Option<&Edge> {
        self.edge.as_deref()
    }

    /// The URL of the HTTP door.
    pub(crate) fn url(&self) -> String {
        format!("https://{}", self.door())
    }

    /// The root certificate.
    pub(crate) fn root_pem(&self) -> &str {
        &self.roots_pem
    }

    /// The owner's session.
    pub(crate) fn admin(&self) -> Admin {
        Admin::new(self.admin_address(), &self.session)
    }

    /// The token of the owner's session.
    pub(crate) fn owner_session(&self) -> &str {
        &self.session
    }

    /// A caller of the admin API without a session.
    pub(crate) fn stranger(&self) -> Admin {
        Admin::new(self.admin_address(), "")
    }

    /// A client of the door that shows no certificate.
    pub(crate) fn client(&self) -> DoorClient {
        DoorClient::new(&self.roots_pem).clock(self.clock())
    }

    /// A connection to the door without a certificate.
    pub(crate) async fn connect(&self) -> Connection {
        self.client().connect(self.door()).await.unwrap()
    }

    /// GET of what the admin listener serves to everybody.
    pub(crate) async fn get_plain(&self, path: &str) -> Answer {
        let mut connection = Connection::plain(self.admin_address()).await.unwrap();
        connection.json("GET", path, None, None).await.unwrap()
    }
}

fn run_on(folder: &Path, database_url: Option<&str>, arguments: &[&str]) -> Ran {
    let mut variables = vec![("COUNTERSIGN_DATA_DIR", "data")];
    variables.extend(database_url.map(|url| (DATABASE_URL, url)));
    run(folder, &variables, arguments)
}
