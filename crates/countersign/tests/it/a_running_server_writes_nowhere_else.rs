//! Proves that a running server and what it starts may write nowhere but where they have to, that it serves,
//! hands its sockets over and reloads certificates from elsewhere all the same, and that it can be turned off.
//! Only where the kernel has no Landlock is nothing of that proved, which is said.

use countersign_testkit::TestCa;
use rustix::process::Signal;

use crate::harness::{Device, Installation, Time, until};

/// Whether the kernel sees to it, as the server found.
fn is_on(installation: &Installation) -> bool {
    let is_on = installation.log().contains("sandbox on");
    if !is_on {
        assert!(installation.log().contains("no Landlock"), "{}", installation.log());
        let said = "not tested: this kernel has no Landlock\n";
        std::io::Write::write_all(&mut std::io::stderr(), said.as_bytes()).unwrap();
    }
    is_on
}

/// Has the successor open an access log elsewhere.
fn log_elsewhere(installation: &Installation, file: &std::path::Path) {
    let text = format!("{}\n[access_log]\nfile = \"{}\"\n", installation.config(), file.display());
    fs_err::write(installation.folder().join("countersign.toml"), text).unwrap();
    installation.signal(Signal::USR2);
}

#[tokio::test]
async fn what_it_starts_may_not_write_elsewhere_and_it_goes_on() {
    let mut installation = Installation::start().await;
    if !is_on(&installation) {
        return;
    }
    let elsewhere = tempfile::tempdir().unwrap();
    let file = elsewhere.path().join("access.log");
    log_elsewhere(&installation, &file);
    until("the successor fails", async || installation.log().contains("no successor, going on")).await;
    assert!(!file.exists());
    let device = Device::enrol(&installation, "ws-01").await;
    let mut connection = device.connect(&installation).await;
    assert_eq!(device.heartbeat(&mut connection).await.status, 200);

    // With the configuration that it has, a successor takes over; once more in its sandbox.
    fs_err::write(installation.folder().join("countersign.toml"), installation.config()).unwrap();
    assert_eq!(installation.hand_over().await.code(), Some(0));
    let mut connection = device.connect(&installation).await;
    assert_eq!(device.heartbeat(&mut connection).await.status, 200);
}

#[tokio::test]
async fn certificates_elsewhere_are_read_at_a_reload() {
    let installation = Installation::start().await;
    if !is_on(&installation) {
        return;
    }
    let (ca, elsewhere) = (TestCa::new("elsewhere.example"), tempfile::tempdir().unwrap());
    let server = ca.server(&["shop.example"]);
    fs_err::write(elsewhere.path().join("c.pem"), server.chain_pem()).unwrap();
    fs_err::write(elsewhere.path().join("k.pem"), server.key_pem()).unwrap();
    let folder = elsewhere.path().display();
    let text = format!(
        "[[host]]\nnames = [\"shop.example\"]\ncertificate = \"{folder}/c.pem\"\nkey = \"{folder}/k.pem\"\n"
    );
    fs_err::write(installation.folder().join("countersign.toml"), text).unwrap();
    installation.signal(Signal::HUP);
    until("it is reloaded", async || installation.log().contains("configuration reloaded")).await;
    let client = countersign_testkit::DoorClient::new(&ca.root_pem()).server_name("shop.example");
    client.connect(installation.own_door()).await.unwrap();
}

#[tokio::test]
async fn turned_off_it_is_off_and_says_so() {
    let installation = Installation::configured("sandbox = \"off\"\n", Time::Real).await;
    assert!(installation.log().contains("sandbox off"));
    let elsewhere = tempfile::tempdir().unwrap();
    let file = elsewhere.path().join("access.log");
    log_elsewhere(&installation, &file);
    until("the successor writes there", async || file.exists()).await;
}
