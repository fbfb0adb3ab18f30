//! Proves that an anchor kept elsewhere shows a cut tail, a chain that was written anew and a chain that
//! is gone, also when every hash of what is there is right, and that OpenSSL agrees with the signature.

use std::path::Path;

use serde_json::{Value, json};

use crate::harness::openssl;
use crate::program::{Ran, run};
use crate::server::Server;

/// Copies the data folder of a server that is not running.
fn copy_data(from: &Path, to: &Path) {
    fs_err::create_dir_all(to.join("countersign-data")).unwrap();
    for entry in fs_err::read_dir(from.join("countersign-data")).unwrap() {
        let entry = entry.unwrap();
        fs_err::copy(entry.path(), to.join("countersign-data").join(entry.file_name())).unwrap();
    }
}

fn log_in(server: &Server) -> String {
    let body = json!({ "email": "owner@example.com", "password": "correct horse battery staple" });
    server.call("/auth/login", "", Some(&body.to_string()))["token"].as_str().unwrap().to_owned()
}

fn enrollment_keys(server: &Server, session: &str, tenant: &str, count: u32) {
    for _ in 0..count {
        let made = server.call("/enrollment-keys", session, Some(&json!({ "tenant": tenant }).to_string()));
        assert!(made["key"].is_string(), "{made}");
    }
}

