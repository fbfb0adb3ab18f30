//! Proves that psql reaches PostgreSQL through the agent's forward and a TCP door as the device, that a
//! revocation cuts its session in under a second, and that nobody else gets through.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use countersign_testkit::PostgresServer;

use crate::harness::{AgentHome, Device, Forwarding, Installation, Time, done, eventually, until};

const AT_ONCE: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(30);

/// A database, and what a door in front of its server is configured as.
fn database() -> (String, String) {
    let url = PostgresServer::shared().create_database();
    let (name, rest) = url.trim_start_matches("postgresql:///").split_once('?').unwrap();
    let folder = rest.trim_start_matches("host=").split('&').next().unwrap();
    let door = format!(
        "[[tcp_door]]\nname = \"postgres\"\nlisten = \"127.0.0.1:0\"\nupstream = \"unix:{folder}/.s.PGSQL.5432\"\n"
    );
    (name.to_owned(), door)
}

fn psql(at: SocketAddr, database: &str, statement: &str) -> Command {
    let mut command = Command::new("psql");
    command
        .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-U", "postgres"])
        .args(["-p", &at.port().to_string(), "-c", statement, database])
        .env("PGSSLMODE", "disable")
        .env("PGCONNECT_TIMEOUT", "20")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// What psql answers, or what it complains about.
async fn answer(at: SocketAddr, database: &str, statement: &str) -> Result<String, String> {
    let mut command = psql(at, database, statement);
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

/// A session that waits for its answer, once the server has it.
async fn waiting(at: SocketAddr, database: &str) -> Child {
    let child = psql(at, database, "SELECT pg_sleep(600)").spawn().unwrap();
    let server = PostgresServer::shared();
    let url = server.create_database();
    until("the statement runs", async || {
        let running =
            "SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(600)' AND datname = ";
        server.query(&url, &format!("{running}'{database}'")) == "1"
    })
    .await;
    child
}

fn forward(home: &AgentHome, installation: &Installation) -> Forwarding {
    let to = installation.tcp_door("postgres").to_string();
    let command = home.command(&["forward", "--listen", "127.0.0.1:0", "--to", &to, "--json"]);
    Forwarding::start(command, &installation.folder().join(format!("forward-{}", home.text("device_id"))))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn psql_reaches_its_server_and_a_revocation_cuts_it_in_under_a_second() {
    let (name, door) = database();
    let installation = Installation::configured(&door, Time::Real).await;
    let home = AgentHome::enrolled(&installation).await;
    let tunnel = forward(&home, &installation);
    let rows = "SELECT count(*), sum(length(repeat('x', 1000) || i)) FROM generate_series(1, 1000) AS t(i)";
    assert_eq!(answer(tunnel.address(), &name, rows).await.unwrap(), "1000|1002893");
    let long = answer(tunnel.address(), &name, "SELECT repeat('x', 3000000)").await.unwrap();
    assert_eq!(long.len(), 3_000_000);

    let admin = installation.admin();
    let device = admin.the_device().await.id;
    let mut session = waiting(tunnel.address(), &name).await;
    let certificate = admin.active(device).await.unwrap().id;
    let began = Instant::now();
    done(&admin.revoke(certificate, "keyCompromise").await);
    let ended = eventually(PATIENCE, "psql ends", async || session.try_wait().unwrap()).await;
    assert!(began.elapsed() < AT_ONCE, "{:?}", began.elapsed());
    assert!(!ended.success());

    let refused = answer(tunnel.address(), &name, "SELECT 1").await.unwrap_err();
    assert!(
        refused.contains("closed the connection") || refused.contains("connection to server"),
        "{refused}"
    );
    let log = installation.log();
    assert!(log.contains("session refused") && log.contains("CERTIFICATE_REVOKED"), "{log}");
    assert!(log.contains("end=\"cut\"") && log.contains("end=\"closed\""), "{log}");
    assert!(tunnel.terminate().await.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_renewal_interrupts_nobody_and_the_forward_follows_it() {
    let (name, door) = database();
    let installation = Installation::configured(&door, Time::Real).await;
    let home = AgentHome::enrolled(&installation).await;
    let tunnel = forward(&home, &installation);
    let serials = || -> Vec<String> {
        let log = installation.log();
        let sessions = log.lines().filter(|line| line.contains("session ended"));
        sessions
            .map(|line| line.split("serial=").nth(1).unwrap().split(' ').next().unwrap().to_owned())
            .collect()
    };
    assert_eq!(answer(tunnel.address(), &name, "SELECT 1").await.unwrap(), "1");
    let renewed = home.output(&["renew"]);
    assert_eq!(renewed.code, 0, "{}", renewed.stderr);
    assert_eq!(answer(tunnel.address(), &name, "SELECT 2").await.unwrap(), "2");
    until("both are told about", async || serials().len() == 2).await;
    assert_ne!(serials()[0], serials()[1], "the new certificate is shown");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_no_device_in_good_standing_is_refused_and_it_can_be_explained() {
    let (_name, door) = database();
    let installation = Installation::configured(&door, Time::Real).await;
    let admin = installation.admin();
    let at = installation.tcp_door("postgres");
    let refused_by = async |device: Option<&Device>| {
        let client = device.map_or_else(|| installation.client(), |device| device.client(&installation));
        let mut stream = client.stream(at).await.unwrap();
        let mut answer = Vec::new();
        let ended = tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut answer);
        drop(tokio::time::timeout(PATIENCE, ended).await.expect("closed"));
        assert!(answer.is_empty());
    };
    refused_by(None).await;
    let device = Device::enrol(&installation, "ws-01").await;
    done(&admin.quarantine(device.id, "stolen laptop").await);
    refused_by(Some(&device)).await;
    for code in ["MTLS_REQUIRED", "DEVICE_QUARANTINED"] {
        let log = installation.log();
        let line = log.lines().find(|line| line.contains("session refused") && line.contains(code)).unwrap();
        let id = line.split("request=").nth(1).unwrap().split(' ').next().unwrap().to_owned();
        let explained = eventually(PATIENCE, "it is on record", async || {
            let ran = installation.run(&["explain", &id]);
            (ran.code == 0).then_some(ran.stdout)
        })
        .await;
        assert!(explained.contains(code) && explained.contains("tcp_door postgres"), "{explained}");
    }
}
