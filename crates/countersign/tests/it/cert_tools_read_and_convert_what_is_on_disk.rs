//! Proves that `cert inspect` tells people what is in a file, and that `cert p12` makes one that openssl
//! opens, readable by its owner alone.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use countersign_testkit::{LeafSpec, TestCa};
use serde_json::Value;

use crate::harness::openssl;
use crate::program::{assert_snapshot, run};

const AT: &str = "2026-06-01T12:00:00Z";

fn write(folder: &Path, name: &str, contents: impl AsRef<[u8]>) {
    fs_err::write(folder.join(name), contents).unwrap();
}

/// Without what differs each time: serial numbers, hashes.
fn settled(text: &str) -> String {
    regex::Regex::new("[0-9a-f]{36,}").unwrap().replace_all(text, "[HEX]").into_owned()
}

#[test]
fn a_chain_is_told_certificate_by_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let ca = TestCa::new("countersign.internal");
    let device = ca.device("acme", "d1");
    write(folder.path(), "device.pem", format!("some text\n{}", device.chain_pem()));
    let told = run(folder.path(), &[], &["cert", "inspect", "device.pem", "--at", AT]);
    assert_eq!(told.code, 0, "{}", told.stderr);
    assert_snapshot("cert-inspect-chain", &settled(&told.stdout));
    write(folder.path(), "device.der", device.der());
    let told = run(folder.path(), &[], &["cert", "inspect", "device.der", "--at", AT, "--json"]);
    let told: Value = serde_json::from_str(&told.stdout).unwrap();
    let certificate = &told["certificates"][0];
    assert_eq!(certificate["what"], "device");
    assert_eq!(certificate["device"]["tenant"], "acme");
    assert_eq!(certificate["wrong"], Value::Array(vec![]));
}

#[test]
fn what_is_wrong_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let ca = TestCa::new("countersign.internal");
    let good = LeafSpec::server(&["gateway.example.com", "192.0.2.1"]);
    let not_after = countersign_core::time::Timestamp::parse("2026-05-01T00:00:00Z").unwrap();
    let old = ca.mint(&LeafSpec { not_after, unknown_critical_extension: true, ..good });
    write(folder.path(), "old.der", old.der());
    let told = run(folder.path(), &[], &["cert", "inspect", "old.der", "--at", AT]);
    assert_snapshot("cert-inspect-wrong", &settled(&told.stdout));
}

#[test]
fn what_is_no_certificate_is_refused_with_a_hint() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "key.pem", TestCa::new("countersign.internal").device("acme", "d1").key_pem());
    write(folder.path(), "text", "hello");
    write(folder.path(), "half.der", [0x30, 0x82, 1]);
    for file in ["key.pem", "text", "half.der", "missing"] {
        let told = run(folder.path(), &[], &["cert", "inspect", file]);
        assert_eq!((told.code, told.stdout.as_str()), (2, ""), "{file}");
        assert!(told.stderr.contains("caused by"), "{}", told.stderr);
    }
}

#[test]
fn a_p12_opens_with_its_password_and_is_its_owners_alone() {
    let folder = tempfile::tempdir().unwrap();
    let ca = TestCa::new("countersign.internal");
    let device = ca.device("acme", "d1");
    write(folder.path(), "cert.pem", device.chain_pem());
    write(folder.path(), "key.pem", device.key_pem());
    write(folder.path(), "password", "secret one\nignored\n");
    let p12 = |variables: &[(&str, &str)], more: &[&str]| {
        let fixed = ["cert", "p12", "--cert", "cert.pem", "--key", "key.pem", "--out", "device.p12"];
        run(folder.path(), variables, &[&fixed[..], more].concat())
    };
    let opens = |password: &str| {
        let file = folder.path().join("device.p12");
        let password = format!("pass:{password}");
        openssl(&["pkcs12", "-in", file.to_str().unwrap(), "-passin", &password, "-noout"], b"").code == 0
    };
    let made = p12(&[], &["--password-file", "password"]);
    assert_eq!((made.code, made.stderr.as_str()), (0, ""));
    assert!(opens("secret one") && !opens("another"));
    let mode = fs_err::metadata(folder.path().join("device.p12")).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
    let made = p12(&[("P12_PASSWORD", "secret two")], &["--password-env", "P12_PASSWORD", "--json"]);
    let said: Value = serde_json::from_str(&made.stdout).unwrap();
    assert_eq!(said["certificates"], 3, "{said}");
    assert!(opens("secret two") && !opens("secret one"));
    for (variables, more) in [
        (&[][..], &["--password-env", "P12_PASSWORD"][..]),
        (&[], &[]),
        (&[], &["--password-file", "missing"]),
        (&[], &["--password-file", "password", "--chain", "password"]),
    ] {
        let refused = p12(variables, more);
        assert_eq!(refused.code, 2, "{more:?}: {}", refused.stderr);
    }
    write(folder.path(), "key.pem", ca.device("acme", "d2").key_pem());
    let refused = p12(&[], &["--password-file", "password"]);
    assert!(refused.code == 2 && refused.stderr.contains("not that of the key"), "{}", refused.stderr);
    assert!(opens("secret two"), "what was there is still there");
}
