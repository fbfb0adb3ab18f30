//! Proves that the nginx of examples/tunnel asks for certificates by our bundle and revocation lists, that what it
//! says about a client cannot be said by the client, and that it reaches the application only by its own
//! certificate.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::net::TcpStream;

use crate::harness::{Clerk, Installation, Time, openssl, until};
use crate::program::repository;
use crate::upstream::Upstream;

/// nginx as the example configures it; it ends with this.
struct Nginx {
    process: Child,
    address: SocketAddr,
    folder: PathBuf,
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _gone = kill_process(Pid::from_child(&self.process), Signal::TERM);
        let _ended = self.process.wait();
    }
}

impl Nginx {
    async fn start(clerk: &Clerk) -> Self {
        let folder = clerk.path("nginx");
        let door = clerk.installation.tcp_door("api");
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let text = fs_err::read_to_string(repository().join("examples/tunnel/nginx.conf.in")).unwrap();
        let filled = [
            ("@RUN@", clerk.name("nginx")),
            ("@CERTS@", clerk.name("certs")),
            ("@PORT@", port.to_string()),
            ("@DOOR@", door.port().to_string()),
            ("@NAME@", "front.example.com".to_owned()),
            ("@DOOR_NAME@", "localhost".to_owned()),
        ];
        let text = filled.iter().fold(text, |text, (mark, value)| text.replace(mark, value));
        fs_err::write(folder.join("nginx.conf"), text).unwrap();
        let log = fs_err::File::create(folder.join("log")).unwrap().into_file();
        // Where tests run as root, workers would run as somebody who may not enter the test's folder.
        let user =
            if rustix::process::geteuid().is_root() { "daemon off; user root;" } else { "daemon off;" };
        let process = Command::new("nginx")
            .args(["-p", ".", "-c"])
            .arg(folder.join("nginx.conf"))
            .args(["-g", user])
            .current_dir(&folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let nginx = Self { process, address: ([127, 0, 0, 1], port).into(), folder };
        until("nginx listens", async || TcpStream::connect(nginx.address).await.is_ok()).await;
        nginx
    }

    /// The status that curl is answered with this certificate, and these headers of its own; 0: none.
    fn status(&self, clerk: &Clerk, certificate: Option<&str>, more: &[&str]) -> u16 {
        let mut command = Command::new("curl");
        command.args([
            "--silent",
            "--max-time",
            "20",
            "--output",
            "/dev/null",
            "--write-out",
            "%{http_code}",
        ]);
        command.args(["--cacert", &clerk.name("nginx/root.pem")]);
        command.args(["--resolve", &format!("front.example.com:{}:127.0.0.1", self.address.port())]);
        if let Some(name) = certificate {
            command.args(["--cert", &clerk.name(format!("certs/{name}/{name}-cert.pem"))]);
            command.args(["--key", &clerk.name(format!("certs/{name}/{name}-key.pem"))]);
        }
        command.args(more).arg(format!("https://front.example.com:{}/api/x", self.address.port()));
        let output = command.output().unwrap();
        String::from_utf8(output.stdout).unwrap().parse().unwrap()
    }

    fn reload(&self) {
        kill_process(Pid::from_child(&self.process), Signal::HUP).unwrap();
    }

    fn log(&self) -> String {
        fs_err::read_to_string(self.folder.join("log")).unwrap_or_default()
    }
}

/// Bundle and lists, as the guide fetches them.
async fn fetch(clerk: &Clerk) {
    let installation = &clerk.installation;
    let bundle = installation.get_plain("/pki/bundle.pem").await.text();
    let mut lists = String::new();
    for ca in ["root", "device", "service"] {
        let shown: Value =
            serde_json::from_str(&installation.run(&["ca", "show", ca, "--json"]).stdout).unwrap();
        let key = shown["keyId"].as_str().unwrap();
        let list = installation.get_plain(&format!("/pki/crl/{key}.crl")).await;
        assert_eq!(list.status, 200, "{ca}: {}", list.text());
        lists.push_str(&openssl(&["crl", "-inform", "DER"], &list.body).stdout);
    }
    fs_err::create_dir_all(clerk.path("nginx")).unwrap();
    clerk.write("nginx/bundle.pem", &bundle);
    clerk.write("nginx/root.pem", installation.root_pem());
    clerk.write("nginx/lists.pem", &lists);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nginx_says_about_a_client_is_nginx_s_word_alone() {
    let upstream = Upstream::start().await;
    let url = upstream.url();
    let door = format!(
        "[[tcp_door]]\nname = \"api\"\nlisten = \"127.0.0.1:0\"\nupstream = \"{}\"\nadmit = [\"services\"]\n\
         allow_sans = [\"dns:front.example.com\"]\n",
        url.replace("http://", "tcp://")
    );
    let clerk = Clerk::at(Installation::configured(&door, Time::Real).await).await;
    for name in ["front", "web"] {
        clerk.issue(name, "90");
    }
    fetch(&clerk).await;
    let nginx = Nginx::start(&clerk).await;

    let forged = ["-H", "X-SSL-Client-Verify: SUCCESS", "-H", "X-SSL-Client-Subject: CN=admin"];
    assert_eq!(nginx.status(&clerk, Some("web"), &forged), 200, "{}", nginx.log());
    let received = upstream.received().pop().unwrap();
    assert_eq!(received.header("x-ssl-client-verify"), Some("SUCCESS"));
    let subject = received.header("x-ssl-client-subject").unwrap();
    assert!(subject.contains("web") && !subject.contains("admin"), "{subject}");
    assert_eq!(nginx.status(&clerk, None, &forged), 403, "no certificate");
    assert!(upstream.received().is_empty());

    // The way that nginx takes is open to nginx alone.
    let door = clerk.installation.tcp_door("api");
    let web = [clerk.text("certs/web/web-cert.pem"), clerk.text("certs/web/web-key.pem")].join("\n");
    let mut stream = clerk.installation.client().showing(&web).stream(door).await.unwrap();
    let mut answer = Vec::new();
    drop(tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut answer).await);
    assert!(answer.is_empty() && upstream.received().is_empty());

    clerk.must(&["cert", "revoke", "certs/web/web-cert.pem"]);
    until("the list has it", async || {
        fetch(&clerk).await;
        nginx.reload();
        nginx.status(&clerk, Some("web"), &[]) != 200
    })
    .await;
    clerk.issue("other", "90");
    assert_eq!(nginx.status(&clerk, Some("other"), &[]), 200);
    clerk.must(&["cert", "revoke", "certs/front/front-cert.pem"]);
    assert_eq!(nginx.status(&clerk, Some("other"), &[]), 502, "the way is shut at once");
}
