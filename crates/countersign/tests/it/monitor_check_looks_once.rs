//! Proves that `monitor check` prints what a server shows or a file holds with the pin of its key, holds it
//! against one, and says why there is nothing.

use std::path::Path;

use countersign_testkit::vacant_address;
use serde_json::Value;

use crate::harness::{ShowingServer, openssl, self_signed};
use crate::program::{Ran, run};

fn check(folder: &Path, arguments: &[&str]) -> Ran {
    run(folder, &[], &[&["monitor", "check"], arguments].concat())
}

/// The SHA-256 of a certificate's key as OpenSSL sees it, hex.
fn pin_of(folder: &Path, name: &str) -> String {
    let pem = fs_err::read(folder.join(format!("{name}.pem"))).unwrap();
    let key = openssl(&["x509", "-noout", "-pubkey"], &pem).stdout;
    let path = folder.join("key.der").display().to_string();
    openssl(&["pkey", "-pubin", "-outform", "DER", "-out", &path], key.as_bytes());
    let said = openssl(&["dgst", "-sha256", "-r", &path], b"").stdout;
    said.split_whitespace().next().unwrap().to_owned()
}

#[test]
fn a_server_and_a_file_say_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let files = folder.path();
    self_signed(files, "web", 40, None);
    let pin = pin_of(files, "web");
    let server = ShowingServer::start(files, "web", 0);
    let address = format!("localhost:{}", server.port());
    for place in [&address, "web.pem"] {
        let told = check(files, &[place]);
        assert_eq!(told.code, 0, "{}", told.stderr);
        assert!(told.stdout.contains("subject  CN=web.example.com\n"), "{}", told.stdout);
        assert!(told.stdout.contains(&format!("pin      {pin}\n")), "{}", told.stdout);
        let told = check(files, &[place, "--server-name", "web.example.com", "--pin", &pin, "--json"]);
        assert_eq!(told.code, 0, "{}", told.stderr);
        let told: Value = serde_json::from_str(&told.stdout).unwrap();
        assert_eq!((told["pin"].as_str(), told["isPinned"].as_bool()), (Some(pin.as_str()), Some(true)));
        assert_eq!(told["certificates"][0]["subject"], "CN=web.example.com");
        let told = check(files, &[place, "--pin", &"00".repeat(32)]);
        assert_eq!(told.code, 3, "{}", told.stderr);
        assert!(told.stderr.contains(&pin) && told.stdout.contains("web.example.com"), "{}", told.stderr);
    }
}

#[test]
fn refuses_where_there_is_nothing_to_see() {
    let folder = tempfile::tempdir().unwrap();
    let closed = vacant_address().to_string();
    fs_err::write(folder.path().join("empty.pem"), "nothing").unwrap();
    for (arguments, code, said) in [
        (&[closed.as_str()] as &[&str], 1, "(connect): connect to 127."),
        (&["no.such.host.invalid:443"], 1, "(dns): look up no.such.host.invalid"),
        (&["empty.pem"], 1, "(certificate): no certificate in it"),
        (&["missing.pem"], 2, "there is no file missing.pem"),
        (&["empty.pem", "--pin", "x"], 2, "not the SHA-256 of a public key"),
    ] {
        let told = check(folder.path(), arguments);
        assert_eq!(told.code, code, "{arguments:?}: {}", told.stderr);
        assert!(told.stderr.contains(said), "{}", told.stderr);
    }
}
