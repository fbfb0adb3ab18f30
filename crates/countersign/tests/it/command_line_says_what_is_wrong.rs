//! Proves that each command says, on the right stream and with the right exit code, what it did or
//! what is wrong.

use crate::program::{assert_snapshot, run, transcript};

const BAD: &str = "\
data_dri = \"/srv\"
trust_domain = \"single\"

[admin]
listen = \"0.0.0.0:8080\"

[[route]]
path = \"/app\"
upstrem = \"http://127.0.0.1:9000\"

[[rule]]
name = \"half\"
expression = \"\"
";

const GOOD: &str = "\
public_names = [\"gateway.example.com\"]

[[route]]
path = \"/app\"
upstream = \"http://127.0.0.1:9000\"

[[rule]]
name = \"api needs a certificate\"
expression = '(http.request.uri.path contains \"/api/\") and not cf.tls_client_auth.cert_verified'
";

#[test]
fn config_check_names_every_problem_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    fs_err::write(folder.path().join("bad.toml"), BAD).unwrap();
    let said = transcript(
        folder.path(),
        &[("COUNTERSIGN_DRAIN_SECONDS", "soon")],
        &["config", "check", "--config", "bad.toml"],
    );
    assert_snapshot("config-check-bad", &said);
}

#[test]
fn config_check_accepts_a_right_file_and_no_file() {
    let folder = tempfile::tempdir().unwrap();
    fs_err::write(folder.path().join("good.toml"), GOOD).unwrap();
    let file = transcript(folder.path(), &[("COUNTERSIGN_CONFIG", "good.toml")], &["config", "check"]);
    let none = transcript(folder.path(), &[("COUNTERSIGN_TYPO", "1")], &["config", "check"]);
    assert_snapshot("config-check-good", &format!("{file}{none}"));
}

#[test]
fn the_sample_is_a_right_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let sample = run(folder.path(), &[], &["config", "sample"]);
    fs_err::write(folder.path().join("sample.toml"), sample.stdout).unwrap();
    assert_eq!(run(folder.path(), &[], &["config", "check", "--config", "sample.toml"]).code, 0);
}

#[test]
fn a_file_that_is_not_there_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let said = transcript(folder.path(), &[], &["serve", "--config", "none.toml"]);
    assert_snapshot("config-file-missing", &said);
}

#[test]
fn a_wrong_command_line_ends_with_two() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in [vec!["explain", "not-an-id"], vec!["serv"], vec!["serve", "--listen", "x"], vec![]] {
        let ran = run(folder.path(), &[], &arguments);
        assert_eq!(ran.code, 2, "{arguments:?}");
        assert!(ran.stdout.is_empty(), "{arguments:?}: {}", ran.stdout);
    }
}

#[test]
fn serve_refuses_a_plain_admin_listener_beyond_loopback() {
    let folder = tempfile::tempdir().unwrap();
    let said = transcript(folder.path(), &[], &["serve", "--listen-admin", "0.0.0.0:0"]);
    assert_snapshot("serve-plain-admin", &said);
}
