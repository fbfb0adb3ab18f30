//! Proves that a door shows its own certificate to an upstream that asks for one: a real nginx with
//! `ssl_verify_client on`, which refuses whoever has none, or another CA's.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use countersign_testkit::vacant_address;
use rustix::process::{Pid, Signal, kill_process};
use tokio::net::TcpStream;

use crate::harness::{Clerk, Installation, Time, self_signed, until};

/// It ends with the test.
struct Nginx(Child);

impl Drop for Nginx {
    fn drop(&mut self) {
        let _gone = kill_process(Pid::from_child(&self.0), Signal::TERM);
        let _ended = self.0.wait();
    }
}

fn configuration(address: SocketAddr) -> String {
    format!(
        "error_log stderr warn; pid nginx.pid; events {{}}
         http {{
             access_log off; client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
             uwsgi_temp_path uwsgi; scgi_temp_path scgi;
             server {{
                 listen {address} ssl;
                 ssl_certificate ../certs/app/app-cert.pem;
                 ssl_certificate_key ../certs/app/app-key.pem;
                 ssl_client_certificate bundle.pem;
                 ssl_verify_client on;
                 ssl_verify_depth 3;
                 location / {{ return 200 \"hello $ssl_client_s_dn\\n\"; }}
             }}
         }}"
    )
}

async fn nginx(clerk: &Clerk) -> (Nginx, SocketAddr) {
    let address = vacant_address();
    let folder = clerk.path("nginx");
    fs_err::create_dir_all(&folder).unwrap();
    clerk.write("nginx/bundle.pem", &clerk.installation.get_plain("/pki/bundle.pem").await.text());
    clerk.write("nginx/nginx.conf", &configuration(address));
    // Where tests run as root, workers would run as somebody who may not enter the test's folder.
    let user = if rustix::process::geteuid().is_root() { "daemon off; user root;" } else { "daemon off;" };
    let process = Command::new("nginx")
        .args(["-p", ".", "-c"])
        .arg(folder.join("nginx.conf"))
        .args(["-g", user])
        .current_dir(&folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(fs_err::File::create(folder.join("log")).unwrap().into_file())
        .spawn()
        .unwrap();
    let nginx = Nginx(process);
    until("nginx listens", async || TcpStream::connect(address).await.is_ok()).await;
    (nginx, address)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_it_a_request_passes_and_without_it_nothing_does() {
    let mut clerk = Clerk::at(Installation::configured("", Time::Real).await).await;
    for name in ["app", "front"] {
        clerk.issue(name, "90");
    }
    clerk.write("root.pem", clerk.installation.root_pem());
    self_signed(clerk.installation.folder(), "evil", 30, None);
    let (_nginx, address) = nginx(&clerk).await;
    let route = |path: &str, more: &str| {
        format!(
            "[[route]]\npath = \"{path}\"\nupstream = \"https://{address}\"\nca_file = \"root.pem\"\n\
             server_name = \"app.example.com\"\nrequire_identity = false\n{more}\n"
        )
    };
    let routes = [
        route("/shown", "client_certificate = \"certs/front\""),
        route("/none", ""),
        route("/evil", "client_certificate = \"evil.pem\"\nclient_key = \"evil.key\""),
    ];
    clerk.installation.terminate().await;
    clerk.installation.reconfigure(&routes.concat());
    clerk.installation.start_again().await;

    let mut connection = clerk.installation.connect().await;
    let passed = connection.request("GET", "/shown", &[], "").await.unwrap();
    assert_eq!(passed.status, 200, "{}", passed.text());
    assert!(passed.text().contains("front"), "{}", passed.text());
    for path in ["/none", "/evil"] {
        let refused = connection.request("GET", path, &[], "").await.unwrap();
        // This is how nginx refuses a certificate.
        assert_eq!(refused.status, 400, "{path}: {}", refused.text());
        assert!(!refused.text().contains("hello"), "{path}");
    }
}
