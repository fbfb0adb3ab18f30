//! Proves, with a real Mosquitto and its dynamic-security plugin, that accounts are kept there over TLS, by the CA
//! that is named, and not at a broker that another CA vouches for; and that the authority which keeps them hears
//! of a device that enrols at another authority of the same database.

use countersign_testkit::TestCa;
use tempfile::TempDir;

use crate::harness::{Database, Device, Installation, KeptMosquitto, Time, until};

/// Files that are there while the value is: what a broker shows, and CAs by which one may recognise it.
struct Files(TempDir);

impl Files {
    fn new() -> Self {
        let (ca, files) = (TestCa::new("bus.example"), Self(tempfile::tempdir().unwrap()));
        let server = ca.server(&["127.0.0.1"]);
        for (name, text) in [
            ("server.pem", server.chain_pem()),
            ("server.key", server.key_pem()),
            ("root.pem", ca.root_pem()),
            ("twin.pem", ca.evil_twin().root_pem()),
        ] {
            fs_err::write(files.0.path().join(name), text).unwrap();
        }
        files
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_tls_by_the_ca_that_is_named_and_by_no_other() {
    let files = Files::new();
    let listener = format!("certfile {}\nkeyfile {}\n", files.path("server.pem"), files.path("server.key"));
    let broker = KeptMosquitto::start(&listener).await;
    let control = |ca: &str| format!("{}control_ca = {:?}\n", broker.kept_over("tls"), files.path(ca));

    let deceived = Installation::configured(&control("twin.pem"), Time::Real).await;
    Device::enrol(&deceived, "pump-1").await;
    let refused = "devices' accounts at the broker not kept";
    until("the broker is not believed", async || deceived.log().contains(refused)).await;
    assert!(!broker.has_account("pump-1"));
    drop(deceived);

    let installation = Installation::configured(&control("root.pem"), Time::Real).await;
    Device::enrol(&installation, "pump-2").await;
    until("the device has its account", async || broker.has_account("pump-2")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_devices_that_enrol_at_another_authority_too() {
    let broker = KeptMosquitto::start("").await;
    let first = Installation::on(Database::Postgres, &broker.kept_over("tcp"), Time::Real).await;
    until("accounts are kept", async || first.log().contains("devices' accounts at the broker are kept"))
        .await;
    let second = first.beside_with("").await;
    Device::enrol(&second, "pump-1").await;
    until("the device has its account", async || broker.has_account("pump-1")).await;
    assert!(!second.log().contains("accounts at the broker"), "one of them keeps them");
}
