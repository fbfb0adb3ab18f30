//! Proves, with OpenSSL and curl, that each name has its own certificate, EC or RSA, and its own client
//! authentication at the HTTP door and at a TCP door; that neither a session nor a connection of a name that
//! asks for less gets to one that asks for more; and that changed files are shown without a word.

use std::process::Command;

use countersign_testkit::TestCa;

use crate::harness::{Device, Installation, Time, openssl, until};

const CONFIG: &str = "\
[[host]]
names = [\"open.example\"]
certificate = \"open.pem\"
key = \"open.key\"
client_auth = \"none\"

[[host]]
names = [\"strict.example\"]
client_auth = \"required\"

[[host]]
names = [\"*.wild.example\"]
certificate = \"wild.pem\"
key = \"wild.key\"

[[tcp_door]]
name = \"echo\"
listen = \"127.0.0.1:0\"
upstream = \"tcp://127.0.0.1:9\"
require_identity = false
";

struct Site {
    installation: Installation,
    ca: TestCa,
    tcp: u16,
}

impl Site {
    async fn start() -> Self {
        let (ca, mut installation) =
            (TestCa::new("elsewhere.example"), Installation::unstarted(CONFIG, Time::Real));
        let folder = installation.folder().to_owned();
        let open = ca.server(&["open.example"]);
        fs_err::write(folder.join("open.pem"), open.chain_pem()).unwrap();
        fs_err::write(folder.join("open.key"), open.key_pem()).unwrap();
        let rsa = "req -x509 -newkey rsa:2048 -nodes -keyout wild.key -out wild.pem -days 9 -subj /CN=wild";
        let made = Command::new("openssl").args(rsa.split(' ')).current_dir(&folder).output().unwrap();
        assert!(made.status.success());
        installation.start_again().await;
        installation.set_up().await;
        let ports = fs_err::read_to_string(folder.join("ports.json")).unwrap();
        let ports: serde_json::Value = serde_json::from_str(&ports).unwrap();
        let tcp = u16::try_from(ports["tcpDoors"]["echo"].as_u64().unwrap()).unwrap();
        Self { installation, ca, tcp }
    }

    /// The leaf that is shown to whoever asks for this name, in words.
    fn shown(&self, port: u16, name: &str) -> String {
        let address = format!("127.0.0.1:{port}");
        let ran = openssl(&["s_client", "-connect", &address, "-servername", name], b"");
        let leaf = openssl(&["x509", "-noout", "-subject", "-serial", "-pubkey"], ran.stdout.as_bytes());
        assert_eq!(leaf.code, 0, "{name}: {} {}", ran.stderr, leaf.stderr);
        leaf.stdout
    }

    /// Status and body of a request for `host` over a connection for `name`.
    fn ask(&self, name: &str, host: &str, more: &[&str]) -> (String, String) {
        let port = self.installation.own_door().port();
        let output = Command::new("curl")
            .args(["-sS", "-k", "--max-time", "20", "-w", "\n%{http_code}"])
            .args(["--resolve", &format!("{name}:{port}:127.0.0.1"), "-H", &format!("Host: {host}")])
            .args(more)
            .arg(format!("https://{name}:{port}/health"))
            .current_dir(self.installation.folder())
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let (body, status) = text.rsplit_once('\n').unwrap();
        (status.to_owned(), format!("{body}{}", String::from_utf8_lossy(&output.stderr)))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_both_kinds_of_doors() {
    let site = Site::start().await;
    for port in [site.installation.own_door().port(), site.tcp] {
        let open = site.shown(port, "open.example");
        let wild = site.shown(port, "a.wild.example");
        let default = site.shown(port, "elsewhere.example");
        assert!(wild.contains("CN = wild") || wild.contains("CN=wild"), "{wild}");
        assert!(open != wild && open != default && wild != default);
        for other in ["b.a.wild.example", "wild.example", "localhost"] {
            assert_eq!(site.shown(port, other), default, "{other}");
        }
    }

    // Renewed by whoever renews it: a new certificate under the old names.
    let folder = site.installation.folder();
    let before = site.shown(site.tcp, "open.example");
    let renewed = site.ca.server(&["open.example"]);
    fs_err::write(folder.join("open.key"), renewed.key_pem()).unwrap();
    fs_err::write(folder.join("open.pem"), renewed.chain_pem()).unwrap();
    until("the new one is shown", async || site.shown(site.tcp, "open.example") != before).await;
    let renewed = site.shown(site.tcp, "open.example");
    fs_err::write(folder.join("open.pem"), "half a certifica").unwrap();
    until("it is said", async || site.installation.log().contains("cannot be used, the old ones stay")).await;
    assert_eq!(site.shown(site.tcp, "open.example"), renewed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fails_closed_between_names_that_ask_for_more_and_less() {
    let site = Site::start().await;
    let device = Device::enrol(&site.installation, "ws-01").await;
    fs_err::write(site.installation.folder().join("device.pem"), device.identity_pem()).unwrap();
    let shows = ["--cert", "device.pem"];
    for version in ["--http1.1", "--http2"] {
        assert_eq!(site.ask("open.example", "open.example", &[version]).0, "200");
        let (status, body) = site.ask("open.example", "strict.example", &[version]);
        assert_eq!(status, "421", "{body}");
        assert!(body.contains("CLIENT_AUTH_MISDIRECTED"), "{body}");
        // The door itself asks for more than this name does.
        assert_eq!(site.ask("open.example", "localhost", &[version]).0, "421");
        assert_eq!(site.ask("localhost", "STRICT.example.", &[version]).0, "421");
        let (status, body) = site.ask("strict.example", "strict.example", &[version]);
        assert_eq!(status, "000", "refused in the handshake: {body}");
        let with = |more: &[&'static str]| [&shows[..], more].concat();
        assert_eq!(site.ask("strict.example", "strict.example", &with(&[version])).0, "200");
        assert_eq!(site.ask("strict.example", "open.example", &with(&[version])).0, "200");
    }

    // A session of the open name is of no use at the strict one, at either door.
    for version in ["-tls1_2", "-tls1_3"] {
        for port in [site.installation.own_door().port(), site.tcp] {
            let address = format!("127.0.0.1:{port}");
            let session = site.installation.folder().join("session").display().to_string();
            let connect = |name: &'static str, more: &[&str]| {
                let all =
                    [&["s_client", "-connect", &address, "-servername", name, version, "-ign_eof"], more];
                openssl(&all.concat(), b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            };
            connect("open.example", &["-sess_out", &session]);
            let again = connect("strict.example", &["-sess_in", &session]);
            assert!(!again.stdout.contains("Reused,"), "{version} {}", again.stdout);
            let refused = again.stderr.contains("alert") || again.stdout.contains("alert");
            assert!(refused, "{version} {port}: {} {}", again.stdout, again.stderr);
        }
    }
}
