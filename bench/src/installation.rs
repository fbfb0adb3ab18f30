//! `countersign serve` under measurement, with its first owner signed in.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::client::{Answer, read_answer};
use crate::postgres::Postgres;
use crate::process::Process;
use crate::site::Site;

/// Where the records are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Database {
    /// The embedded one.
    Sqlite,
    /// A server of its own, as the package sets it up.
    Postgres,
    /// One with memory for a large fleet.
    TunedPostgres,
}

impl Database {
    /// What people call it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::Postgres | Self::TunedPostgres => "PostgreSQL",
        }
    }
}

/// On how many processors it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    /// One, and one thread serves the door.
    OneCore,
    /// Wherever the kernel likes.
    AllCores,
}

/// A running installation.
#[derive(Debug)]
pub(crate) struct Installation {
    folder: PathBuf,
    program: PathBuf,
    process: Process,
    postgres: Option<Postgres>,
    pub(crate) door: SocketAddr,
    pub(crate) tcp_door: SocketAddr,
    pub(crate) mqtt_door: SocketAddr,
    pub(crate) admin: Admin,
}

impl Installation {
    /// A new one, with a route to the upstream for whoever has an identity.
    pub(crate) async fn start(
        site: &Site,
        program: &Path,
        database: Database,
        room: Room,
    ) -> anyhow::Result<Self> {
        let folder = site.folder.join(format!("countersign-{}", database.name()));
        Self::start_in(folder, site, program, (database, room)).await
    }

    /// The same in a folder of the caller's choice.
    pub(crate) async fn start_in(
        folder: PathBuf,
        site: &Site,
        program: &Path,
        (database, room): (Database, Room),
    ) -> anyhow::Result<Self> {
        fs_err::create_dir_all(&folder).context("make a folder")?;
        let postgres = match database {
            Database::Sqlite => None,
            Database::Postgres => Some(Postgres::start(&folder, &[]).await?),
            Database::TunedPostgres => Some(Postgres::start(&folder, &TUNED).await?),
        };
        let url = postgres.as_ref().map(|server| format!("database_url = {:?}\n", server.url()));
        fs_err::write(folder.join("countersign.toml"), configuration(site, url.as_deref()))
            .context("write a configuration")?;
        let Launched { process, admin, door, tcp_door, mqtt_door } =
            launch(site, program, &folder, room).await?;
        let token =
            fs_err::read_to_string(folder.join("data/setup-token")).context("read the setup token")?;
        let mut admin = Admin { address: admin, session: Arc::from("") };
        let owner = json!({"token": token.trim(), "email": "owner@example.com", "password": "correct horse battery staple"});
        let set_up = admin.call("POST", "/setup", &owner).await?;
        admin.session = text(&set_up, "token")?.into();
        let program = program.to_owned();
        let installation = Self { folder, program, process, postgres, door, tcp_door, mqtt_door, admin };
        let bundle = installation.admin.get_plain("/pki/bundle.pem").await?;
        fs_err::write(installation.folder.join("bundle.pem"), &bundle.body).context("keep the CAs")?;
        Ok(installation)
    }

    /// The same data in a new process: one whose memory nothing has been through yet.
    pub(crate) async fn start_again(self, site: &Site, room: Room) -> anyhow::Result<Self> {
        self.start_after(site, room, |_folder| Ok(())).await
    }

    /// The same after something was done in its folder while no process used it.
    pub(crate) async fn start_after(
        self,
        site: &Site,
        room: Room,
        act: impl FnOnce(&Path) -> anyhow::Result<()>,
    ) -> anyhow::Result<Self> {
        let Self { folder, program, process, postgres, admin, door: _, tcp_door: _, mqtt_door: _ } = self;
        drop(process);
        act(&folder)?;
        fs_err::remove_file(folder.join("ports.json")).context("forget the ports")?;
        let Launched { process, admin: address, door, tcp_door, mqtt_door } =
            launch(site, &program, &folder, room).await?;
        let admin = Admin { address, ..admin };
        Ok(Self { folder, program, process, postgres, door, tcp_door, mqtt_door, admin })
    }

    /// The process.
    pub(crate) fn process(&self) -> &Process {
        &self.process
    }

    /// Its folder.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where its database is, if that is a server.
    pub(crate) fn database_url(&self) -> Option<String> {
        self.postgres.as_ref().map(Postgres::url)
    }

    /// The fingerprint of its root, as it says it when it starts.
    pub(crate) fn fingerprint(&self) -> anyhow::Result<String> {
        let log = fs_err::read_to_string(self.folder.join("countersign.log")).context("read the log")?;
        let said = log.lines().find_map(|line| line.trim().strip_prefix("CA fingerprint  "));
        said.map(str::to_owned).context("a start without a fingerprint")
    }

    /// The processor time of the server and of its database.
    pub(crate) fn cpu_time(&self) -> Duration {
        self.process.cpu_time() + self.postgres.as_ref().map(Postgres::cpu_time).unwrap_or_default()
    }

    /// Where the admin listener is.
    pub(crate) const fn admin_address(&self) -> SocketAddr {
        self.admin.address
    }

    /// All its CAs, PEM.
    pub(crate) fn bundle(&self) -> PathBuf {
        self.folder.join("bundle.pem")
    }
}

/// What a PostgreSQL server of a large fleet is given besides its defaults.
const TUNED: [&str; 3] = ["shared_buffers=1GB", "max_wal_size=4GB", "effective_cache_size=4GB"];

/// No broker behind the MQTT door.
pub(crate) const HUB: &str = r#"upstream = "hub""#;

