//! Proves that `countersign ca reseal` moves every sealed key to another key-encryption key or none,
//! whenever it is killed, and that nobody signs without that key.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::harness::{Device, Installation, Time};

const OLD: &str = "correct horse battery staple";
const NEW: &str = "another horse, another battery";

fn secret(installation: &Installation, name: &str, text: &str) -> String {
    let path = installation.folder().join(name);
    fs_err::write(&path, text).unwrap();
    fs_err::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    path.to_str().unwrap().to_owned()
}

fn under(file: &str) -> String {
    format!("[pki]\npassphrase_file = {file:?}\n")
}

/// Runs the command and lets it end at a place, as a power cut would.
fn crash(installation: &Installation, place: &str, arguments: &[&str]) {
    let at = installation.folder().join("reseal-crash");
    fs_err::write(&at, place).unwrap();
    let status = Command::new(env!("CARGO_BIN_EXE_countersign"))
        .args(arguments)
        .current_dir(installation.folder())
        .env_clear()
        .env("COUNTERSIGN_DATA_DIR", "data")
        .env("CS_TEST_CRASH_AT", at)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert_eq!(status.code(), None, "it did not end at {place}");
}

async fn enrols(installation: &Installation, name: &str) {
    assert!(Device::enrol(installation, name).await.mtls.is_some(), "{name}");
}

#[tokio::test]
async fn a_new_passphrase_replaces_the_old_and_is_on_record() {
    let mut installation = Installation::unstarted("", Time::Real);
    let (old, new) = (secret(&installation, "old", OLD), secret(&installation, "new", NEW));
    installation.reconfigure(&under(&old));
    installation.start_again().await;
    installation.set_up().await;
    enrols(&installation, "before").await;
    assert!(!installation.data().join("key-encryption-key").exists(), "a passphrase needs no key file");
    assert!(installation.terminate().await.success());

    let arguments = ["ca", "reseal", "--config", "countersign.toml", "--to-passphrase-file", &new];
    let ran = installation.run(&arguments);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stdout.contains("3 keys of CAs, 1 key of anchors"), "{}", ran.stdout);
    assert!(ran.stdout.contains("passphrase_file = "), "{}", ran.stdout);
    let shown = format!("{}{}", ran.stdout, ran.stderr);
    assert!(!shown.contains("horse"), "{shown}");

    assert!(!installation.start_in_vain().await.success(), "the old passphrase opens nothing");
    let log = installation.log();
    assert!(log.contains("sealed with another key-encryption key"), "{log}");
    installation.reconfigure(&under(&new));
    installation.start_again().await;
    enrols(&installation, "after").await;
    let told = installation.admin().audit("event=keys.resealed").await;
    assert_eq!(told.len(), 1);
    assert!(!installation.log().contains("horse"));
}

#[tokio::test]
async fn a_crash_leaves_all_keys_as_they_were_or_all_sealed_anew() {
    let mut installation = Installation::unstarted("", Time::Real);
    let new = secret(&installation, "new", NEW);
    installation.start_again().await;
    installation.set_up().await;
    assert!(installation.terminate().await.success());
    let arguments = ["ca", "reseal", "--to-passphrase-file", &new];

    crash(&installation, "reseal", &arguments);
    installation.start_again().await;
    enrols(&installation, "as-it-was").await;
    assert!(installation.admin().audit("event=keys.resealed").await.is_empty());
    assert!(installation.terminate().await.success());

    crash(&installation, "resealed", &arguments);
    assert!(!installation.start_in_vain().await.success(), "the old key opens nothing");
    installation.reconfigure(&under(&new));
    installation.start_again().await;
    enrols(&installation, "sealed-anew").await;
    assert_eq!(installation.admin().audit("event=keys.resealed").await.len(), 1);
}

#[tokio::test]
async fn a_wrong_passphrase_changes_nothing() {
    let mut installation = Installation::unstarted("", Time::Real);
    let (old, new) = (secret(&installation, "old", OLD), secret(&installation, "new", NEW));
    installation.reconfigure(&under(&old));
    installation.start_again().await;
    assert!(installation.terminate().await.success());
    installation.reconfigure(&under(&new));
    fs_err::write(installation.folder().join("countersign.toml"), under(&new)).unwrap();
    let arguments = ["ca", "reseal", "--config", "countersign.toml", "--to-passphrase-file", &old];
    let ran = installation.run(&arguments);
    assert_eq!(ran.code, 1, "{}", ran.stdout);
    assert!(ran.stderr.contains("hint: nothing was changed"), "{}", ran.stderr);
    installation.reconfigure(&under(&old));
    installation.start_again().await;
}

#[tokio::test]
async fn a_copy_of_the_data_directory_without_the_key_cannot_sign() {
    let mut installation = Installation::unstarted("", Time::Real);
    let passphrase = secret(&installation, "passphrase", OLD);
    installation.reconfigure(&under(&passphrase));
    installation.start_again().await;
    assert!(installation.terminate().await.success());

    let mut copy = Installation::unstarted("", Time::Real);
    copy_all(&installation.data(), &copy.data());
    assert!(!copy.start_in_vain().await.success());
    assert!(copy.log().contains("there is no key-encryption key at"), "{}", copy.log());
    let guessed = secret(&copy, "guessed", NEW);
    copy.reconfigure(&under(&guessed));
    assert!(!copy.start_in_vain().await.success());
    // Whoever has the passphrase too has everything.
    copy.reconfigure(&under(&passphrase));
    copy.start_again().await;
}

fn copy_all(from: &Path, to: &Path) {
    fs_err::create_dir(to).unwrap();
    for entry in fs_err::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        fs_err::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
}
