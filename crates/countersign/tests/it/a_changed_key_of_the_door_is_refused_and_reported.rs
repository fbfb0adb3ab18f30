//! Proves that a forward with a pin goes through while the door has that key, and that another key is
//! refused, shown by `status` and told to the control plane.

use std::net::SocketAddr;

use countersign_core::ids::SpkiSha256;
use countersign_testkit::vacant_address;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::harness::{AgentHome, Installation, Time, eventually, openssl, until};

/// An upstream that says everything back.
async fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut read, mut write) = stream.split();
                tokio::io::copy(&mut read, &mut write).await
            });
        }
    });
    address
}

async fn echoes(at: SocketAddr) -> bool {
    let exchange = async {
        let mut stream = TcpStream::connect(at).await?;
        stream.write_all(b"hello").await?;
        let mut back = [0; 5];
        stream.read_exact(&mut back).await?;
        std::io::Result::Ok(back)
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), exchange)
        .await
        .unwrap()
        .is_ok_and(|back| back == *b"hello")
}

/// The key that a door shows.
fn key_of(door: SocketAddr) -> SpkiSha256 {
    let shown = openssl(&["s_client", "-connect", &door.to_string()], b"").stdout;
    let public = openssl(&["x509", "-noout", "-pubkey"], shown.as_bytes()).stdout;
    let base64: String = public.lines().filter(|line| !line.starts_with("-----")).collect();
    use base64::Engine as _;
    SpkiSha256::of(&base64::engine::general_purpose::STANDARD.decode(base64).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_key_is_refused_shown_and_told() {
    let upstream = echo().await;
    let door = format!(
        "[[tcp_door]]\nname = \"echo\"\nlisten = \"127.0.0.1:{}\"\nupstream = \"tcp://{upstream}\"\n",
        // Its certificate names this machine by this address alone.
        vacant_address().port()
    );
    let mut installation = Installation::configured(&door, Time::Real).await;
    let home = AgentHome::enrolled(&installation).await;
    let pinned = key_of(installation.tcp_door("echo"));
    let listen: SocketAddr = vacant_address();
    let forwards = format!(
        "forwards:\n- listen: {listen}\n  to: {}\n  pins: [{pinned}]\n",
        installation.tcp_door("echo")
    );
    let saved = fs_err::read_to_string(home.config()).unwrap();
    fs_err::write(home.config(), format!("{saved}{forwards}")).unwrap();
    let agent = home.run();
    until("the forward is open", async || TcpStream::connect(listen).await.is_ok()).await;
    assert!(echoes(listen).await, "{}", agent.log());
    assert_eq!(home.output(&["status"]).code, 0);

    // At its start the server makes itself another certificate, with another key.
    assert!(installation.terminate().await.success());
    installation.start_again().await;
    assert_ne!(key_of(installation.tcp_door("echo")), pinned);
    assert!(!echoes(listen).await);
    assert!(agent.log().contains("the door's key is not the pinned one"), "{}", agent.log());
    let status = eventually(std::time::Duration::from_secs(30), "status shows it", async || {
        let ran = home.output(&["status"]);
        (ran.code == 1).then_some(ran)
    })
    .await;
    assert!(status.stdout.contains("another key"), "{}{}", status.stdout, status.stderr);
    let admin = installation.admin();
    let told = eventually(std::time::Duration::from_secs(30), "the control plane is told", async || {
        admin.audit("event=audit.reported").await.pop()
    })
    .await;
    let facts: Value = serde_json::to_value(told.details).unwrap();
    assert!(facts.to_string().contains("server_key_changed"), "{facts}");
    until("the forwards are still in the configuration", async || {
        home.saved()["forwards"][0]["to"] == installation.tcp_door("echo").to_string()
    })
    .await;
}
