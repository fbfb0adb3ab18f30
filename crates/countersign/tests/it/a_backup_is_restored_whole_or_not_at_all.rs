//! Proves that a backup that is not as it was written, or not the passphrase's, changes nothing; that a
//! restoration that is killed can be repeated; and that without the key-encryption key nobody signs.

use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;

use rustix::process::Signal;
use serde_json::Value;

use crate::harness::{Device, Installation, RESTORE, RESTORE_WITHOUT_LISTS, private};

const BACKUP: &str = "countersign.backup";

/// What an operator has left of an installation with one device.
async fn lost() -> (Installation, Device) {
    let mut installation = Installation::start().await;
    let device = Device::enrol(&installation, "ws-01").await;
    installation.back_up().await;
    installation.fetch_lists().await;
    assert!(installation.terminate().await.success());
    (installation, device)
}

fn is_untouched(installation: &Installation) -> bool {
    fs_err::read_dir(installation.data()).unwrap().count() == 1
}

#[tokio::test]
async fn a_file_that_is_not_as_it_was_written_changes_nothing() {
    let (lost, _device) = lost().await;
    let machine = lost.successor();
    let file = machine.folder().join(BACKUP);
    let whole = fs_err::read(&file).unwrap();
    let mode = fs_err::metadata(lost.folder().join(BACKUP)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(!lost.data().join("countersign.db").exists() || !whole.windows(16).any(|part| part == b"ws-01"));

    let altered = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        bytes
    };
    let mut newer = whole.clone();
    newer[9] = 2;
    for (bytes, said) in [
        (whole[..whole.len() - 1].to_vec(), "was altered"),
        (whole[..whole.len() / 2].to_vec(), "was altered"),
        (whole[..40].to_vec(), "no backup file"),
        (altered(whole.len() / 2), "was altered"),
        (altered(50), "the passphrase is not the one"),
        (newer, "of version 2, which a newer countersign wrote"),
        (b"-----BEGIN CERTIFICATE-----".to_vec(), "no backup file"),
    ] {
        fs_err::write(&file, bytes).unwrap();
        let ran = machine.restore();
        assert_eq!(ran.code, 1, "{said}");
        assert!(ran.stderr.contains(said), "{said}: {}", ran.stderr);
        assert!(ran.stderr.contains("nothing was changed"), "{}", ran.stderr);
        assert!(is_untouched(&machine), "{said}");
    }
    fs_err::write(&file, &whole).unwrap();
    private(&machine.folder().join("passphrase"), b"another passphrase");
    let ran = machine.restore();
    assert!(ran.stderr.contains("the passphrase is not the one"), "{}", ran.stderr);
    machine.keep_passphrase();
    assert_eq!(machine.restore().code, 0, "nothing was in its way");
    let ran = machine.restore();
    assert!(ran.stderr.contains("the database is not empty"), "{}", ran.stderr);
}

#[tokio::test]
async fn what_was_revoked_since_has_to_be_told_or_given_up() {
    let mut installation = Installation::start().await;
    Device::enrol(&installation, "ws-01").await;
    installation.fetch_lists().await;
    let old = fs_err::read(installation.folder().join("device.crl")).unwrap();
    let gone = Device::enrol(&installation, "ws-02").await;
    let certificate = installation.admin().active(gone.id).await.unwrap().id;
    crate::harness::done(&installation.admin().revoke(certificate, "keyCompromise").await);
    installation.fetch_lists().await;
    installation.back_up().await;
    assert!(installation.terminate().await.success());
    let machine = installation.successor();

    let base = ["restore", "--from", BACKUP, "--passphrase-file", "passphrase"];
    let neither = machine.run(&base);
    assert_eq!(neither.code, 2);
    assert!(neither.stderr.contains("--crl <FILE>"), "{}", neither.stderr);
    let one = machine.run(&[base.as_slice(), &["--crl", "service.crl"]].concat());
    assert!(one.stderr.contains("no revocation list of the CA device"), "{}", one.stderr);
    assert!(one.stderr.contains("--accept-revocation-gap"), "{}", one.stderr);
    let both = machine.run(&[&RESTORE[..], &["--accept-revocation-gap"]].concat());
    assert_eq!(both.code, 2, "{}", both.stderr);
    let list = machine.folder().join("device.crl");
    let recent = fs_err::read(&list).unwrap();
    fs_err::write(&list, old).unwrap();
    let older = machine.restore();
    assert!(older.stderr.contains("and the backup has"), "{}", older.stderr);
    let mut forged = recent.clone();
    let last = forged.len() - 1;
    forged[last] ^= 1;
    fs_err::write(&list, forged).unwrap();
    let unsigned = machine.restore();
    assert!(unsigned.stderr.contains("no revocation list of the CA device"), "{}", unsigned.stderr);
    fs_err::write(&list, recent).unwrap();
    let ran = machine.restore();
    assert_eq!(ran.code, 0, "{}", ran.stderr);
}

#[tokio::test]
async fn a_restoration_that_is_killed_can_be_repeated() {
    let (lost, device) = lost().await;
    let mut machine = lost.successor();
    for point in ["restore-begun", "restore"] {
        let ended = machine.run_crashing(&RESTORE, point);
        assert_eq!(ended.signal(), Some(Signal::ABORT.as_raw()), "{point}: {ended}");
    }
    let ran = machine.restore();
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    machine.start_again().await;
    let answer = device.heartbeat(&mut device.connect(&machine).await).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[tokio::test]
async fn without_the_key_encryption_key_nobody_signs() {
    let (lost, _device) = lost().await;
    let mut machine = lost.successor();
    let key = machine.data().join("key-encryption-key");
    let kept = fs_err::read(&key).unwrap();
    fs_err::remove_file(&key).unwrap();
    let ran = machine.run(&RESTORE_WITHOUT_LISTS);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stderr.contains("nothing can be signed yet"), "{}", ran.stderr);
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    let said = report["cannotSign"].as_str().unwrap();
    assert!(said.contains("there is no key-encryption key"), "{said}");
    assert!(!machine.start_in_vain().await.success());
    assert!(machine.log().contains("put back the file that belongs to this database"), "{}", machine.log());

    private(&key, &[7; 32]);
    assert!(!machine.start_in_vain().await.success());
    assert!(machine.log().contains("sealed with another key-encryption key"), "{}", machine.log());
    private(&key, &kept);
    machine.start_again().await;
}

#[tokio::test]
async fn a_backup_that_cannot_be_made_leaves_no_file() {
    let installation = Installation::unstarted("", crate::harness::Time::Real);
    installation.keep_passphrase();
    let arguments = ["backup", "--to", BACKUP, "--passphrase-file", "passphrase"];
    let nothing = installation.run(&arguments);
    assert_eq!(nothing.code, 1);
    private(&installation.folder().join("passphrase"), b"short");
    let short = installation.run(&arguments);
    assert!(short.stderr.contains("fewer than 12 characters"), "{}", short.stderr);
    let names = fs_err::read_dir(installation.folder()).unwrap().map(|entry| entry.unwrap().file_name());
    let names: Vec<_> = names.filter(|name| name.to_string_lossy().contains("backup")).collect();
    assert!(names.is_empty(), "{names:?}");
}
