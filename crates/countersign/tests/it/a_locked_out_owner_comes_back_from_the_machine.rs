//! Proves that `countersign user reset-password` lets an owner in who has lost the password, and nobody
//! else.

use serde_json::{Value, json};

use crate::program::run;
use crate::server::Server;

const EMAIL: &str = "owner@example.com";

#[test]
fn an_owner_without_a_password_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let session = server.set_up();
    // One process at a time writes an SQLite database.
    let beside = run(folder.path(), &[], &["user", "reset-password", EMAIL]);
    assert_eq!(beside.code, 1, "{}", beside.stdout);
    assert!(beside.stderr.contains("hint: stop the server first"), "{}", beside.stderr);
    server.terminate();

    let unknown = run(folder.path(), &[], &["user", "reset-password", "nobody@example.com"]);
    assert_eq!((unknown.code, unknown.stdout.as_str()), (3, ""), "{}", unknown.stderr);
    let reset = run(folder.path(), &[], &["user", "reset-password", "Owner@example.com", "--json"]);
    assert_eq!(reset.code, 0, "{}", reset.stderr);
    let reset: Value = serde_json::from_str(&reset.stdout).unwrap();

    let server = Server::start(folder.path(), &[]);
    assert_eq!(server.call("/auth/me", &session, None)["email"], EMAIL, "nothing has changed yet");
    let set = json!({ "token": reset["token"], "password": "another horse, another battery" });
    server.call_for_nothing("/auth/set-password", &set.to_string());
    assert_eq!(server.call("/auth/me", &session, None)["code"], "UNAUTHORIZED");
    let credentials = json!({ "email": EMAIL, "password": "another horse, another battery" });
    let signed_in = server.call("/auth/login", "", Some(&credentials.to_string()));
    let session = signed_in["token"].as_str().unwrap();
    let audit = server.call("/audit?event=user.password_reset_issued", session, None);
    assert_eq!(audit["entries"][0]["actor"], "operator");
}

#[test]
fn a_folder_without_a_database_is_left_without_one() {
    let folder = tempfile::tempdir().unwrap();
    let ran = run(folder.path(), &[], &["user", "reset-password", EMAIL]);
    assert_eq!(ran.code, 1, "{}", ran.stdout);
    assert!(!folder.path().join("countersign-data").exists());
}