fn make_tenant(server: &Server, session: &str) {
    let made = server.call("/tenants", session, Some(r#"{"slug":"acme","name":"Acme"}"#));
    assert!(made["id"].is_string(), "{made}");
}

fn verify(folder: &Path, further: &[&str]) -> Ran {
    run(folder, &[], &[&["audit", "verify"], further].concat())
}

/// What a folder's log is, held against the anchor: the chain faults by tenant.
fn faults(folder: &Path, anchor: &str) -> Vec<Value> {
    let ran = verify(folder, &["--json", "--anchor", anchor]);
    assert_eq!(ran.code, 3, "{}{}", ran.stdout, ran.stderr);
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((&report["intact"], &report["broken"]), (&json!(false), &Value::Null), "{report}");
    report["anchors"]["faults"].as_array().unwrap().clone()
}

#[test]
fn a_cut_tail_a_rewritten_chain_and_a_missing_one_are_found() {
    let home = tempfile::tempdir().unwrap();
    let [young, cut, rewritten] = ["young", "cut", "rewritten"].map(|name| home.path().join(name));
    let folder = home.path().join("true");
    fs_err::create_dir(&folder).unwrap();

    let server = Server::start(&folder, &[]);
    server.set_up();
    assert!(server.terminate().0.success());
    copy_data(&folder, &young);
    let server = Server::start(&folder, &[]);
    let session = log_in(&server);
    make_tenant(&server, &session);
    enrollment_keys(&server, &session, "acme", 2);
    assert!(server.terminate().0.success());
    for copy in [&cut, &rewritten] {
        copy_data(&folder, copy);
    }
    let server = Server::start(&folder, &[]);
    enrollment_keys(&server, &log_in(&server), "acme", 3);
    assert!(server.terminate().0.success());
    let ran = run(&folder, &[], &["audit", "anchor", "--output", "anchor.json"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let anchor = folder.join("anchor.json");
    let anchor = anchor.to_str().unwrap();
    let sound = verify(&folder, &["--anchor", anchor]);
    assert_eq!(sound.code, 0, "{}{}", sound.stdout, sound.stderr);
    assert!(sound.stdout.contains("1 given, all fit"), "{}", sound.stdout);

    let of_acme = |faults: Vec<Value>| {
        let found = faults.iter().find(|fault| fault["tenant"] == "acme").cloned();
        found.unwrap_or_else(|| panic!("{faults:?}"))
    };
    // A backup put back, or the tail deleted with all that points to it.
    let fault = of_acme(faults(&cut, anchor));
    assert_eq!((&fault["fault"], &fault["from"], &fault["sequence"]), (&json!("cut"), &json!(4), &json!(6)));
    let told = verify(&cut, &["--anchor", anchor]);
    assert!(told.stdout.contains("tenant acme: entries are missing from 4 on; anchor "), "{}", told.stdout);
    assert!(told.stderr.contains("the audit log is not what was anchored"), "{}", told.stderr);

    // Another history with hashes that are right and anchors of its own.
    let server = Server::start(&rewritten, &[]);
    enrollment_keys(&server, &log_in(&server), "acme", 9);
    assert!(server.terminate().0.success());
    assert_eq!(verify(&rewritten, &[]).code, 0, "by itself it is in order");
    let fault = of_acme(faults(&rewritten, anchor));
    assert_eq!((&fault["fault"], &fault["from"]), (&json!("rewritten"), &json!(4)), "{fault}");

    let fault = of_acme(faults(&young, anchor));
    assert_eq!((&fault["fault"], &fault["from"]), (&json!("gone"), &json!(1)), "{fault}");
}

#[test]
fn openssl_agrees_with_the_signature_and_a_pinned_key_counts() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path();
    let server = Server::start(folder, &[]);
    let session = server.set_up();
    fs_err::write(folder.join("token"), &session).unwrap();
    let refused = run(folder, &[], &["audit", "anchor"]);
    assert_eq!(refused.code, 1);
    assert!(refused.stderr.contains("--token-file"), "{}", refused.stderr);
    let (admin, output) = (server.admin().to_owned(), "anchor.json");
    let call = ["audit", "anchor", "--token-file", "token", "--listen-admin", &admin, "--output", output];
    let ran = run(folder, &[], &call);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let text = fs_err::read_to_string(folder.join(output)).unwrap();
    let latest = server.call("/audit/anchors/latest", &session, None);
    let file: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(latest, file);
    let newest = server.call("/audit/anchors", &session, None)["anchors"][0]["number"].clone();
    let line = format!("number {newest}");

    // What docs/concepts/audit.md tells a stranger to do.
    let [statement, signature, key] =
        ["statement", "signature", "publicKey"].map(|name| file[name].as_str().unwrap().to_owned());
    fs_err::write(folder.join("key.pem"), &key).unwrap();
    fs_err::write(folder.join("statement"), &statement).unwrap();
    let decoded =
        openssl(&["base64", "-d", "-A", "-out", folder.join("sig").to_str().unwrap()], signature.as_bytes());
    assert_eq!(decoded.code, 0, "{}", decoded.stderr);
    let [key_file, sig] = ["key.pem", "sig"].map(|name| folder.join(name).to_str().unwrap().to_owned());
    let check = ["dgst", "-sha256", "-verify", &key_file, "-signature", &sig];
    let verified = openssl(&check, statement.as_bytes());
    assert_eq!(verified.code, 0, "{}{}", verified.stdout, verified.stderr);
    let changed = openssl(&check, statement.replace(&line, "number 9").as_bytes());
    assert_ne!(changed.code, 0, "{}", changed.stdout);

    let pinned = verify(folder, &["--anchor", output, "--anchor-key", "key.pem"]);
    assert_eq!(pinned.code, 0, "{}", pinned.stderr);
    let generated = openssl(&["ecparam", "-name", "prime256v1", "-genkey", "-noout"], b"");
    let other = openssl(&["ec", "-pubout"], generated.stdout.as_bytes());
    fs_err::write(folder.join("other.pem"), other.stdout).unwrap();
    let pinned = verify(folder, &["--anchor-key", "other.pem"]);
    assert_eq!(pinned.code, 3, "{}", pinned.stdout);
    assert!(pinned.stdout.contains("the anchor key on record is not the expected one"), "{}", pinned.stdout);

    fs_err::write(folder.join(output), text.replace(&line, "number 7")).unwrap();
    let altered = verify(folder, &["--anchor", output]);
    assert_eq!(altered.code, 1, "{}", altered.stdout);
    assert!(altered.stderr.contains("its signature is not over its statement"), "{}", altered.stderr);
}
