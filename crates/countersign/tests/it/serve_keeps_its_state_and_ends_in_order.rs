//! Proves that `serve` makes its state once, keeps it over a restart, and ends on SIGTERM.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::program::run;
use crate::server::Server;

fn fingerprint(printed: &str) -> &str {
    let line = printed.lines().find_map(|line| line.trim().strip_prefix("CA fingerprint  "));
    line.unwrap()
}

#[test]
fn a_second_start_keeps_authority_people_and_sessions() {
    let folder = tempfile::tempdir().unwrap();
    let first = Server::start(folder.path(), &[]);
    assert!(first.printed().contains("/setup#token="), "{}", first.printed());
    let root = fingerprint(first.printed()).to_owned();
    let session = first.set_up();
    let (status, rest) = first.terminate();
    assert!(status.success());
    assert_eq!(rest, "", "stdout is for what was asked for");

    let second = Server::start(folder.path(), &[]);
    assert_eq!(fingerprint(second.printed()), root);
    assert!(!second.printed().contains("/setup#token="), "{}", second.printed());
    assert_eq!(second.call("/auth/me", &session, None)["email"], "owner@example.com");
}

#[test]
fn an_unused_setup_token_is_replaced_at_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let token = || fs_err::read_to_string(folder.path().join("countersign-data/setup-token")).unwrap();
    drop(Server::start(folder.path(), &[]));
    let first = token();
    let second = Server::start(folder.path(), &[]);
    assert_ne!(first, token());
    second.set_up();
}

#[test]
fn nobody_else_may_read_the_data() {
    let folder = tempfile::tempdir().unwrap();
    let _server = Server::start(folder.path(), &[]);
    let data = folder.path().join("countersign-data");
    let mode = |path: &Path| fs_err::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&data), 0o700);
    for entry in fs_err::read_dir(&data).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
}

#[test]
fn the_ports_file_means_ready() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &["--ports-file", "ports.json"]);
    let ports: serde_json::Value =
        serde_json::from_str(&fs_err::read_to_string(folder.path().join("ports.json")).unwrap()).unwrap();
    assert!(server.admin().ends_with(&format!(":{}", ports["admin"])), "{ports}");
    assert!(server.printed().contains(&format!(":{}\n", ports["httpDoor"])), "{ports}");
    let healthy = run(folder.path(), &[], &["healthcheck", "--ports-file", "ports.json"]);
    assert_eq!(healthy.code, 0, "{}", healthy.stderr);
}

#[test]
fn a_port_that_is_taken_is_said_and_leaves_nothing_running() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let ran = run(folder.path(), &[], &["serve", "--listen-admin", &address, "--listen-http", "127.0.0.1:0"]);
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains(&address), "{}", ran.stderr);
}

#[test]
fn another_trust_domain_than_the_first_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    drop(Server::start(folder.path(), &[]));
    let ran = run(
        folder.path(),
        &[],
        &["serve", "--listen-admin", "127.0.0.1:0", "--trust-domain", "other.internal"],
    );
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("countersign.internal"), "{}", ran.stderr);
}

#[test]
fn two_servers_on_one_database_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let _server = Server::start(folder.path(), &[]);
    let ran =
        run(folder.path(), &[], &["serve", "--listen-admin", "127.0.0.1:0", "--listen-http", "127.0.0.1:0"]);
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("open in another process"), "{}", ran.stderr);
    assert_eq!(run(folder.path(), &[], &["migrate"]).code, 1);
}

#[test]
fn migrate_makes_the_database_and_is_without_effect_the_second_time() {
    let folder = tempfile::tempdir().unwrap();
    let first = run(folder.path(), &[], &["migrate", "--data-dir", "new/data"]);
    assert_eq!(first.code, 0, "{}", first.stderr);
    assert!(first.stdout.contains("applied "), "{}", first.stdout);
    let second = run(folder.path(), &[], &["migrate", "--data-dir", "new/data"]);
    assert!(second.stdout.starts_with("The database is up to date (version "), "{}", second.stdout);
}
