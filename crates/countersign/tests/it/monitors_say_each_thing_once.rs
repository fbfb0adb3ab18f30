//! Proves that certificates at a real TLS server and in a file are watched: their ends, another key and
//! nobody there are each said once, across a restart of the server, and an accepted key is the pin.

use std::time::Duration;

use countersign_api::wire::admin::AuditEntryBody;
use serde_json::{Value, json};

use crate::harness::{Installation, ShowingServer, Time, days, done, self_signed, until};

const MINUTES: Duration = Duration::from_secs(120);

/// What was said of watched certificates, oldest first: whose, and what.
async fn said(installation: &Installation) -> Vec<(String, String)> {
    let entries = installation.admin().audit("").await;
    let text = |entry: &AuditEntryBody, fact: &str| entry.details.get(fact).cloned().unwrap_or_default();
    let about = entries.iter().rev().filter(|entry| entry.details.contains_key("monitor"));
    about
        .map(|entry| {
            let what = format!("{} {}", entry.event, text(entry, "days"));
            (text(entry, "monitor"), what.trim_end().to_owned())
        })
        .collect()
}

/// Whether this was said, each once.
async fn says(installation: &Installation, name: &str, wanted: &[&str]) -> bool {
    let said = said(installation).await;
    let of_it: Vec<_> = said.iter().filter(|(whose, _)| whose == name).map(|(_, what)| what).collect();
    of_it == wanted
}

async fn monitor(installation: &Installation, name: &str) -> Value {
    let list = done(&installation.admin().get("/monitors").await);
    let monitors = list["monitors"].as_array().unwrap();
    monitors.iter().find(|monitor| monitor["name"] == name).unwrap().clone()
}

async fn is(installation: &Installation, name: &str, status: &str) -> bool {
    monitor(installation, name).await["status"] == status
}

fn config(folder: &std::path::Path, port: u16) -> String {
    format!(
        "[[monitor]]\nname = \"web\"\naddress = \"127.0.0.1:{port}\"\nserver_name = \"web.example.com\"\n\
         interval_minutes = 1\n[[monitor]]\nname = \"disk\"\nfile = {:?}\ninterval_minutes = 1\n",
        folder.join("disk.pem")
    )
}

#[tokio::test]
async fn a_server_and_a_file_are_watched() {
    let folder = tempfile::tempdir().unwrap();
    let files = folder.path();
    self_signed(files, "web", 40, None);
    self_signed(files, "other", 400, None);
    self_signed(files, "disk", 400, None);
    let server = ShowingServer::start(files, "web", 0);
    let port = server.port();
    let mut installation = Installation::configured(&config(files, port), Time::Fake).await;
    until("both are seen", async || {
        is(&installation, "web", "ok").await && is(&installation, "disk", "ok").await
    })
    .await;
    assert!(said(&installation).await.is_empty(), "what is first seen is no change");

    // The end comes nearer.
    installation.time().advance(days(11));
    until("30 days", async || says(&installation, "web", &["certificate.expiring 30"]).await).await;
    assert!(is(&installation, "web", "expiring").await && is(&installation, "disk", "ok").await);

    // A renewal of the file with another key; without a pin any other certificate is a change.
    fs_err::copy(files.join("other.pem"), files.join("disk.pem")).unwrap();
    installation.time().advance(MINUTES);
    until("the file changed", async || says(&installation, "disk", &["monitor.changed"]).await).await;

    // Nobody is there, and somebody else then.
    drop(server);
    installation.time().advance(MINUTES);
    let away = ["certificate.expiring 30", "monitor.unreachable"];
    until("it is away", async || says(&installation, "web", &away).await).await;
    assert!(is(&installation, "web", "unreachable").await);
    let _server = ShowingServer::start(files, "other", port);
    installation.time().advance(MINUTES * 3);
    let back = [&away[..], &["monitor.reachable", "monitor.changed"]].concat();
    until("it is back", async || says(&installation, "web", &back).await).await;

    // Nothing of it is said again, by a new process either.
    installation.terminate().await;
    installation.start_again().await;
    let looked_at = monitor(&installation, "web").await["lookedAt"].clone();
    installation.time().advance(MINUTES);
    until("it was looked again", async || monitor(&installation, "web").await["lookedAt"] != looked_at).await;
    installation.time().advance(MINUTES);
    let seen = monitor(&installation, "web").await["certificate"]["lastSeenAt"].clone();
    until("it was seen again", async || {
        monitor(&installation, "web").await["certificate"]["lastSeenAt"] != seen
    })
    .await;
    assert!(
        says(&installation, "web", &back).await && says(&installation, "disk", &["monitor.changed"]).await
    );
    assert!(is(&installation, "web", "changed").await);

    accept(&installation, files).await;
    let accepted = [&back[..], &["monitor.accepted"]].concat();
    assert!(says(&installation, "web", &accepted).await);
    assert!(is(&installation, "web", "ok").await && is(&installation, "disk", "changed").await);
    let anchor = installation.run(&["audit", "verify"]);
    assert_eq!(anchor.code, 0, "{}", anchor.stderr);
}

