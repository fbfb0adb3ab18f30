//! Keys are sealed under a passphrase as under a key in a file, and each opens only its own.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use countersign_ca::{KeyAlgorithm, KeySource, SealError, SealedKey, SecretError, SecretFile, SigningKey};
use countersign_core::ids::IssuerKeyId;

use crate::hierarchy::key;

fn file(folder: &Path, name: &str, contents: &str) -> PathBuf {
    let path = folder.join(name);
    fs_err::write(&path, contents).unwrap();
    fs_err::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    path
}

fn passphrase(folder: &Path, name: &str, text: &str) -> KeySource {
    KeySource::Passphrase(SecretFile::Own(file(folder, name, text)))
}

fn id(key: &SigningKey) -> IssuerKeyId {
    key.public_key().sha256().into()
}

#[test]
fn the_passphrase_opens_what_it_sealed_and_no_other_does() {
    let folder = tempfile::tempdir().unwrap();
    let key = key(KeyAlgorithm::P256);
    let source = passphrase(folder.path(), "right", "correct horse battery\n");
    let sealed = source.open(None).unwrap().seal(&key, id(&key)).unwrap();
    let again = source.open(Some(&sealed)).unwrap().open(&sealed, id(&key)).unwrap();
    assert_eq!(again.pkcs8_der(), key.pkcs8_der());
    // Another salt gives another key, so a fresh start would not open it.
    let fresh = source.open(None).unwrap().open(&sealed, id(&key));
    assert!(matches!(fresh, Err(SealError::WrongKey { .. })));
    let wrong = passphrase(folder.path(), "wrong", "correct horse batteries");
    let refused = wrong.open(Some(&sealed)).unwrap().open(&sealed, id(&key)).unwrap_err();
    assert!(matches!(refused, SealError::WrongKey { .. }), "{refused}");
    let shown = format!("{refused} {source:?} {source}");
    assert!(shown.contains("with passphrase ") && !shown.contains("horse"), "{shown}");
}

#[test]
fn what_argon2id_was_run_with_cannot_be_changed() {
    let folder = tempfile::tempdir().unwrap();
    let key = key(KeyAlgorithm::P256);
    let source = passphrase(folder.path(), "right", "correct horse battery");
    let sealed: Vec<u8> = source.open(None).unwrap().seal(&key, id(&key)).unwrap().into();
    // The octets after the magic and the name: salt, memory, passes, lanes.
    for at in [12, 27, 31, 35, 39] {
        let mut changed = sealed.clone();
        changed[at] ^= 1;
        let changed = SealedKey::from(changed);
        let opened = source.open(Some(&changed)).and_then(|kek| kek.open(&changed, id(&key)));
        assert!(matches!(opened, Err(SealError::WrongKey { .. } | SealError::Format)), "octet {at}");
    }
}

#[test]
fn a_passphrase_does_not_open_what_a_key_sealed_nor_the_other_way_round() {
    let folder = tempfile::tempdir().unwrap();
    let key = key(KeyAlgorithm::P256);
    let in_file = KeySource::File(folder.path().join("kek"));
    let derived = passphrase(folder.path(), "passphrase", "correct horse battery");
    let by_file = in_file.open(None).unwrap().seal(&key, id(&key)).unwrap();
    let by_passphrase = derived.open(None).unwrap().seal(&key, id(&key)).unwrap();
    let refused = derived.open(Some(&by_file)).unwrap_err();
    assert!(matches!(refused, SealError::WrongKey { .. }), "{refused}");
    assert!(refused.to_string().contains("countersign ca reseal"), "{refused}");
    let refused = in_file.open(Some(&by_passphrase)).unwrap().open(&by_passphrase, id(&key)).unwrap_err();
    assert!(matches!(refused, SealError::WrongKey { .. }), "{refused}");
}

#[test]
fn a_file_that_is_gone_is_not_made_again_for_keys_that_exist() {
    let folder = tempfile::tempdir().unwrap();
    let key = key(KeyAlgorithm::P256);
    let source = KeySource::File(folder.path().join("kek"));
    let sealed = source.open(None).unwrap().seal(&key, id(&key)).unwrap();
    fs_err::remove_file(source.path()).unwrap();
    assert!(matches!(source.open(Some(&sealed)), Err(SealError::File(_))));
    assert!(!source.path().exists());
}

#[test]
fn a_credential_is_a_key_that_is_never_made_here() {
    let folder = tempfile::tempdir().unwrap();
    let given = |path: PathBuf| KeySource::Given(SecretFile::Credential(path));
    let gone = given(folder.path().join("gone"));
    assert!(matches!(gone.open(None), Err(SealError::Secret(SecretError::File(_)))));
    assert!(!gone.path().exists());
    let key = key(KeyAlgorithm::P256);
    let hex = given(file(folder.path(), "hex", &"ab".repeat(32)));
    fs_err::set_permissions(hex.path(), std::fs::Permissions::from_mode(0o440)).unwrap();
    let sealed = hex.open(None).unwrap().seal(&key, id(&key)).unwrap();
    hex.open(Some(&sealed)).unwrap().open(&sealed, id(&key)).unwrap();
    let short = given(file(folder.path(), "short", "abab"));
    assert!(matches!(short.open(None), Err(SealError::Contents { .. })));
}

#[test]
fn a_short_passphrase_and_one_that_others_can_read_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let short = passphrase(folder.path(), "short", "elevenchars\n").open(None).unwrap_err();
    assert!(matches!(short, SealError::Secret(SecretError::Contents { .. })), "{short}");
    let open = passphrase(folder.path(), "open", "correct horse battery");
    fs_err::set_permissions(open.path(), std::fs::Permissions::from_mode(0o644)).unwrap();
    let refused = open.open(None).unwrap_err();
    assert!(matches!(refused, SealError::Secret(SecretError::Permissions { mode: 0o644, .. })), "{refused}");
}
