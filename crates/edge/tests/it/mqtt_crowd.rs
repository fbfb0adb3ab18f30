//! Many MQTT clients in a process of their own, so that they and the door have each as many open files as a
//! process may have: this program once more, told on its input where the door is and who they are.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use countersign_edge::mqtt::wire::Version;
use countersign_testkit::TestCertificate;
use countersign_tls::{ClientIdentity, ClientTls, ServerTrust};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::mqtt_site::{Client, MqttSite, Tls, connect};

/// How many shake hands at once.
const AT_ONCE: usize = 64;

/// How long the whole crowd may take to arrive, on a machine with much else to do.
const ARRIVING: Duration = Duration::from_secs(600);

/// The crowd, seen from the door's process.
pub(crate) struct Crowd {
    process: Child,
    lines: mpsc::UnboundedReceiver<String>,
}

impl Drop for Crowd {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

impl Crowd {
    /// Lets a session come for each of these certificates, and waits until all are there.
    pub(crate) async fn of(site: &MqttSite, certificates: &[TestCertificate], folder: &Path) -> Self {
        for (number, certificate) in certificates.iter().enumerate() {
            let text = format!("{}\n{}", certificate.chain_pem(), certificate.key_pem());
            std::fs::write(folder.join(format!("{number}.pem")), text).unwrap();
        }
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "--nocapture", "mqtt_crowd::as_many_clients_as_it_is_told"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let facts = json!({
            "door": site.door.local_addr(),
            "roots": site.ca.root_pem(),
            "folder": folder,
            "count": certificates.len(),
        });
        let mut input = process.stdin.take().unwrap();
        writeln!(input, "{facts}").unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        let (said, lines) = mpsc::unbounded_channel();
        std::thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| said.send(line)));
        let mut crowd = Self { process, lines };
        crowd.until("all are there").await;
        crowd
    }

    /// Waits until each of its sessions has ended.
    pub(crate) async fn ended(mut self) {
        self.until("all have ended").await;
    }

    async fn until(&mut self, line: &str) {
        let found = async { while self.lines.recv().await.expect("a crowd") != line {} };
        timeout(ARRIVING, found).await.unwrap();
    }
}

/// The crowd itself; nothing where nobody tells it who it is.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "run by others as a process of its own"]
async fn as_many_clients_as_it_is_told() {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
    let Ok(facts) = serde_json::from_str::<Value>(&line) else { return };
    let count = usize::try_from(facts["count"].as_u64().unwrap()).unwrap();
    let mut arriving = JoinSet::new();
    let mut clients = Vec::with_capacity(count);
    for number in 0..count {
        if arriving.len() >= AT_ONCE {
            clients.extend(arriving.join_next().await.unwrap());
        }
        arriving.spawn(come(facts.clone(), number));
    }
    clients.extend(arriving.join_all().await);
    say("all are there");
    let mut ending = JoinSet::new();
    for mut client in clients {
        ending.spawn(async move { while client.has_more().await {} });
    }
    ending.join_all().await;
    say("all have ended");
}

async fn come(facts: Value, number: usize) -> Client<Tls> {
    let fact = |name: &str| facts.get(name).and_then(Value::as_str).unwrap();
    let file = Path::new(fact("folder")).join(format!("{number}.pem"));
    let pem = std::fs::read_to_string(file).unwrap();
    let identity = ClientIdentity::from_pem(pem.clone(), pem);
    let trust = ServerTrust::Roots(fact("roots").to_owned());
    let tls = ClientTls::new(&trust, Some(&identity)).unwrap().with_protocols(&[]);
    let io = TcpStream::connect(fact("door")).await.unwrap();
    let stream = tls.handshake("door.test", io).await.unwrap();
    let version = if number.is_multiple_of(2) { Version::V311 } else { Version::V5 };
    let mut client = Client::new(stream, version);
    client.send(&connect(version, "id", true, None)).await;
    let connack = client.next().await;
    assert_eq!((connack.first(), connack.get(3)), (Some(&0x20), Some(&0)), "{connack:x?}");
    client
}

fn say(line: &str) {
    let mut out = std::io::stdout();
    writeln!(out, "{line}").unwrap();
}