/// Accepts the key of `web` on the command line.
async fn accept(installation: &Installation, files: &std::path::Path) {
    let token = done(&installation.admin().post("/api-tokens", &json!({ "name": "m" })).await);
    let token_file = files.join("token").display().to_string();
    fs_err::write(&token_file, token["token"].as_str().unwrap()).unwrap();
    let ports = installation.folder().join("ports.json").display().to_string();
    let run = |arguments: &[&str]| {
        let common = ["--token-file", &token_file, "--ports-file", &ports];
        installation.run(&[&["monitor"], arguments, &common].concat())
    };
    let listed = run(&["list"]);
    assert_eq!(listed.code, 0, "{}", listed.stderr);
    assert!(listed.stdout.contains("web: changed since "), "{}", listed.stdout);
    let wrong = "00".repeat(32);
    let refused = run(&["accept", "web", "--spki", &wrong]);
    assert_eq!(refused.code, 3, "{}", refused.stderr);
    assert!(refused.stderr.contains("MONITOR_STATE"), "{}", refused.stderr);
    let key = monitor(installation, "web").await["certificate"]["spkiSha256"].as_str().unwrap().to_owned();
    let accepted = run(&["accept", "web", "--spki", &key, "--json"]);
    assert_eq!(accepted.code, 0, "{}", accepted.stderr);
    let accepted: Value = serde_json::from_str(&accepted.stdout).unwrap();
    assert_eq!((&accepted["status"], &accepted["pin"]), (&json!("ok"), &json!(key)));
}

#[tokio::test]
async fn a_renewal_with_the_pinned_key_is_silent_until_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let files = folder.path();
    self_signed(files, "web", 20, None);
    self_signed(files, "renewed", 45, Some("web"));
    let place = files.join("web.pem").display().to_string();
    let checked = crate::program::run(files, &[], &["monitor", "check", &place, "--json"]);
    let checked: Value = serde_json::from_str(&checked.stdout).unwrap();
    let pin = checked["pin"].as_str().unwrap();
    let config =
        format!("[[monitor]]\nname = \"web\"\nfile = {place:?}\npin = \"{pin}\"\ninterval_minutes = 1\n");
    let installation = Installation::configured(&config, Time::Fake).await;
    until("it is seen", async || is(&installation, "web", "ok").await).await;
    let first = monitor(&installation, "web").await["certificate"]["serialNumber"].clone();
    fs_err::copy(files.join("renewed.pem"), &place).unwrap();
    installation.time().advance(MINUTES);
    until("the renewal is seen", async || {
        monitor(&installation, "web").await["certificate"]["serialNumber"] != first
    })
    .await;
    assert!(is(&installation, "web", "ok").await);
    installation.time().advance(days(50));
    until("it is over", async || says(&installation, "web", &["certificate.expired"]).await).await;
    assert!(is(&installation, "web", "expired").await);
}
