//! Proves that what a stranger pastes from the front page does what it says there.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::program::repository;
use crate::server::Server;

/// The agent beside the server: `cargo test` of the whole workspace builds it first, a test of this
/// crate alone may have to.
fn agent() -> PathBuf {
    let agent = Path::new(env!("CARGO_BIN_EXE_countersign")).with_file_name("countersign-agent");
    if !agent.exists() {
        let built = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--package", "countersign-agent", "--target-dir"])
            .arg(agent.parent().unwrap().parent().unwrap())
            .current_dir(repository())
            .status()
            .unwrap();
        assert!(built.success());
    }
    agent
}

/// The pasted lines, with this test's address, and with the programs that are built already.
fn pasted(admin: &str) -> String {
    let readme = fs_err::read_to_string(repository().join("README.md")).unwrap();
    let block = readme.split("\n```sh\n").nth(2).unwrap().split("\n```\n").next().unwrap();
    let lines = block.lines().filter(|line| !line.starts_with("cargo build"));
    let script: String = lines.map(|line| format!("{line}\n")).collect();
    assert!(script.contains("127.0.0.1:8080") && script.contains("$PWD/target/release:"));
    let programs = agent().parent().unwrap().to_str().unwrap().to_owned();
    script.replace("127.0.0.1:8080", admin).replace("$PWD/target/release", &programs)
}

#[test]
fn what_a_stranger_pastes_ends_with_an_admitted_heartbeat() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &[]);
    let ran = Command::new("bash")
        .args(["-euo", "pipefail", "-c", &pasted(server.admin())])
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let stdout = String::from_utf8(ran.stdout).unwrap();
    let stderr = String::from_utf8(ran.stderr).unwrap();
    assert!(ran.status.success(), "{stdout}\n{stderr}\n{}", server.log());
    let steps = [
        "mTLS certificate issued (expires: ",
        "\"enforcement\":\"enforce\"",
        "{\"error\":\"Mutual TLS authentication required\",\"code\":\"MTLS_REQUIRED\",",
        "{\"commands\":[],\"configUpdate\":null,\"upgradeTo\":null,\"renewCert\":false}",
    ];
    let mut rest = stdout.as_str();
    for step in steps {
        let (_, after) = rest.split_once(step).unwrap_or_else(|| panic!("no {step} in {stdout}\n{stderr}"));
        rest = after;
    }
}
