//! Proves that rsyslog reads the audit as RFC 5424 over TLS with a certificate of ours, over TCP, in datagrams and at a
//! socket of this machine, and that a server with another certificate gets nothing.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use countersign_testkit::{Connection, TestCa, vacant_address};
use serde_json::Value;

use crate::harness::{Device, Installation, Time, done, until};

/// rsyslog, which ends with the test.
struct Rsyslog(Child);

impl Drop for Rsyslog {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _ended = self.0.wait();
    }
}

/// What it says of each message: which way it came, and the parts of its header.
const TEMPLATE: &str = "%inputname% %pri% %protocol-version% %timestamp:::date-rfc3339% %hostname% %app-name% %procid% \
                        %msgid% %structured-data% %msg%\\n";

impl Rsyslog {
    async fn start(folder: &Path, [tls, tcp, udp]: [u16; 3]) -> Self {
        let at = folder.display();
        let conf = format!(
            "global(workDirectory=\"{at}\" defaultNetstreamDriverCAFile=\"{at}/ca.pem\"\n\
             defaultNetstreamDriverCertFile=\"{at}/server.pem\" defaultNetstreamDriverKeyFile=\"{at}/server.key\")\n\
             module(load=\"imtcp\" streamDriver.name=\"ossl\" streamDriver.mode=\"1\" streamDriver.authMode=\"x509/certvalid\")\n\
             module(load=\"imptcp\")\nmodule(load=\"imudp\")\nmodule(load=\"imuxsock\" sysSock.use=\"off\")\n\
             input(type=\"imtcp\" address=\"127.0.0.1\" port=\"{tls}\")\n\
             input(type=\"imptcp\" address=\"127.0.0.1\" port=\"{tcp}\")\n\
             input(type=\"imudp\" address=\"127.0.0.1\" port=\"{udp}\")\n\
             input(type=\"imuxsock\" socket=\"{at}/log.sock\" useSpecialParser=\"off\" ignoreTimestamp=\"off\")\n\
             template(name=\"parts\" type=\"string\" string=\"{TEMPLATE}\")\n\
             action(type=\"omfile\" file=\"{at}/received\" template=\"parts\")\n"
        );
        fs_err::write(folder.join("rsyslog.conf"), conf).unwrap();
        let mut command = Command::new("rsyslogd");
        command.arg("-n").arg("-f").arg(folder.join("rsyslog.conf")).arg("-i").arg(folder.join("pid"));
        let log = fs_err::File::create(folder.join("rsyslog.log")).unwrap().into_file();
        let started = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn();
        let this = Self(started.unwrap_or_else(|_| panic!("apt-get install rsyslog (scripts/test does it)")));
        until("rsyslog listens", async || {
            let listens = |port: u16| std::net::TcpStream::connect(("127.0.0.1", port)).is_ok();
            folder.join("log.sock").exists() && listens(tls) && listens(tcp)
        })
        .await;
        this
    }
}

