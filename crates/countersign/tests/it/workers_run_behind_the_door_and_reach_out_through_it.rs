//! Proves that the Workers of seed 002 run on workerd: one behind the door, which reads `request.cf`, and
//! one that reaches it through the egress with a certificate id.

use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::harness::agent_program;
use crate::program::repository;

#[test]
fn the_example_passes_all_its_checks() {
    let folder = repository().join("examples/workers");
    let workerd = folder.join("node_modules/.bin/workerd");
    if !workerd.exists() {
        // scripts/test installs it where npm has it.
        let installed = Command::new("npm")
            .args(["install", "--no-audit", "--no-fund", "--no-package-lock"])
            .current_dir(&folder)
            .stdin(Stdio::null())
            .output();
        if !installed.is_ok_and(|ran| ran.status.success()) || !workerd.exists() {
            writeln!(std::io::stderr(), "left out: workerd cannot be installed here").unwrap();
            return;
        }
    }
    let ran = Command::new("bash")
        .arg(folder.join("run.sh"))
        .env("COUNTERSIGN", env!("CARGO_BIN_EXE_countersign"))
        .env("COUNTERSIGN_AGENT", agent_program())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success(), "{stdout}\n{stderr}");
    assert!(stdout.contains("\n6 checks passed\n"), "{stdout}\n{stderr}");
}
