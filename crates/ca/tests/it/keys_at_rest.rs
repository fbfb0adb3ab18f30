//! Keys lie sealed on disk, open only under the key-encryption key and for the issuer they were
//! sealed for, and the key-encryption key's file is private or refused.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use countersign_ca::{KeyAlgorithm, KeyEncryptionKey, SealError, SealedKey, SigningKey};
use countersign_core::ids::IssuerKeyId;
use countersign_testkit::property_cases;
use proptest::prelude::*;
use tempfile::TempDir;

use crate::hierarchy::key;

fn mode(path: &Path) -> u32 {
    fs_err::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn write(path: &Path, contents: &[u8], mode: u32) {
    fs_err::write(path, contents).unwrap();
    fs_err::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

fn fresh() -> (TempDir, KeyEncryptionKey) {
    let directory = tempfile::tempdir().unwrap();
    let kek = KeyEncryptionKey::load_or_create(&directory.path().join("kek")).unwrap();
    (directory, kek)
}

fn id(key: &SigningKey) -> IssuerKeyId {
    key.public_key().sha256().into()
}

#[test]
fn a_new_key_is_private_from_the_start_and_stays_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("secrets").join("kek");
    let first = KeyEncryptionKey::load_or_create(&path).unwrap();
    assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
    assert_eq!(fs_err::read(&path).unwrap().len(), 32);
    // Nothing else is left behind.
    assert_eq!(fs_err::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    let key = key(KeyAlgorithm::P256);
    let sealed = first.seal(&key, id(&key)).unwrap();
    let again = KeyEncryptionKey::load_or_create(&path).unwrap();
    assert_eq!(again.open(&sealed, id(&key)).unwrap().pkcs8_der(), key.pkcs8_der());
}

#[test]
fn many_starting_together_end_with_one_key() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("secrets").join("kek");
    let key = key(KeyAlgorithm::P256);
    let sealed: Vec<SealedKey> = std::thread::scope(|scope| {
        let starts: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| KeyEncryptionKey::load_or_create(&path).unwrap().seal(&key, id(&key)).unwrap())
            })
            .collect();
        starts.into_iter().map(|start| start.join().unwrap()).collect()
    });
    let kek = KeyEncryptionKey::load_or_create(&path).unwrap();
    for sealed in sealed {
        kek.open(&sealed, id(&key)).unwrap();
    }
    assert_eq!(fs_err::read_dir(path.parent().unwrap()).unwrap().count(), 1);
}

#[test]
fn hex_and_raw_files_hold_the_same_key() {
    let directory = tempfile::tempdir().unwrap();
    let bytes: [u8; 32] = std::array::from_fn(|at| u8::try_from(at * 7).unwrap());
    let key = key(KeyAlgorithm::Ed25519);
    let raw = directory.path().join("raw");
    write(&raw, &bytes, 0o600);
    let sealed = KeyEncryptionKey::load_or_create(&raw).unwrap().seal(&key, id(&key)).unwrap();
    for (name, text) in [
        ("hex", hex::encode(bytes)),
        ("line", format!("{}\n", hex::encode(bytes))),
        ("upper", hex::encode_upper(bytes)),
    ] {
        let path = directory.path().join(name);
        write(&path, text.as_bytes(), 0o400);
        KeyEncryptionKey::load_or_create(&path).unwrap().open(&sealed, id(&key)).unwrap();
    }
}

#[test]
fn a_file_that_others_can_read_is_refused_with_the_fix() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("kek");
    for mode in [0o640, 0o604, 0o644, 0o660, 0o610] {
        write(&path, &[7; 32], mode);
        let error = KeyEncryptionKey::load_or_create(&path).unwrap_err();
        assert!(matches!(error, SealError::Permissions { mode: found, .. } if found == mode));
        assert!(error.to_string().contains(&format!("chmod 600 {}", path.display())), "{error}");
    }
}

#[test]
fn a_file_of_another_length_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("kek");
    for contents in [&b""[..], &[7; 31], &[7; 33], &[b'g'; 64], &[b'a'; 66], &[b'a'; 1000]] {
        write(&path, contents, 0o600);
        let error = KeyEncryptionKey::load_or_create(&path).unwrap_err();
        assert!(matches!(error, SealError::Contents { .. }), "{error}");
        assert_eq!(fs_err::read(&path).unwrap(), contents);
    }
}

