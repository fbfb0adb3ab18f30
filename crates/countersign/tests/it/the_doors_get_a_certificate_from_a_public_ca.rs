//! Proves, with Let's Encrypt's Pebble, that the doors get a certificate from a public CA, renew it, keep it
//! over a restart without the CA, and go on with what they have when the CA refuses.

use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt as _;

use countersign_testkit::{Connection, vacant_address};

use crate::harness::{Installation, Pebble, Time, openssl, until};

fn config(pebble: &Pebble, http: SocketAddr, host: &str) -> String {
    format!("[redirect]\nlisten = \"{http}\"\n{}", acme(pebble, host))
}

fn acme(pebble: &Pebble, host: &str) -> String {
    let (directory, root) = (pebble.directory(), pebble.root());
    format!(
        "[acme]\nhosts = [\"{host}\"]\nagree_to_terms = true\ncontacts = [\"pki@example.com\"]\n\
         directory = \"{directory}\"\nca_file = \"{root}\"\n"
    )
}

/// Issuer and serial number of what is shown under a name.
fn shown(installation: &Installation, name: &str) -> String {
    let address = installation.own_door().to_string();
    let ran = openssl(&["s_client", "-connect", &address, "-servername", name], b"");
    let leaf = openssl(&["x509", "-noout", "-issuer", "-serial"], ran.stdout.as_bytes());
    assert_eq!(leaf.code, 0, "{} {}", ran.stderr, leaf.stderr);
    leaf.stdout
}

/// What the metrics say, by name.
async fn counted(installation: &Installation, name: &str) -> Option<f64> {
    let bearer = format!("Bearer {}", installation.admin().token());
    let mut admin = Connection::plain(installation.admin_address()).await.unwrap();
    let headers = [("authorization", bearer.as_str())];
    let text = admin.request("GET", "/metrics", &headers, String::new()).await.unwrap().text();
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn and_renews_it_and_keeps_it() {
    let http = vacant_address();
    let mut pebble = Pebble::start(http, 12).await;
    let mut installation =
        Installation::configured(&config(&pebble, http, "gateway.example"), Time::Real).await;
    let own = shown(&installation, "localhost");
    until("a certificate is obtained", async || shown(&installation, "gateway.example").contains("Pebble"))
        .await;
    let first = shown(&installation, "gateway.example");
    assert_eq!(shown(&installation, "localhost"), own, "other names are shown what they were");
    for file in ["account.sealed", "certificate.sealed"] {
        let found = fs_err::metadata(installation.data().join("acme").join(file)).unwrap();
        assert_eq!(found.mode() & 0o777, 0o600, "{file}");
    }
    for entry in fs_err::read_dir(installation.data().join("acme")).unwrap() {
        let kept = fs_err::read(entry.unwrap().path()).unwrap();
        assert!(!String::from_utf8_lossy(&kept).contains("PRIVATE KEY") && !kept.starts_with(b"{"), "sealed");
    }

    until("it is renewed before it ends", async || shown(&installation, "gateway.example") != first).await;
    let written = installation.admin().audit("event=door.certificate_issued").await;
    let acquired = written.iter().filter(|entry| format!("{entry:?}").contains("acme")).count();
    assert!(acquired >= 2, "{written:?}");

    // The CA is gone; the last certificate goes on, over a restart too.
    pebble.stop();
    installation.terminate().await;
    installation.start_again().await;
    assert!(shown(&installation, "gateway.example").contains("Pebble"));
    until("the failure is said", async || installation.log().contains("certificate not obtained by ACME"))
        .await;
    assert!(shown(&installation, "gateway.example").contains("Pebble"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_tls_at_any_door_where_there_is_no_redirect() {
    let tls = vacant_address();
    let pebble = Pebble::start_over_tls(tls, 3600).await;
    let door = format!("[[tcp_door]]\nname = \"db\"\nlisten = \"{tls}\"\nupstream = \"tcp://{tls}\"\n");
    let config = format!("{}{door}", acme(&pebble, "gateway.example"));
    let installation = Installation::configured(&config, Time::Real).await;
    until("a certificate is obtained", async || shown(&installation, "gateway.example").contains("Pebble"))
        .await;
    assert!(counted(&installation, "countersign_acme_expires_seconds").await > Some(3000.0));
    assert_eq!(counted(&installation, "countersign_acme_failures").await, Some(0.0));
    let asking = openssl(&["s_client", "-connect", &tls.to_string(), "-alpn", "acme-tls/1"], b"");
    assert!(asking.stdout.contains("No ALPN negotiated"), "nothing is asked any more: {}", asking.stdout);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_is_said_and_the_doors_show_what_they_have() {
    let http = vacant_address();
    let pebble = Pebble::start(http, 3600).await;
    let installation = Installation::configured(&config(&pebble, http, "blocked.example"), Time::Real).await;
    until("the refusal is said", async || {
        let log = installation.log();
        log.contains("certificate not obtained by ACME") && log.contains("blocked.example")
    })
    .await;
    assert!(!shown(&installation, "blocked.example").contains("Pebble"));
    assert!(counted(&installation, "countersign_acme_failures").await >= Some(1.0));
    assert_eq!(counted(&installation, "countersign_acme_expires_seconds").await, None);
    assert!(!installation.data().join("acme/certificate.sealed").exists());
}
