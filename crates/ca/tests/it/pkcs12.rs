//! A PKCS #12 file opens in openssl and in NSS, which is what Chromium keeps certificates in, with the
//! right password and with no other.

use std::path::Path;
use std::process::Command;

use countersign_ca::{KeyAlgorithm, Pkcs12Contents, Pkcs12Error, SigningKey, pkcs12};

use crate::hierarchy::{Hierarchy, device, issue, key, request};
use crate::openssl::Openssl;

const PASSWORD: &str = "correct horse battery staple";

fn made(algorithm: KeyAlgorithm, password: &str) -> (Openssl, SigningKey, Vec<u8>) {
    let hierarchy = Hierarchy::new(KeyAlgorithm::P256);
    let key = key(algorithm);
    let leaf = issue(&hierarchy.devices, request(device("d1"), key.public_key()));
    let chain = [hierarchy.devices.certificate_der().to_vec(), hierarchy.root.certificate_der().to_vec()];
    let contents =
        Pkcs12Contents { certificate: leaf.der(), key: &key, chain: &chain, name: "Jörg's laptop" };
    let file = pkcs12(&contents, password).unwrap();
    let openssl = Openssl::new();
    openssl.write("file.p12", &*file);
    (openssl, key, leaf.der().to_vec())
}

const ALGORITHMS: [KeyAlgorithm; 3] = [KeyAlgorithm::P256, KeyAlgorithm::P384, KeyAlgorithm::Rsa2048];

#[test]
fn openssl_opens_it_and_finds_only_modern_algorithms() {
    for algorithm in ALGORITHMS {
        let (openssl, key, leaf) = made(algorithm, PASSWORD);
        openssl.write("password", PASSWORD);
        let info = openssl.must("pkcs12 -in file.p12 -passin file:password -info -noout");
        assert!(info.contains("MAC: sha256"), "{info}");
        assert_eq!(info.matches("PBES2, PBKDF2, AES-256-CBC").count(), 2, "{info}");
        assert_eq!(info.matches("PRF hmacWithSHA256").count(), 2, "{info}");
        openssl.must("pkcs12 -in file.p12 -passin file:password -nodes -nocerts -out key.pem");
        openssl.must("pkey -in key.pem -pubout -outform DER -out public.der");
        assert_eq!(openssl.read("public.der"), key.public_key().spki_der());
        openssl.must("pkcs12 -in file.p12 -passin file:password -nokeys -clcerts -out leaf.pem");
        openssl.must("x509 -in leaf.pem -outform DER -out leaf.der");
        assert_eq!(openssl.read("leaf.der"), leaf);
        let cas = openssl.must("pkcs12 -in file.p12 -passin file:password -nokeys -cacerts");
        assert_eq!(cas.matches("BEGIN CERTIFICATE").count(), 2, "{cas}");
    }
}

#[test]
fn openssl_refuses_another_password_and_a_changed_file() {
    let (openssl, _, _) = made(KeyAlgorithm::P256, PASSWORD);
    let said = openssl.run("pkcs12 -in file.p12 -passin pass:other -noout");
    assert!(!said.success && said.text.contains("invalid password"), "{}", said.text);
    let mut file = openssl.read("file.p12");
    let middle = file.len() / 2;
    file[middle] ^= 1;
    openssl.write("file.p12", &file);
    openssl.write("password", PASSWORD);
    assert!(!openssl.run("pkcs12 -in file.p12 -passin file:password -noout").success);
}

fn nss(folder: &Path, program: &str, arguments: &[&str]) -> (bool, String) {
    let output = Command::new(program).current_dir(folder).args(arguments).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

#[test]
fn nss_takes_it_in_with_its_key_and_refuses_another_password() {
    for (algorithm, password) in ALGORITHMS
        .map(|algorithm| (algorithm, PASSWORD))
        .into_iter()
        .chain([(KeyAlgorithm::P256, "pässwörd")])
    {
        let (openssl, _, _) = made(algorithm, password);
        let folder = openssl.folder();
        openssl.write("password", password);
        let (made, text) = nss(folder, "certutil", &["-N", "-d", "sql:.", "--empty-password"]);
        assert!(made, "{text}");
        let import =
            |password: &str| nss(folder, "pk12util", &["-i", "file.p12", "-d", "sql:.", "-W", password]);
        assert!(!import("another").0);
        let (imported, text) = import(password);
        assert!(imported, "{password}: {text}");
        let (_, listed) = nss(folder, "certutil", &["-L", "-d", "sql:."]);
        assert!(listed.contains("Jörg's laptop") && listed.contains("u,u,u"), "{listed}");
        let (has_key, keys) = nss(folder, "certutil", &["-K", "-d", "sql:."]);
        assert!(has_key && keys.contains("Jörg's laptop"), "{keys}");
    }
}

#[test]
fn nothing_is_made_without_a_password_or_with_anothers_key() {
    let hierarchy = Hierarchy::new(KeyAlgorithm::P256);
    let (key, other) = (key(KeyAlgorithm::P256), key(KeyAlgorithm::P256));
    let leaf = issue(&hierarchy.devices, request(device("d1"), key.public_key()));
    let contents = Pkcs12Contents { certificate: leaf.der(), key: &key, chain: &[], name: "d1" };
    assert!(matches!(pkcs12(&contents, ""), Err(Pkcs12Error::EmptyPassword)));
    let crossed = Pkcs12Contents { key: &other, ..contents };
    assert!(matches!(pkcs12(&crossed, PASSWORD), Err(Pkcs12Error::KeyMismatch)));
    let garbage = Pkcs12Contents { certificate: b"none", ..contents };
    assert!(matches!(pkcs12(&garbage, PASSWORD), Err(Pkcs12Error::Certificate(_))));
}