#[test]
fn another_key_encryption_key_is_told_from_damage() {
    let ((_one, first), (_two, second)) = (fresh(), fresh());
    let key = key(KeyAlgorithm::P384);
    let sealed = first.seal(&key, id(&key)).unwrap();
    assert!(matches!(second.open(&sealed, id(&key)), Err(SealError::WrongKey { .. })));
}

#[test]
fn a_sealed_key_opens_for_its_own_issuer_only() {
    let (_directory, kek) = fresh();
    let (own, other) = (key(KeyAlgorithm::P256), key(KeyAlgorithm::P256));
    let sealed = kek.seal(&own, id(&own)).unwrap();
    assert!(
        matches!(kek.open(&sealed, id(&other)), Err(SealError::Altered(key)) if key.ends_with(&id(&other).to_string()))
    );
    // Sealed under a name that is not the key's.
    let misnamed = kek.seal(&own, id(&other)).unwrap();
    assert!(matches!(kek.open(&misnamed, id(&other)), Err(SealError::Altered(_))));
}

#[test]
fn what_is_no_sealed_key_is_refused() {
    let (_directory, kek) = fresh();
    let key = key(KeyAlgorithm::P256);
    let sealed: Vec<u8> = kek.seal(&key, id(&key)).unwrap().into();
    let mut later = sealed.clone();
    later[3] = 2;
    for bytes in [vec![], b"CSK\x01".to_vec(), sealed[..23].to_vec(), later, key.pkcs8_der().to_vec()] {
        assert!(matches!(kek.open(&SealedKey::from(bytes), id(&key)), Err(SealError::Format)));
    }
}

#[test]
fn neither_the_key_nor_its_seal_shows_the_secret() {
    let (_directory, kek) = fresh();
    assert_eq!(format!("{kek:?}"), "KeyEncryptionKey([redacted])");
    let key = key(KeyAlgorithm::P256);
    let first = kek.seal(&key, id(&key)).unwrap();
    // A fresh nonce each time, and no trace of the plain key.
    assert_ne!(first, kek.seal(&key, id(&key)).unwrap());
    let secret = &key.pkcs8_der()[36..52];
    assert!(!first.as_bytes().windows(secret.len()).any(|window| window == secret));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(property_cases(64)))]

    #[test]
    fn any_changed_bit_is_noticed(at in any::<proptest::sample::Index>(), bit in 0_u8..8) {
        let (_directory, kek) = fresh();
        let key = key(KeyAlgorithm::P256);
        let mut sealed: Vec<u8> = kek.seal(&key, id(&key)).unwrap().into();
        let at = at.index(sealed.len());
        sealed[at] ^= 1 << bit;
        prop_assert!(kek.open(&SealedKey::from(sealed), id(&key)).is_err());
    }
}

#[test]
fn a_sealed_secret_opens_under_its_own_name_only() {
    let (_directory, kek) = fresh();
    let sealed = kek.seal_secret(b"open sesame", "door of ada").unwrap();
    assert_eq!(kek.open_secret(&sealed, "door of ada").unwrap().as_slice(), b"open sesame");
    assert!(matches!(kek.open_secret(&sealed, "door of bob"), Err(SealError::Altered(_))));
    let mut altered: Vec<u8> = sealed.clone().into();
    *altered.last_mut().unwrap() ^= 1;
    assert!(matches!(kek.open_secret(&altered.into(), "door of ada"), Err(SealError::Altered(_))));
    let (_other, stranger) = fresh();
    assert!(matches!(stranger.open_secret(&sealed, "door of ada"), Err(SealError::WrongKey { .. })));
    let key = key(KeyAlgorithm::P256);
    let as_key = kek.seal(&key, id(&key)).unwrap();
    let issuer = id(&key).to_string();
    assert!(matches!(kek.open_secret(&as_key, &issuer), Err(SealError::Altered(_))), "a key is no secret");
}
