//! Proves that the audit log is intact beside a running server, and that a changed entry is found.

use crate::program::run;
use crate::server::Server;

#[test]
fn the_log_of_a_running_server_is_intact() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    server.set_up();
    let verified = run(folder.path(), &[], &["audit", "verify", "--json"]);
    assert_eq!(verified.code, 0, "{}", verified.stderr);
    let report: serde_json::Value = serde_json::from_str(&verified.stdout).unwrap();
    assert_eq!(report["intact"], true);
    assert!(report["chains"][0]["entries"].as_u64().unwrap() > 0, "{report}");
}

#[test]
fn a_changed_entry_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    server.set_up();
    assert!(server.terminate().0.success());
    replace_in_database(
        &folder.path().join("countersign-data/countersign.db"),
        "setup.completed",
        "setup.cancelled",
    );
    let verified = run(folder.path(), &[], &["audit", "verify"]);
    assert_eq!(verified.code, 3, "{}", verified.stdout);
    assert!(verified.stderr.contains("its content is not what was hashed"), "{}", verified.stderr);
    let json = run(folder.path(), &[], &["audit", "verify", "--json"]);
    let report: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!((json.code, &report["broken"]["fault"]), (3, &serde_json::json!("altered")));
}

#[test]
fn no_database_is_a_failure_and_none_is_made() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(run(folder.path(), &[], &["audit", "verify"]).code, 1);
    assert_eq!(fs_err::read_dir(folder.path()).unwrap().count(), 0);
}

/// Changes a text in the file as a thief of the disk would, without the database noticing.
fn replace_in_database(path: &std::path::Path, old: &str, new: &str) {
    assert_eq!(old.len(), new.len());
    let mut bytes = fs_err::read(path).unwrap();
    let places: Vec<usize> = bytes
        .windows(old.len())
        .enumerate()
        .filter(|(_, text)| *text == old.as_bytes())
        .map(|(at, _)| at)
        .collect();
    assert!(!places.is_empty(), "{old} is not in the database");
    for at in places {
        bytes[at..at + old.len()].copy_from_slice(new.as_bytes());
    }
    fs_err::write(path, bytes).unwrap();
}
