//! Proves that a root's key goes to a file that OpenSSL opens too, and is nowhere else afterwards; that the
//! rest runs on without it; and that it comes back, with its passphrase alone.

use std::os::unix::fs::PermissionsExt as _;

use countersign_core::time::{Clock as _, SystemClock, Timestamp};
use countersign_store::{IssuerRole, IssuerRow, KeptKey, Store};
use countersign_testkit::{SoftToken, TOKEN_LABEL};
use serde_json::{Value, json};

use crate::harness::{
    Database, Device, Installation, OfflineMachine, PASSPHRASE, Time, days, openssl, printed, read, refused,
    secret_file,
};
use crate::program::Ran;

const CONFIG: &str = "public_base_url = \"http://pki.example.com\"\n";

async fn root_row(installation: &Installation) -> IssuerRow {
    let url = format!("sqlite:{}", installation.data().join("countersign.db").display());
    let store = Store::open_for_reading(&url.parse().unwrap()).await.unwrap();
    let rows = store.read(|r| Box::pin(async move { r.issuers().await })).await.unwrap();
    rows.into_iter().find(|row| row.role == IssuerRole::Root).unwrap()
}

fn export(installation: &Installation, more: &[&str]) -> Ran {
    let passphrase = secret_file(installation.folder(), "passphrase", PASSPHRASE);
    let export = ["ca", "root", "export", "--to", "root.pem", "--passphrase-file", &passphrase];
    installation.run(&[&export, more].concat())
}