fn received(folder: &Path, way: &str) -> Vec<(Vec<String>, Value)> {
    let text = fs_err::read_to_string(folder.join("received")).unwrap_or_default();
    let lines = text.lines().filter(|line| line.starts_with(&format!("{way} ")));
    let parts = lines.filter_map(|line| {
        let parts: Vec<String> = line.splitn(10, ' ').map(str::to_owned).collect();
        // The last line may be on its way.
        let entry = serde_json::from_str(parts.last()?.trim()).ok()?;
        Some((parts, entry))
    });
    parts.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_way_into_rsyslog_is_understood() {
    let folder = tempfile::tempdir().unwrap();
    let ca = TestCa::new("logs.example");
    let (server, client) = (ca.server(&["localhost"]), ca.device("acme", "countersign"));
    fs_err::write(folder.path().join("ca.pem"), ca.root_pem()).unwrap();
    fs_err::write(folder.path().join("server.pem"), server.chain_pem()).unwrap();
    fs_err::write(folder.path().join("server.key"), server.key_pem()).unwrap();
    fs_err::write(folder.path().join("client.pem"), client.chain_pem()).unwrap();
    fs_err::write(folder.path().join("client.key"), client.key_pem()).unwrap();
    fs_err::write(folder.path().join("twin.pem"), ca.evil_twin().root_pem()).unwrap();
    let ports = [vacant_address(), vacant_address(), vacant_address()].map(|address| address.port());
    let _rsyslog = Rsyslog::start(folder.path(), ports).await;
    let [tls, tcp, udp] = ports;
    let at = folder.path().display();
    let config = format!(
        "public_names = [\"gateway.example.com\"]\n\
         [[audit_to]]\nname = \"tls\"\nurl = \"syslog+tls://localhost:{tls}\"\nca_file = \"{at}/ca.pem\"\n\
         certificate = \"{at}/client.pem\"\nkey = \"{at}/client.key\"\n\
         [[audit_to]]\nname = \"tcp\"\nurl = \"syslog+tcp://127.0.0.1:{tcp}\"\n\
         [[audit_to]]\nname = \"udp\"\nurl = \"syslog+udp://127.0.0.1:{udp}\"\n\
         [[audit_to]]\nname = \"local\"\nurl = \"syslog+unix://{at}/log.sock\"\n\
         [[audit_to]]\nname = \"twin\"\nurl = \"syslog+tls://localhost:{tls}\"\nca_file = \"{at}/twin.pem\"\n\
         certificate = \"{at}/client.pem\"\nkey = \"{at}/client.key\"\n\
         [[audit_to]]\nname = \"nobody\"\nurl = \"syslog+tls://localhost:{tls}\"\nca_file = \"{at}/ca.pem\"\n"
    );
    let installation = Installation::configured(&config, Time::Real).await;
    let device = Device::enrol(&installation, "ws-01").await;
    done(&installation.admin().quarantine(device.id, "lost — Ünïcode").await);
    for way in ["imtcp", "imptcp", "imudp", "imuxsock"] {
        until(way, async || {
            let quarantined = |entry: &Value| {
                entry["event"] == "device.quarantined" && entry.to_string().contains("Ünïcode")
            };
            received(folder.path(), way).iter().any(|(_, entry)| quarantined(entry))
        })
        .await;
        let (parts, entry) = received(folder.path(), way).pop().unwrap();
        let said: Vec<&str> = parts.iter().map(String::as_str).collect();
        let (at, event) = (entry["at"].as_str().unwrap(), entry["event"].as_str().unwrap());
        let wanted = ["110", "1", at, "gateway.example.com", "countersign", "-", event, "-"];
        assert_eq!(said[1..9], wanted, "{way}");
    }
    fs_err::write(installation.folder().join("owner.token"), installation.admin().token()).unwrap();
    until("those that may not are refused", async || {
        let rest =
            ["--token-file", "owner.token", "--config", "countersign.toml", "--ports-file", "ports.json"];
        let ran = installation.run(&[&["audit", "streams", "--json"], &rest[..]].concat());
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        let found: Value = serde_json::from_str(&ran.stdout).unwrap();
        let of = |name: &str| {
            found["streams"].as_array().unwrap().iter().find(|one| one["name"] == name).unwrap().clone()
        };
        let refused =
            ["twin", "nobody"].map(of).iter().all(|one| one["arrivedAt"].is_null() && one["attempts"] != 0);
        let done = ["tls", "tcp", "udp", "local"].map(of).iter().all(|one| one["behind"] == 0);
        refused && done
    })
    .await;
    let bearer = format!("Bearer {}", installation.admin().token());
    let mut admin = Connection::plain(installation.admin_address()).await.unwrap();
    let metrics =
        admin.request("GET", "/metrics", &[("authorization", &bearer)], String::new()).await.unwrap();
    let metrics = metrics.text();
    for line in [
        "countersign_audit_stream_behind{stream=\"tcp\"} ",
        "countersign_audit_stream_lag_seconds{stream=\"twin\"} ",
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
}