fn configuration(site: &Site, database: Option<&str>) -> String {
    // A site without a certificate leaves the door to show one of its own CA.
    let (chain, key) = (site.server_chain(), site.server_key());
    let shown =
        if chain.exists() { format!("certificate = {chain:?}\nkey = {key:?}") } else { String::new() };
    format!(
        r#"data_dir = "data"
ports_file = "ports.json"
public_names = ["localhost"]
{database}
[admin]
listen = "127.0.0.1:0"

[http_door]
listen = "127.0.0.1:0"
{shown}
idle_timeout_seconds = 600
max_connections_per_ip = 100000

[[route]]
upstream = "http://{upstream}"

[[tcp_door]]
name = "bulk"
listen = "127.0.0.1:0"
upstream = "tcp://{bulk}"
workers = 1

[mqtt_door]
listen = "127.0.0.1:0"
{hub}
workers = 1
max_connections_per_ip = 100000
max_packets_per_second = 1000000
max_bytes_per_second = 1000000000
"#,
        database = database.unwrap_or_default(),
        upstream = site.upstream,
        bulk = site.bulk,
        hub = HUB,
    )
}

/// A process, and where it listens.
struct Launched {
    process: Process,
    admin: SocketAddr,
    door: SocketAddr,
    tcp_door: SocketAddr,
    mqtt_door: SocketAddr,
}

/// Starts the process.
async fn launch(site: &Site, program: &Path, folder: &Path, room: Room) -> anyhow::Result<Launched> {
    let mut words = match room {
        Room::OneCore => site.cores.server_prefix(),
        Room::AllCores => Vec::new(),
    };
    let workers = match room {
        Room::OneCore => "COUNTERSIGN_HTTP_DOOR_WORKERS=1",
        Room::AllCores => "COUNTERSIGN_LOG_FORMAT=text",
    };
    words.extend(["env", workers].map(str::to_owned));
    let line = [&program.display().to_string(), "serve", "--config", "countersign.toml"].map(str::to_owned);
    let mut process = Process::start("countersign", &words, &line, folder)?;
    let file = folder.join("ports.json");
    let ports: Value =
        process.until(|| serde_json::from_str(&fs_err::read_to_string(&file).ok()?).ok()).await?;
    let port = |name: &str| {
        let port = ports.pointer(name).and_then(Value::as_u64).and_then(|port| u16::try_from(port).ok());
        port.with_context(|| format!("no port of {name}")).map(|port| (Ipv4Addr::LOCALHOST, port).into())
    };
    let (admin, door) = (port("/admin")?, port("/httpDoor")?);
    let (tcp_door, mqtt_door) = (port("/tcpDoors/bulk")?, port("/mqttDoor")?);
    Ok(Launched { process, admin, door, tcp_door, mqtt_door })
}

/// A text of an answer.
pub(crate) fn text<'a>(value: &'a Value, key: &str) -> anyhow::Result<&'a str> {
    value.get(key).and_then(Value::as_str).with_context(|| format!("an answer without {key}"))
}

/// The owner at the admin listener.
#[derive(Clone, Debug)]
pub(crate) struct Admin {
    address: SocketAddr,
    session: Arc<str>,
}

impl Admin {
    /// A call under `/api/v1` that must succeed; its answer.
    pub(crate) async fn call(&self, method: &str, path: &str, body: &Value) -> anyhow::Result<Value> {
        let mut line = AdminLine::open(self).await?;
        line.call(method, path, body).await
    }

    /// What the admin listener serves to everybody.
    async fn get_plain(&self, path: &str) -> anyhow::Result<Answer> {
        let mut line = AdminLine::open(self).await?;
        line.send("GET", path, "").await
    }
}

/// A connection to the admin listener.
#[derive(Debug)]
pub(crate) struct AdminLine {
    stream: TcpStream,
    session: Arc<str>,
    buffer: Vec<u8>,
}

impl AdminLine {
    /// Opens one.
    pub(crate) async fn open(admin: &Admin) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(admin.address).await.context("connect to the admin listener")?;
        stream.set_nodelay(true).context("connect to the admin listener")?;
        Ok(Self { stream, session: Arc::clone(&admin.session), buffer: Vec::new() })
    }

    /// A call under `/api/v1` that must succeed; its answer.
    pub(crate) async fn call(&mut self, method: &str, path: &str, body: &Value) -> anyhow::Result<Value> {
        let body = if method == "GET" { String::new() } else { body.to_string() };
        let answer = self.send(method, &format!("/api/v1{path}"), &body).await?;
        if !(200..300).contains(&answer.status) {
            bail!("{method} {path}: {} {}", answer.status, String::from_utf8_lossy(&answer.body));
        }
        serde_json::from_slice(&answer.body).context("read an answer")
    }

    /// Asks for a page or a list, which must be there, as whoever is signed in.
    pub(crate) async fn look(&mut self, path: &str) -> anyhow::Result<()> {
        let answer = self.send("GET", path, "").await?;
        ensure!(answer.status == 200, "{path}: {}", answer.status);
        Ok(())
    }

    async fn send(&mut self, method: &str, path: &str, body: &str) -> anyhow::Result<Answer> {
        let session = &self.session;
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {session}\r\n\
             cookie: countersign_session={session}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        ensure!(self.buffer.is_empty(), "an answer that nobody asked for");
        self.stream.write_all(head.as_bytes()).await.context("ask the admin listener")?;
        read_answer(&mut self.stream, &mut self.buffer).await
    }
}
