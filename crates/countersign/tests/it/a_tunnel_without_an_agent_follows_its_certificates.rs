//! Proves that `countersign tunnel` carries a session with the certificate of a directory, follows a swap
//! of it without a restart, and refuses doors that are not the right one.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use countersign_testkit::{KeyKind, TestKey};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::harness::{Device, Forwarding, Installation, Time, until};
use crate::upstream::Upstream;

fn put(folder: &Path, device: &Device, root: &str) {
    let mtls = device.mtls.as_ref().unwrap();
    fs_err::create_dir_all(folder.join("web")).unwrap();
    let files = [
        ("cert", format!("{}\n{}", mtls.certificate, mtls.chain)),
        ("key", device.key.pkcs8_pem()),
        ("chain", root.to_owned()),
    ];
    for (what, contents) in files {
        fs_err::write(folder.join(format!("web/web-{what}.pem")), contents).unwrap();
    }
}

fn tunnel(folder: &Path, to: &str, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
    command
        .args(["tunnel", "--listen", "127.0.0.1:0", "--to", to, "--dir", "web", "--json"])
        .args(more)
        .current_dir(folder)
        .env_clear()
        .stdin(Stdio::null());
    command
}

/// An answer to a request in clear; empty when there is none.
async fn get(at: SocketAddr) -> String {
    let mut stream = TcpStream::connect(at).await.unwrap();
    let request = "GET /required/x HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    drop(stream.read_to_string(&mut answer).await);
    answer
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_swap_is_followed_and_a_wrong_door_gets_nothing() {
    let upstream = Upstream::start().await;
    let installation = Installation::configured(&upstream.routes(), Time::Real).await;
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (Device::enrol(&installation, "one").await, Device::enrol(&installation, "two").await);
    put(folder.path(), &one, installation.root_pem());
    let to = format!("localhost:{}", installation.door().port());
    let open = Forwarding::start(tunnel(folder.path(), &to, &[]), &folder.path().join("log"));
    assert!(get(open.address()).await.starts_with("HTTP/1.1 200"));
    assert_eq!(upstream.received().pop().unwrap().header("countersign-device"), Some("one"));
    put(folder.path(), &two, installation.root_pem());
    assert!(get(open.address()).await.starts_with("HTTP/1.1 200"));
    assert_eq!(upstream.received().pop().unwrap().header("countersign-device"), Some("two"));

    let other_key = TestKey::generate(KeyKind::P256).pkcs8_pem();
    fs_err::write(folder.path().join("web/web-key.pem"), other_key).unwrap();
    assert!(get(open.address()).await.starts_with("HTTP/1.1 200"), "what is half swapped is not taken");
    put(folder.path(), &one, installation.root_pem());

    drop(upstream.received());
    let wrong_pin = ["--pin", &"00".repeat(32)];
    let wrong_name = ["--server-name", "other.example.com"];
    for (more, said) in [(wrong_pin, "not the pinned one"), (wrong_name, "out of reach")] {
        let closed = Forwarding::start(tunnel(folder.path(), &to, &more), &folder.path().join("log"));
        assert_eq!(get(closed.address()).await, "");
        until("it is said why", async || closed.log().contains(said)).await;
    }
    assert!(upstream.received().is_empty());

    fs_err::remove_file(folder.path().join("web/web-key.pem")).unwrap();
    let refused = tunnel(folder.path(), &to, &[]).output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("holds no web-cert.pem with its web-key.pem"));
}