fn tree(installation: &Installation) -> String {
    let ran = installation.run(&["ca", "tree"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    ran.stdout
}

fn mode(installation: &Installation, name: &str) -> u32 {
    fs_err::metadata(installation.folder().join(name)).unwrap().permissions().mode() & 0o7777
}

#[tokio::test]
async fn all_else_runs_on_without_it_and_it_comes_back() {
    let mut installation = Installation::configured(CONFIG, Time::Real).await;
    refused(&export(&installation, &[]), "hint: stop the server first");
    let key_id = root_row(&installation).await.key_id;
    assert_eq!(installation.get_plain(&format!("/pki/crl/{key_id}-a7.crl")).await.status, 200);
    assert!(installation.terminate().await.success());

    // Without the server's configuration the lists of shards would be left out.
    refused(&export(&installation, &[]), "name the configuration of the server");
    assert!(!installation.folder().join("root.pem").exists());
    let machine = OfflineMachine::with_root_of(&installation);
    let file = machine.root_file().to_str().unwrap().to_owned();
    assert_eq!(fs_err::metadata(&file).unwrap().permissions().mode() & 0o7777, 0o600);
    openssl_opens(&machine, &file);
    assert_eq!(root_row(&installation).await.key, KeptKey::Offline);
    let drawn = tree(&installation);
    assert!(drawn.contains("root: root, active") && drawn.contains("key offline (CRL until "), "{drawn}");
    refused(&export(&installation, &[]), "its key is offline already");

    installation.start_again().await;
    // Everything that happens day by day.
    let device = Device::enrol(&installation, "pump").await;
    let beat = device.heartbeat(&mut device.connect(&installation).await).await;
    assert_eq!(beat.status, 200, "{}", beat.text());
    its_lists_last(&installation, &key_id.to_string()).await;
    let rotated = installation.admin().post("/cas/device/rotation", &json!({})).await;
    assert_eq!(rotated.status, 409);
    assert_eq!(rotated.json()["code"], "CA_UNAVAILABLE", "{}", rotated.text());
    let gone = installation.admin().audit("event=ca.taken_offline").await;
    assert_eq!(gone.len(), 1);
    let ready: Value = read(&installation.get_plain("/health/ready").await);
    assert_eq!(ready.get("warnings"), None, "{ready}");
    assert!(installation.terminate().await.success());

    let wrong = secret_file(installation.folder(), "wrong", "another passphrase");
    let import = ["ca", "root", "import", "--from", &file, "--passphrase-file"];
    refused(&installation.run(&[&import, &[wrong.as_str()][..]].concat()), "the passphrase is wrong");
    assert_eq!(root_row(&installation).await.key, KeptKey::Offline);
    let right = secret_file(installation.folder(), "right", PASSPHRASE);
    let import = [&import, &[right.as_str()][..]].concat();
    assert_eq!(printed(&installation.run(&[&import, &["--json"][..]].concat()))["ca"], "root");
    assert!(matches!(root_row(&installation).await.key, KeptKey::Sealed(_)));
    refused(&installation.run(&import), "its key is here already");

    installation.start_again().await;
    let rotated = installation.admin().post("/cas/device/rotation", &json!({})).await;
    assert_eq!(rotated.status, 201, "{}", rotated.text());
    assert_eq!(installation.admin().audit("event=ca.brought_back").await.len(), 1);
    for name in ["log", "data/countersign.db"] {
        let bytes = fs_err::read(installation.folder().join(name)).unwrap();
        assert!(!String::from_utf8_lossy(&bytes).contains(PASSPHRASE), "{name}");
    }
}

/// The key is that of the certificate, with the passphrase alone.
fn openssl_opens(machine: &OfflineMachine, file: &str) {
    let passphrase = format!("file:{}", machine.folder().join("passphrase").display());
    let key = openssl(&["pkey", "-in", file, "-passin", &passphrase, "-pubout"], b"");
    assert_eq!(key.code, 0, "{}", key.stderr);
    assert_eq!(openssl(&["x509", "-in", file, "-noout", "-pubkey"], b"").stdout, key.stdout);
    let wrong = openssl(&["pkey", "-in", file, "-passin", "pass:another passphrase", "-pubout"], b"");
    assert_ne!(wrong.code, 0);
    let text = fs_err::read_to_string(file).unwrap();
    assert!(text.contains("BEGIN ENCRYPTED PRIVATE KEY") && !text.contains("BEGIN PRIVATE KEY"), "{text}");
}

/// The whole list and that of a shard, both signed before the key went, for a year.
async fn its_lists_last(installation: &Installation, issuer: &str) {
    let ca = installation.get_plain(&format!("/pki/ca/{issuer}.pem")).await;
    let ca_file = installation.folder().join("ca.pem");
    fs_err::write(&ca_file, &ca.body).unwrap();
    let mut ends = Vec::new();
    for list in [issuer.to_owned(), format!("{issuer}-a7")] {
        let crl = installation.get_plain(&format!("/pki/crl/{list}.crl")).await;
        assert_eq!(crl.status, 200, "{}", crl.text());
        let verify = ["crl", "-inform", "DER", "-noout", "-CAfile", ca_file.to_str().unwrap(), "-nextupdate"];
        let verified = openssl(&verify, &crl.body);
        assert!(verified.stderr.contains("verify OK"), "{}", verified.stderr);
        ends.push(verified.stdout);
    }
    assert_eq!(ends[0], ends[1]);
    let shown = printed(&installation.run(&["ca", "show", "root", "--json"]));
    let until = Timestamp::parse(shown["crlUntil"].as_str().unwrap()).unwrap();
    assert!(until > SystemClock.now() + days(364), "{until}");
    assert_eq!(shown["crlFault"], Value::Null);
}

#[tokio::test]
async fn a_server_on_postgresql_hears_of_it_and_forgets_the_key() {
    let installation = Installation::on(Database::Postgres, "", Time::Real).await;
    let machine = OfflineMachine::with_root_of(&installation);
    let rotated = installation.admin().post("/cas/device/rotation", &json!({})).await;
    assert_eq!(rotated.json()["code"], "CA_UNAVAILABLE", "{}", rotated.text());
    let device = Device::enrol(&installation, "pump").await;
    let beat = device.heartbeat(&mut device.connect(&installation).await).await;
    assert_eq!(beat.status, 200, "{}", beat.text());

    let passphrase = machine.folder().join("passphrase");
    let (file, passphrase) = (machine.root_file(), passphrase.to_str().unwrap());
    let import = ["ca", "root", "import", "--from", file.to_str().unwrap(), "--passphrase-file", passphrase];
    assert_eq!(installation.run(&import).code, 0);
    let rotated = installation.admin().post("/cas/device/rotation", &json!({})).await;
    assert_eq!(rotated.status, 201, "{}", rotated.text());
}

#[tokio::test]
async fn a_crash_leaves_the_key_where_it_was_and_the_file_is_used_again() {
    let mut installation = Installation::start().await;
    assert!(installation.terminate().await.success());
    let at = installation.folder().join("here");
    fs_err::write(&at, "take_offline").unwrap();
    let passphrase = secret_file(installation.folder(), "passphrase", PASSPHRASE);
    let status = std::process::Command::new(env!("CARGO_BIN_EXE_countersign"))
        .args(["ca", "root", "export", "--to", "root.pem", "--passphrase-file", &passphrase])
        .current_dir(installation.folder())
        .env_clear()
        .env("COUNTERSIGN_DATA_DIR", "data")
        .env("CS_TEST_CRASH_AT", at)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .status()
        .unwrap();
    assert_eq!(status.code(), None, "it did not end there");
    assert!(matches!(root_row(&installation).await.key, KeptKey::Sealed(_)));
    assert_eq!(mode(&installation, "root.pem"), 0o600);
    let written = fs_err::read(installation.folder().join("root.pem")).unwrap();

    assert_eq!(export(&installation, &[]).code, 0);
    assert_eq!(root_row(&installation).await.key, KeptKey::Offline);
    assert_eq!(fs_err::read(installation.folder().join("root.pem")).unwrap(), written);
}

#[tokio::test]
async fn what_cannot_go_stays() {
    let mut installation = Installation::start().await;
    assert!(installation.terminate().await.success());
    let sealed = root_row(&installation).await;
    refused(&export(&installation, &["device"]), "it is no root");
    refused(&export(&installation, &["nobody"]), "there is no CA nobody");
    assert!(!installation.folder().join("root.pem").exists());
    // A file that is there already is opened, never replaced.
    fs_err::write(installation.folder().join("root.pem"), "something else").unwrap();
    refused(&export(&installation, &[]), "no CERTIFICATE in the file");
    let short = secret_file(installation.folder(), "short", "too short");
    let to_short = ["ca", "root", "export", "--to", "short.pem", "--passphrase-file", &short];
    refused(&installation.run(&to_short), "fewer than 12 characters");
    // The root of another installation is not this one's.
    let mut other = Installation::start().await;
    assert!(other.terminate().await.success());
    let machine = OfflineMachine::with_root_of(&other);
    fs_err::copy(machine.root_file(), installation.folder().join("root.pem")).unwrap();
    refused(&export(&installation, &[]), "none of a root of this installation");
    assert_eq!(root_row(&installation).await, sealed);
}

#[tokio::test]
async fn a_key_in_a_token_does_not_leave_it() {
    let token = SoftToken::new();
    let config = format!(
        "[pki.pkcs11]\nmodule = {:?}\ntoken = {TOKEN_LABEL:?}\npin_file = {:?}\n",
        SoftToken::module(),
        token.pin()
    );
    let mut installation = Installation::unstarted(&config, Time::Real);
    installation.set_variable("SOFTHSM2_CONF", token.configuration().as_os_str());
    installation.start_again().await;
    assert!(installation.terminate().await.success());
    let ran = export(&installation, &["--config", "countersign.toml"]);
    refused(&ran, "its key is in a token and cannot leave it");
    assert!(!installation.folder().join("root.pem").exists());
}
